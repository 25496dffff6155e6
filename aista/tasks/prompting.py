"""From a prompt template and a tokenizer to the ids around the speech."""

from __future__ import annotations

from aista.data.tokenizers.base import TextTokenizer
from aista.modules.prompt import PromptIds, parse_template

__all__ = ["encode_prompt"]


def encode_prompt(template: str, tokenizer: TextTokenizer) -> PromptIds:
    """Encode the text before and after the ``{speech}`` placeholder.

    Raises:
        ValueError: the placeholder is missing or stands twice.
    """
    before, after = parse_template(template)
    return PromptIds(tuple(tokenizer.encode(before)), tuple(tokenizer.encode(after)))
