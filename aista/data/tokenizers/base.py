"""What every tokenizer offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

__all__ = ["TextTokenizer"]


class TextTokenizer(ABC):
    """Text <-> token ids.

    A component of kind ``tokenizer`` is called as ``factory(config)``; it raises DataError if its
    files are missing or malformed. It must be picklable (worker processes).
    """

    vocab_size: int
    """Ids are in 0 .. vocab_size - 1."""

    bos_id: int | None
    """Token that begins a text, or None if the model was trained without."""

    eos_id: int
    """Token that ends a text."""

    pad_id: int
    """Fills batches. Differs from EOS, and never belongs to a translation: search never produces it."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, without BOS and EOS."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids``; BOS, EOS and padding are left out."""

    @abstractmethod
    def piece(self, id: int) -> str:
        """The token as a person reads it in a plot; a leading "▁" marks the start of a word."""
