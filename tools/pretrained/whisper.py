"""Whisper in CTranslate2's format -> a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aista.errors import DataError
from tools.pretrained.ctranslate2 import CTranslate2Model, read_ctranslate2

__all__ = ["convert_whisper", "whisper_state"]

_SPEC = ("WhisperSpec", 3)
_GELU = 3  # of CTranslate2's activations
_SETTINGS = {
    "decoder/activation": _GELU,
    "decoder/alibi": 0,
    "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
# Heads per block, and which heads CTranslate2 takes word times from: not needed to rebuild the weights.
_OTHER_SETTINGS = ("encoder/num_heads", "decoder/num_heads", "decoder/alignment_heads", "decoder/alignment_layer")
_NORM = {"gamma": "weight", "beta": "bias"}
_PROJECTIONS = {
    "self_attention": {"linear_0": "qkv", "linear_1": "o"},
    "attention": {"linear_0": "q", "linear_1": "kv", "linear_2": "o"},
}


def convert_whisper(files: Mapping[str, Path], folder: Path, dtype: torch.dtype) -> None:
    """Write a Hugging Face folder of ``WhisperForConditionalGeneration`` with its tokenizer and feature extractor.

    Args:
        files: Paths of ``model.bin``, ``config.json``, ``tokenizer.json`` and ``vocabulary.txt``.
        folder: An empty folder.
        dtype: Type of the written weights.

    Raises:
        DataError: a file is damaged, is of another kind of model, or does not fit the others.
    """
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    source = read_ctranslate2(files["model.bin"])
    try:
        weights = whisper_state(source)
    except DataError as error:
        raise DataError(f"{files['model.bin']}: {error}") from None
    tokenizer = _tokenizer(files, len(weights["proj_out.weight"]))
    config = _model_config(source, weights, tokenizer)
    model = WhisperForConditionalGeneration(config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{files['model.bin']}: not the weights of a whole Whisper model ({error})") from None
    model.generation_config = _generation_config(files["config.json"], tokenizer, config.max_target_positions)
    model.to(dtype).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)


def whisper_state(source: CTranslate2Model) -> dict[str, Tensor]:
    """The state dict of ``WhisperForConditionalGeneration``: fused projections taken apart, names translated.

    Raises:
        DataError: the model is no Whisper, has keys with a bias, or holds arrays that Whisper has not.
    """
    if (source.spec, source.revision) != _SPEC:
        raise DataError(
            f"a Whisper model has the spec {_SPEC[0]}, revision {_SPEC[1]}, got {source.spec}, revision "
            f"{source.revision}; convert it with CTranslate2 3 or 4"
        )
    if source.aliases != {"decoder/projection/weight": "decoder/embeddings/weight"}:
        raise DataError(f"Whisper's output layer is its embedding, got the aliases {dict(source.aliases)}")
    state: dict[str, Tensor] = {}
    for name, tensor in source.tensors.items():
        if tensor.ndim:
            state.update(_translate(name, tensor))
        elif name not in _OTHER_SETTINGS and int(tensor) != _SETTINGS.get(name):
            raise DataError(f"Whisper has {name} {_SETTINGS.get(name, 'unset')}, got {int(tensor)}")
    if "model.decoder.embed_tokens.weight" not in state:
        raise DataError("it lacks decoder/embeddings/weight")
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    return state


def _translate(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Names and values of one array in Hugging Face's model."""
    part, *path, leaf = name.split("/")
    match path:
        case ["conv1" | "conv2" as conv]:
            yield f"model.{part}.{conv}.{leaf}", tensor
        case ["embeddings"]:
            yield f"model.{part}.embed_tokens.{leaf}", tensor
        case ["position_encodings"]:
            yield f"model.{part}.embed_positions.weight", tensor
        case ["layer_norm"]:
            yield f"model.{part}.layer_norm.{_NORM[leaf]}", tensor
        case [layer, block, *rest] if layer.startswith("layer_"):
            prefix = f"model.{part}.layers.{layer.removeprefix('layer_')}"
            for key, value in _translate_block(block, rest, leaf, tensor):
                yield f"{prefix}.{key}", value
        case _:
            raise DataError(f"Whisper has no array {name}")


