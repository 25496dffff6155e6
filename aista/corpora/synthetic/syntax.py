"""The meaning of a sentence, independent of language: phrases and clauses as plain records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aista.corpora.synthetic.word import Adjective, Adverb, Modal, Name, Noun, Preposition, Tense, Time, Verb

__all__ = [
    "Clause",
    "Coordination",
    "Existence",
    "Nominal",
    "NounPhrase",
    "Pair",
    "Place",
    "Polarity",
    "Predicate",
    "Pronoun",
    "Question",
    "Relative",
    "Sentence",
    "conjugation_slot",
    "is_plural",
    "pairs",
]

Polarity = Literal["yes", "not", "never", "no longer"]
Question = Literal["", "yes/no", "where", "when", "why", "how", "what", "who"]
Pair = tuple[str, str, str]
_SLOTS = {(1, False): 0, (2, False): 1, (3, False): 2, (1, True): 3, (3, True): 4}


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun. ``it`` is third person singular and inanimate; its French gender is masculine."""

    person: int
    plural: bool = False
    gender: str = "m"
    animate: bool = True


@dataclass(frozen=True)
class Relative:
    """A relative clause: its head is the subject (``gap`` = subject) or the object of ``clause``."""

    clause: Clause
    gap: Literal["subject", "object"]


@dataclass(frozen=True)
class NounPhrase:
    """A noun with its determiner and modifiers.

    ``determiner`` is an English word (the, a, some, this, my, two ...) or empty where an
    ``owner`` takes its place (*the teacher's car*).
    """

    determiner: str
    noun: Noun
    plural: bool = False
    adjectives: tuple[Adjective, ...] = ()
    owner: NounPhrase | Name | None = None
    relative: Relative | None = None


@dataclass(frozen=True)
class Coordination:
    """Two singular nominals joined by *and*."""

    first: NounPhrase | Name
    second: NounPhrase | Name


Nominal = NounPhrase | Name | Pronoun | Coordination


def is_plural(nominal: Nominal) -> bool:
    """Whether verbs and adjectives agree with it in the plural."""
    return isinstance(nominal, Coordination) or (isinstance(nominal, (NounPhrase, Pronoun)) and nominal.plural)


def conjugation_slot(subject: Nominal) -> int:
    """Where a conjugation lists the subject's form; one has those of I, you, she, we, they."""
    person = subject.person if isinstance(subject, Pronoun) else 3
    return _SLOTS[person, is_plural(subject)]


@dataclass(frozen=True)
class Place:
    """A preposition of place with its noun phrase."""

    preposition: Preposition
    ground: NounPhrase


@dataclass(frozen=True)
class Clause:
    """A verb with its arguments and adjuncts; no subject makes it an imperative.

    In a relative clause the subject or object that the head fills is None.
    """

    subject: Nominal | None
    verb: Verb
    tense: Tense = "present"
    polarity: Polarity = "yes"
    object: NounPhrase | Pronoun | None = None
    recipient: NounPhrase | Name | Pronoun | None = None
    goal: NounPhrase | None = None
    place: Place | None = None
    adverb: Adverb | None = None
    modal: Modal | None = None
    time: Time | None = None
    question: Question = ""


@dataclass(frozen=True)
class Predicate:
    """*subject is adjective*, or with ``than`` a comparison."""

    subject: Nominal
    adjective: Adjective
    tense: Tense = "present"
    negated: bool = False
    than: NounPhrase | Name | None = None
    question: bool = False


@dataclass(frozen=True)
class Existence:
    """*there is ... in ...*."""

    theme: NounPhrase
    place: Place
    past: bool = False


Sentence = Clause | Predicate | Existence


def pairs(sentence: Sentence) -> frozenset[Pair]:
    """The word combinations by which the splits are separated.

    Returns:
        ``("adjective", adjective, noun)`` for every adjective that describes a noun, and
        ``("object", verb, noun)`` for every verb and its direct object, in English base forms.
    """
    return frozenset(_sentence_pairs(sentence))


def _sentence_pairs(sentence: Sentence) -> Iterator[Pair]:
    if isinstance(sentence, Existence):
        yield from _phrase_pairs(sentence.theme)
        yield from _phrase_pairs(sentence.place.ground)
    elif isinstance(sentence, Predicate):
        yield from _phrase_pairs(sentence.subject)
        yield from _phrase_pairs(sentence.than)
        if isinstance(sentence.subject, NounPhrase):
            yield ("adjective", sentence.adjective.en, sentence.subject.noun.en)
    else:
        if isinstance(sentence.object, NounPhrase):
            yield ("object", sentence.verb.en, sentence.object.noun.en)
        for part in (sentence.subject, sentence.object, sentence.recipient, sentence.goal):
            yield from _phrase_pairs(part)
        if sentence.place is not None:
            yield from _phrase_pairs(sentence.place.ground)


def _phrase_pairs(phrase: Nominal | None) -> Iterator[Pair]:
    if isinstance(phrase, Coordination):
        yield from _phrase_pairs(phrase.first)
        yield from _phrase_pairs(phrase.second)
    if not isinstance(phrase, NounPhrase):
        return
    for adjective in phrase.adjectives:
        yield ("adjective", adjective.en, phrase.noun.en)
    yield from _phrase_pairs(phrase.owner)
    if phrase.relative is not None:
        yield from _sentence_pairs(phrase.relative.clause)
        if phrase.relative.gap == "object":
            yield ("object", phrase.relative.clause.verb.en, phrase.noun.en)
