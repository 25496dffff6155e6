"""Llama-like language models in GGUF -> a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from aista.errors import DataError

__all__ = ["convert_gguf_llama"]

_CONTROL = 3  # of GGUF's kinds of tokens
_SAMPLES = ("Hello world", "In 2025, 1,234 cats didn't sleep.\n\n  Été à Paris", "def f(x):\n    return x ** 2")


def convert_gguf_llama(files: Mapping[str, Path], folder: Path, dtype: torch.dtype) -> None:
    """Write a Hugging Face folder of a ``LlamaForCausalLM`` with its tokenizer and chat template.

    transformers puts the weights back from GGUF's blocks. The tokenizer is built here from the vocabulary and merges
    in the file: the one that transformers 4.57 makes of them ends with the wrong token and puts a BOS in front that
    the model has not seen.

    Args:
        files: One path, of the ``.gguf``.
        folder: An empty folder.
        dtype: Type of the written weights.

    Raises:
        DataError: the gguf package is missing, or the file is damaged or holds another kind of model.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import is_gguf_available

    (path,) = files.values()
    if not is_gguf_available():
        raise DataError(
            f"{path.name}: reading GGUF needs the gguf package; install it with `pip install aista[models]`"
        )
    metadata = _read_metadata(path)
    if (architecture := metadata.get("general.architecture")) != "llama":
        raise DataError(f"{path}: holds a model of the architecture {architecture!r}; only 'llama' is converted")
    tokenizer = _tokenizer(path, metadata)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # its readers raise whatever they meet
        raise DataError(f"{path}: transformers cannot read its weights ({error}); get the file again") from error
    end = tokenizer.eos_token_id
    model.config.update({"bos_token_id": tokenizer.bos_token_id, "eos_token_id": end, "pad_token_id": end})
    model.generation_config.update(bos_token_id=tokenizer.bos_token_id, eos_token_id=end, pad_token_id=end)
    del model.config._name_or_path
    model.to(dtype).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def _read_metadata(path: Path) -> dict[str, Any]:
    """Everything in the file that is no weight."""
    from gguf import GGUFReader

    try:
        return {name: field.contents() for name, field in GGUFReader(path).fields.items()}
    except Exception as error:  # the reader checks little and fails in any way
        raise DataError(f"{path}: damaged, or no GGUF file ({error}); get the file again") from error


def _tokenizer(path: Path, metadata: Mapping[str, Any]) -> Any:
    """A byte-level BPE tokenizer of exactly the file's vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    kind = (metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre"))
    if kind != ("gpt2", "smollm"):
        raise DataError(f"{path}: its tokenizer is of the kind {kind}; only ('gpt2', 'smollm') is converted")
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in metadata["tokenizer.ggml.merges"]]
    vocabulary = {token: id for id, token in enumerate(tokens)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    named = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    special = {f"{name}_token": tokens[metadata[f"tokenizer.ggml.{key}_token_id"]] for name, key in named.items()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=metadata["llama.context_length"], **special
    )
    tokenizer.chat_template = metadata["tokenizer.chat_template"]
    _check(path, tokenizer, tokens)
    return tokenizer


def _check(path: Path, tokenizer: Any, tokens: list[str]) -> None:
    """Raise DataError unless ids mean the file's tokens and texts come back as they were."""
    if tokenizer.convert_ids_to_tokens(range(len(tokenizer))) != tokens:
        raise DataError(f"{path}: its vocabulary holds a token twice; no tokenizer can be built from it")
    for text in _SAMPLES:
        found = tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False)
        if found != text:
            raise DataError(f"{path}: its vocabulary turns {text!r} into {found!r}; it lacks tokens for single bytes")
