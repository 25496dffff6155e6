"""Spells the words of a transcript with an acoustic model's tokens."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from aista.data.tokenizers.base import TextTokenizer

__all__ = ["Spelling", "spell"]


class Spelling(NamedTuple):
    """A transcript as tokens.

    Attributes:
        words: The transcript's words: what stands between spaces.
        ids: The tokens in order, but for those of unknown characters.
        owners: For each token the number of the word that it gives sound to; None for spaces and punctuation, whose
            frames say nothing about when a word is spoken.
        incomplete: Words with a letter or digit that has no token, those with none at all among them.
    """

    words: tuple[str, ...]
    ids: tuple[int, ...]
    owners: tuple[int | None, ...]
    incomplete: frozenset[int]

    @property
    def unspelt(self) -> frozenset[int]:
        """Words that cannot be spelt with the model's tokens."""
        return frozenset(range(len(self.words))) - frozenset(self.owners)


def spell(transcript: str, tokenizer: TextTokenizer) -> Spelling:
    """Spell a transcript by ``tokenizer.encode``, as the task ``ctc_asr`` does in training.

    A token belongs to the word of its first letter or digit. Unknown characters are left out.

    Raises:
        DataError: the tokenizer does not say where its tokens lie in a text.
    """
    found = list(re.finditer(r"\S+", transcript))
    sounds = {
        place: word
        for word, match in enumerate(found)
        for place in range(*match.span())
        if unicodedata.category(transcript[place])[0] in "LMN"
    }
    ids: list[int] = []
    owners: list[int | None] = []
    silent = {place: word for place, word in sounds.items() if not unicodedata.combining(transcript[place])}
    for id, (begin, end) in zip(tokenizer.encode(transcript), tokenizer.offsets(transcript), strict=True):
        if id == tokenizer.unk_id:
            continue
        ids.append(id)
        owners.append(next((sounds[place] for place in range(begin, end) if place in sounds), None))
        for place in range(begin, end):
            silent.pop(place, None)
    words = tuple(match.group() for match in found)
    return Spelling(words, tuple(ids), tuple(owners), frozenset(silent.values()))
