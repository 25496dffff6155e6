"""The records that the lexicon is made of: one per part of speech, with both languages' forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Adjective", "Adverb", "Modal", "Name", "Noun", "Preposition", "Tense", "Time", "Verb"]

Tense = Literal["present", "past", "future"]


@dataclass(frozen=True)
class Noun:
    """A common noun; ``gender`` is its French one, ``m`` or ``f``."""

    en: str
    en_plural: str
    fr: str
    fr_plural: str
    gender: str
    kinds: frozenset[str]

    @property
    def countable(self) -> bool:
        """Whether it takes ``a``."""
        return not self.kinds & {"mass", "drink"}

    @property
    def pluralizable(self) -> bool:
        """Whether it takes numerals and a plural; one has a single mother."""
        return self.countable and "unique" not in self.kinds


@dataclass(frozen=True)
class Name:
    """A first name, spelt alike in both languages."""

    en: str
    gender: str


@dataclass(frozen=True)
class Adjective:
    """An adjective with its French forms: masculine, before a vowel, feminine, and both plurals."""

    en: str
    comparative: str
    fr: str
    fr_vowel: str
    fr_feminine: str
    fr_plural: str
    fr_feminine_plural: str
    precedes: bool
    kinds: frozenset[str]


@dataclass(frozen=True)
class Verb:
    """A verb. ``present`` holds the French je, tu, il, nous, ils forms; ``future`` the stem."""

    en: str
    en_third: str
    en_past: str
    infinitive: str
    present: tuple[str, ...]
    future: str
    participle: str
    objects: frozenset[str] = frozenset()
    dative: bool = False
    etre: bool = False
    en_preposition: str = ""
    fr_preposition: str = ""


@dataclass(frozen=True)
class Modal:
    """A verb before an infinitive, used in the present."""

    en: str
    en_third: str
    en_negated: str
    en_third_negated: str
    present: tuple[str, ...]


@dataclass(frozen=True)
class Adverb:
    """``frequency`` adverbs stand before the English verb, the others (manner) at its clause's end."""

    en: str
    fr: str
    frequency: bool


@dataclass(frozen=True)
class Time:
    """A time phrase; it stands first in one language and last in the other."""

    en: str
    fr: str
    tense: Tense
    english_first: bool


@dataclass(frozen=True)
class Preposition:
    """A preposition of place and the kind of noun it takes."""

    en: str
    fr: str
    kind: str
