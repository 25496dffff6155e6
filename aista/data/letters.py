"""A tokenizer of letters, as used by CTC models in Hugging Face's layout."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from aista.data.tokenizers.base import TextTokenizer

__all__ = ["LetterTokenizer"]

_REPLACED = str.maketrans("\u2019\u02bc\u2010\u2011", "''--")


class LetterTokenizer(TextTokenizer):
    """One token for each letter, and one between words.

    A letter that the vocabulary lacks is tried in the other case, and without its diacritics; what is still not there
    has no token. It has neither EOS nor padding: ``vocab_size``, CTC's blank, stands for both.

    Args:
        letters: Letter -> id.
        delimiter: Token between words; None if there is none.
        vocab_size: Ids are below it.
    """

    bos_id = None

    def __init__(self, letters: Mapping[str, int], delimiter: int | None, vocab_size: int) -> None:
        self._letters = dict(letters)
        self._delimiter = delimiter
        self._pieces = {id: letter for letter, id in letters.items()}
        self.vocab_size = self.eos_id = self.pad_id = vocab_size

    def encode(self, text: str) -> list[int]:
        return [id for id, _ in self._spell(text)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [place for _, place in self._spell(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The letters, a space for each delimiter."""
        return "".join(" " if id == self._delimiter else self._pieces.get(id, "") for id in ids)

    def piece(self, id: int) -> str:
        return "▁" if id == self._delimiter else self._pieces.get(id, "")

    def _spell(self, text: str) -> Iterator[tuple[int, tuple[int, int]]]:
        """Each token with its first character and the one behind its last."""
        gap, started = (0, 0), False
        for is_space, group in groupby(range(len(text)), key=lambda place: text[place].isspace()):
            places = list(group)
            if is_space:
                gap = places[0], places[-1] + 1
                continue
            tokens = [(id, (place, place + 1)) for place in places for id in self._find(text[place])]
            if tokens and started and self._delimiter is not None:
                yield self._delimiter, gap
            started = started or bool(tokens)
            yield from tokens

    def _find(self, character: str) -> list[int]:
        for form in _forms(character.translate(_REPLACED)):
            if form and all(letter in self._letters for letter in form):
                return [self._letters[letter] for letter in form]
        return []


def _forms(character: str) -> Iterator[str]:
    plain = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    for form in (character, plain):
        yield from (form, form.upper(), form.lower())
