"""The records that the lexicon is made of: one per part of speech, with English and French forms, or German ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Adjective",
    "Adverb",
    "GermanAdjective",
    "GermanNoun",
    "GermanVerb",
    "Modal",
    "Name",
    "Noun",
    "Preposition",
    "Tense",
    "Time",
    "Verb",
]

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


@dataclass(frozen=True)
class GermanNoun:
    """A noun; ``gender`` is ``m``, ``f`` or ``n``. Mass nouns have no plural."""

    singular: str
    gender: str
    plural: str
    genitive: str

    @property
    def weak(self) -> bool:
        """Whether all cases but the nominative are like the genitive (*der junge, den jungen*)."""
        return self.gender == "m" and not self.genitive.endswith("s")


@dataclass(frozen=True)
class GermanAdjective:
    """``base`` stands in a predicate, ``stem`` before endings (*teuer, ein teures auto*); ``-``: no comparative."""

    base: str
    stem: str
    comparative: str


@dataclass(frozen=True)
class GermanVerb:
    """A verb; ``present`` holds the ich, du, er, wir, sie forms.

    Attributes:
        particle: What separates from the finite verb and stands at the end (*sie macht die tür auf*).
        case: Case of the object: ``acc`` or ``dat``.
        preposition: Preposition of the object, if it has one.
        sein: Whether the perfect is formed with *sein*.
    """

    infinitive: str
    present: tuple[str, ...]
    imperative: str
    participle: str
    particle: str = ""
    case: Literal["acc", "dat"] = "acc"
    preposition: str = ""
    sein: bool = False
