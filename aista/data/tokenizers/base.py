"""Interface of tokenizers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aista.errors import DataError

__all__ = ["Chat", "TextTokenizer", "is_markup"]

_MARKUP = re.compile(r"<\S+>|\[\S+\]|__\S+__")


def is_markup(token: str) -> bool:
    """Whether a token added to a vocabulary looks like a control token: ``<fr>``, ``[INST]``, ``__en__``.

    Others are words, digits or runs of spaces, which texts may hold.
    """
    return _MARKUP.fullmatch(token) is not None


class Chat(NamedTuple):
    """A conversation as text, up to where the assistant's answer begins.

    Attributes:
        text: With all special tokens that the model expects, BOS too where it wants one.
        eos_id: Token that ends the answer.
    """

    text: str
    eos_id: int


class TextTokenizer(ABC):
    """Text <-> token ids.

    A component of kind ``tokenizer`` is called as ``factory(config)``; it raises DataError if its
    files are missing or malformed. It must be picklable (worker processes).
    """

    vocab_size: int
    """Ids are in 0 .. vocab_size - 1."""

    bos_id: int | None
    """Token at the beginning of a text, or None if the model was trained without one."""

    eos_id: int
    """Token that ends a text."""

    pad_id: int
    """Padding token. Differs from EOS and never occurs in a translation; the search never produces it."""

    unk_id: int | None = None
    """Token of characters that the vocabulary lacks, or None if there are none."""

    @property
    def control_ids(self) -> frozenset[int]:
        """Tokens that never encode text of a corpus: BOS, EOS, padding, and tokens reserved for prompts."""
        return frozenset({self.eos_id, self.pad_id, *(() if self.bos_id is None else (self.bos_id,))})

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without BOS and EOS. Control tokens written in it are encoded as plain characters."""

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a prompt: like ``encode``, but control tokens written in it become single ids."""
        return self.encode(text)

    def control_tokens(self, text: str) -> list[str]:
        """Control tokens written in a text; inspection refuses such rows."""
        return [self.piece(id) for id in self.encode_prompt(text) if id in self.control_ids]

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids``; BOS, EOS and padding are left out."""

    @abstractmethod
    def piece(self, id: int) -> str:
        """The token as text for plots; a leading "▁" marks the start of a word."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character span of each token of ``encode(text)``: first character and the one after its last.

        Raises:
            DataError: the tokenizer does not know.
        """
        raise DataError(
            f"{type(self).__name__} does not say where tokens lie in a text; give its class a method offsets(text)"
        )

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write the tokenizer's files into a folder.

        Returns:
            Options that build it from there, with paths relative to the folder.

        Raises:
            DataError: there is no way to do so.
        """
        raise DataError(f"{type(self).__name__} cannot be exported; give its class a method save(folder)")

    def chat(self, turns: Sequence[tuple[str, str]], *, date: str = "", variables: Mapping[str, Any]) -> Chat:
        """Write a conversation in the format that the model was tuned on.

        Args:
            turns: (role, text) pairs; roles are ``system``, ``user`` and ``assistant``.
            date: ``YYYY-MM-DD``, for templates that print the day.
            variables: Other variables of the model's template.

        Raises:
            DataError: there is no such format, or it does not take these turns.
        """
        raise DataError(
            f"{type(self).__name__} has no chat template; write the prompt as a text, or use the tokenizer "
            "hugging_face with the folder of an instruction-tuned model"
        )
