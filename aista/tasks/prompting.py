"""Encodes the prompt of a config as the token ids around the speech."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aista.data.tokenizers.base import Chat, TextTokenizer
from aista.modules.prompt import PLACEHOLDER, PromptIds, parse_template
from aista.schema import Options, option, required

__all__ = ["ChatPrompt", "EncodedPrompt", "encode_prompt", "prompt_text"]


@dataclass(frozen=True, kw_only=True)
class ChatPrompt(Options):
    """A prompt in the chat format of an instruction-tuned language model.

    The tokenizer's own template puts the special tokens around the turns, and its end of turn ends a
    translation. Choose it for models whose name has Instruct, Chat or it; choose a text prompt for base models.
    """

    user: str = required("The user turn; {speech} stands for the speech (or its transcript).")
    system: str = option("", "The system turn; empty: the template's default.")
    date: str = option("", "Date as YYYY-MM-DD, required by templates that contain the current date.")
    variables: Mapping[str, Any] = option(
        {},
        "Other variables of the template, e.g. {enable_thinking: false} for Qwen3, which otherwise thinks first.",
        finite=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_template(self.user)
        if PLACEHOLDER in self.system:
            raise ValueError(f"system must not hold {PLACEHOLDER}; the speech belongs to the user's turn")
        if self.date:
            try:
                datetime.date.fromisoformat(self.date)
            except ValueError as error:
                raise ValueError(f"date must be a day as YYYY-MM-DD, got {self.date!r}") from error


class EncodedPrompt(NamedTuple):
    """A prompt as token ids, and the tokens that begin and end a row.

    Attributes:
        ids: The token ids before and after the speech.
        bos_id: Token at the start of a row, or None.
        eos_id: Token that ends a translation.
    """

    ids: PromptIds
    bos_id: int | None
    eos_id: int


def encode_prompt(prompt: str | ChatPrompt, tokenizer: TextTokenizer) -> EncodedPrompt:
    """Encode the text before and after the ``{speech}`` placeholder, each on its own.

    A text prompt starts with the tokenizer's BOS, if there is one; a chat prompt has it where its template
    writes it.

    Raises:
        ValueError: the placeholder is missing or occurs twice, or the text has a BOS of its own.
        DataError: the tokenizer has no chat template, or it refuses the turns.
    """
    if isinstance(prompt, ChatPrompt):
        return _encode_chat(prompt, tokenizer)
    before, after = (tuple(tokenizer.encode_prompt(text)) for text in parse_template(prompt))
    if tokenizer.bos_id is not None and tokenizer.bos_id in before[:1]:
        raise ValueError(f"the prompt {prompt!r} begins with BOS, which is put in front of every row; leave it out")
    return EncodedPrompt(PromptIds(before, after), tokenizer.bos_id, tokenizer.eos_id)


def prompt_text(prompt: str | ChatPrompt, tokenizer: TextTokenizer) -> str:
    """The prompt as one text with special tokens written out and ``{speech}`` in its place.

    Raises:
        DataError: the tokenizer has no chat template, or it refuses the turns.
    """
    return _render(prompt, tokenizer).text if isinstance(prompt, ChatPrompt) else prompt


def _render(prompt: ChatPrompt, tokenizer: TextTokenizer) -> Chat:
    turns = [("system", prompt.system)] if prompt.system else []
    return tokenizer.chat([*turns, ("user", prompt.user)], date=prompt.date, variables=prompt.variables)


def _encode_chat(prompt: ChatPrompt, tokenizer: TextTokenizer) -> EncodedPrompt:
    chat = _render(prompt, tokenizer)
    before, after = (tuple(tokenizer.encode_prompt(text)) for text in parse_template(chat.text))
    has_bos = tokenizer.bos_id is not None and tokenizer.bos_id in before[:1]
    if chat.eos_id == tokenizer.pad_id:
        raise ValueError(
            f"turns of the chat template end with {tokenizer.piece(chat.eos_id)!r}, which is the padding token too; "
            "give the tokenizer another pad_token"
        )
    ids = PromptIds(before[1:] if has_bos else before, after)
    return EncodedPrompt(ids, tokenizer.bos_id if has_bos else None, chat.eos_id)
