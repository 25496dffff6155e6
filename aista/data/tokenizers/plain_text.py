"""A fast Hugging Face tokenizer that treats special tokens in texts as plain characters."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from tokenizers import Tokenizer

__all__ = ["without_tokens"]

_HIDDEN = "\ufdd0"  # a noncharacter, which Unicode keeps out of texts


def without_tokens(tokenizer: Tokenizer, ids: Collection[int]) -> Tokenizer:
    """The same tokenizer, with the same ids, that gives none of ``ids`` for a text that writes their tokens.

    It hides the tokens under names that no text holds. ``encode_special_tokens`` of the library passes over special
    tokens alone, and a unigram model finds them in its vocabulary all the same.
    """
    state = json.loads(tokenizer.to_str())
    names = {str(tokenizer.id_to_token(id)) for id in ids}
    hidden = {name: f"{_HIDDEN}{name}{_HIDDEN}" for name in names}
    for token in state["added_tokens"]:
        token["content"] = hidden.get(token["content"], token["content"])
    model: dict[str, Any] = state["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {hidden.get(piece, piece): id for piece, id in vocabulary.items()}
    else:
        model["vocab"] = [[hidden.get(piece, piece), score] for piece, score in vocabulary]
    if "merges" in model:
        pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"])
        model["merges"] = [pair for pair in pairs if names.isdisjoint([*pair, "".join(pair)])]
    if "unk_token" in model:
        model["unk_token"] = hidden.get(model["unk_token"], model["unk_token"])
    state["post_processor"] = state["truncation"] = state["padding"] = None
    return Tokenizer.from_str(json.dumps(state))
