"""Tokenizers from the vocabulary in a GGUF file.

Those that transformers 4.57 builds are wrong for both models here: SmolLM2's ends with <|im_start|> and puts one in
front, Gemma 3's cuts "Hello world" into four pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aista.errors import DataError

__all__ = ["build_tokenizer"]

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # of GGUF's kinds of tokens
_SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
_SAMPLES = (
    "Hello world",
    "In 2025, 1,234 cats didn't sleep.\n\n  Été à Paris: 日本 😀",
    "def f(x):\n    return x ** 2",
)


def build_tokenizer(metadata: Mapping[str, Any]) -> Any:
    """A fast tokenizer of exactly the file's vocabulary, with its special tokens and chat template.

    Args:
        metadata: The file's fields by name.

    Raises:
        DataError: the tokenizer is of an unknown kind, or does not give texts back as they were.
        KeyError: a field is missing.
    """
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    kind = (metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.pre"])
    if kind not in _BACKENDS:
        known = ", ".join(map(str, _BACKENDS))
        raise DataError(f"its tokenizer is of the kind {kind}; known are {known}")
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    kinds: list[int] = metadata["tokenizer.ggml.token_type"]
    backend = _BACKENDS[kind](metadata)
    for number, is_special in ((_CONTROL, True), (_USER_DEFINED, False)):
        chosen = [token for token, found in zip(tokens, kinds, strict=True) if found == number]
        backend.add_tokens([AddedToken(token, normalized=False, special=is_special) for token in chosen])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=metadata[f"{metadata['general.architecture']}.context_length"],
        model_input_names=["input_ids", "attention_mask"],
        **{name: tokens[metadata[f"tokenizer.ggml.{key}_token_id"]] for name, key in _SPECIAL.items()},
    )
    tokenizer.chat_template = metadata.get("tokenizer.chat_template")
    _check(tokenizer, tokens)
    return tokenizer


def _byte_level(metadata: Mapping[str, Any]) -> Any:
    """BPE over bytes, single digits apart, as SmolLM2's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: id for id, token in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges = [tuple(pair.split(" ")) for pair in metadata["tokenizer.ggml.merges"]]
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def _sentencepiece(metadata: Mapping[str, Any]) -> Any:
    """BPE over characters with bytes for unknown ones, as Gemma's: SentencePiece's scores are ranks of merges."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    if metadata["tokenizer.ggml.add_space_prefix"]:
        raise DataError("it puts a space in front of texts, which is not known here")
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    model = models.BPE(
        vocab={token: id for id, token in enumerate(tokens)},
        merges=_merges(tokens, metadata["tokenizer.ggml.token_type"], metadata["tokenizer.ggml.scores"]),
        unk_token=tokens[metadata["tokenizer.ggml.unknown_token_id"]],
        fuse_unk=True,
        byte_fallback=True,
    )
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return backend


_BACKENDS = {("gpt2", "smollm"): _byte_level, ("llama", "default"): _sentencepiece}


def _merges(tokens: list[str], kinds: list[int], scores: list[float]) -> list[tuple[str, str]]:
    """All pairs of tokens that merge to another one, the best-scored first."""
    ids = {token: id for id, token in enumerate(tokens) if kinds[id] == _NORMAL}
    ways = [
        (-scores[id], -cut, token)
        for token, id in ids.items()
        for cut in range(1, len(token))
        if token[:cut] in ids and token[cut:] in ids
    ]
    return [(token[:-cut], token[-cut:]) for _, cut, token in sorted(ways)]


def _check(tokenizer: Any, tokens: list[str]) -> None:
    """Raise DataError unless ids stand for the file's tokens and texts survive encoding and decoding."""
    if tokenizer.convert_ids_to_tokens(range(len(tokenizer))) != tokens:
        raise DataError("its vocabulary holds a token twice")
    for text in _SAMPLES:
        found = tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False)
        if found != text:
            raise DataError(f"its vocabulary turns {text!r} into {found!r}; it lacks tokens for single bytes")