def _translate_block(block: str, path: list[str], leaf: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    attention = "self_attn" if block == "self_attention" else "encoder_attn"
    match block, path:
        case "ffn", ["layer_norm"]:
            yield f"final_layer_norm.{_NORM[leaf]}", tensor
        case "ffn", ["linear_0" | "linear_1" as linear]:
            yield f"fc{int(linear[-1]) + 1}.{leaf}", tensor
        case (("self_attention" | "attention"), ["layer_norm"]):
            yield f"{attention}_layer_norm.{_NORM[leaf]}", tensor
        case (("self_attention" | "attention"), [linear]) if linear in _PROJECTIONS[block]:
            targets = _PROJECTIONS[block][linear]
            for target, value in zip(targets, tensor.chunk(len(targets)), strict=True):
                yield from _projection(attention, target, leaf, value)
        case _:
            raise DataError(f"Whisper has no array {'/'.join([block, *path, leaf])} in a layer")


def _projection(attention: str, target: str, leaf: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    if (target, leaf) != ("k", "bias"):
        yield f"{attention}.{'out' if target == 'o' else target}_proj.{leaf}", value
    elif value.any():
        raise DataError("Whisper's keys have no bias, but this model's have one that is not zero")


def _model_config(source: CTranslate2Model, weights: Mapping[str, Tensor], tokenizer: Any) -> Any:
    """The config, derived from the shapes of the weights, the number of heads and the tokenizer."""
    from transformers import WhisperConfig

    def layers(part: str) -> int:
        return sum(name.startswith(f"model.{part}.layers.") and name.endswith(".fc1.bias") for name in weights)

    vocab_size, width = weights["proj_out.weight"].shape
    ids = tokenizer.convert_tokens_to_ids
    end = ids("<|endoftext|>")
    return WhisperConfig(
        vocab_size=vocab_size,
        d_model=width,
        num_mel_bins=weights["model.encoder.conv1.weight"].size(1),
        encoder_layers=layers("encoder"),
        decoder_layers=layers("decoder"),
        encoder_attention_heads=int(source.tensors["encoder/num_heads"]),
        decoder_attention_heads=int(source.tensors["decoder/num_heads"]),
        encoder_ffn_dim=len(weights["model.encoder.layers.0.fc1.bias"]),
        decoder_ffn_dim=len(weights["model.decoder.layers.0.fc1.bias"]),
        max_source_positions=len(weights["model.encoder.embed_positions.weight"]),
        max_target_positions=len(weights["model.decoder.embed_positions.weight"]),
        decoder_start_token_id=ids("<|startoftranscript|>"),
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )


def _generation_config(file: Path, tokenizer: Any, max_length: int) -> Any:
    """Generation config for English: the tokens suppressed in CTranslate2's config.json, and the initial tokens."""
    from transformers import GenerationConfig

    settings = json.loads(file.read_text(encoding="utf-8"))
    ids = tokenizer.convert_tokens_to_ids
    end, no_times = ids("<|endoftext|>"), ids("<|notimestamps|>")
    return GenerationConfig(
        alignment_heads=settings["alignment_heads"],
        begin_suppress_tokens=settings["suppress_ids_begin"],
        suppress_tokens=settings["suppress_ids"],
        decoder_start_token_id=ids("<|startoftranscript|>"),
        prev_sot_token_id=ids("<|startofprev|>"),
        forced_decoder_ids=[[1, no_times]],
        no_timestamps_token_id=no_times,
        is_multilingual=False,
        max_length=max_length,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )


def _tokenizer(files: Mapping[str, Path], vocab_size: int) -> Any:
    """tokenizer.json with the time tokens that only vocabulary.txt lists; the two must agree in the rest."""
    from tokenizers import AddedToken
    from transformers import WhisperTokenizerFast

    end = "<|endoftext|>"
    tokenizer = WhisperTokenizerFast(
        tokenizer_file=str(files["tokenizer.json"]), bos_token=end, eos_token=end, pad_token=end, unk_token=end
    )
    tokens = files["vocabulary.txt"].read_text(encoding="utf-8").split("\n")[:-1]
    known = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    if len(tokens) != vocab_size or tokens[: len(known)] != known:
        raise DataError(
            f"{files['vocabulary.txt']}: lists {len(tokens)} tokens; it must agree with {files['tokenizer.json'].name} "
            f"and the model's {vocab_size} embeddings; take all files from one model"
        )
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens[len(known) :]])
    return tokenizer
