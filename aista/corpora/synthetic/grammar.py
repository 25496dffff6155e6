"""The sentence patterns of the embedded corpus: draws meanings, worded in English and other languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import TypeVar

from aista.corpora.synthetic import lexicon
from aista.corpora.synthetic.english import english
from aista.corpora.synthetic.syntax import (
    Clause,
    Coordination,
    Existence,
    Nominal,
    NounPhrase,
    Pair,
    Place,
    Polarity,
    Predicate,
    Pronoun,
    Question,
    Relative,
    Sentence,
    pairs,
)
from aista.corpora.synthetic.translations import TRANSLATIONS
from aista.corpora.synthetic.word import Adjective, Name, Noun, Tense, Verb

__all__ = ["Grammar", "Translated"]

T = TypeVar("T")

_POSSESSIVES = ("my", "your", "his", "her", "our", "their")
_NUMERALS = ("two", "three", "four", "five", "six", "eight", "ten")
_DEFINITE = ("the", "the", "the", "the", "this", *_POSSESSIVES)
_PEOPLE = frozenset({"person"})
_BEINGS = frozenset({"person", "animal"})
_GOALS = frozenset({"inside", "goal"})
_ANIMAL_VERBS = frozenset({"eat", "see", "follow", "hear", "watch", "look for", "find", "sleep", "run", "swim", "play"})
_PERSONAL = (Pronoun(1), Pronoun(2), Pronoun(3), Pronoun(3, gender="f"), Pronoun(1, True), Pronoun(3, True))
_THINGS = (Pronoun(3, animate=False), Pronoun(3, True))
_UNCOMMANDED = frozenset({"see", "hear", "lose", "find"})
_PERSON_OBJECTS = frozenset({"see", "hear", "help", "call", "follow", "watch", "wait for", "look for"})


@dataclass(frozen=True)
class Translated:
    """An English sentence, its translations by language code, and the word combinations that it holds."""

    source: str
    targets: Mapping[str, str]
    pairs: frozenset[Pair]


@cache
def _nouns(kinds: frozenset[str]) -> tuple[Noun, ...]:
    return tuple(noun for noun in lexicon.NOUNS if noun.kinds & kinds)


@cache
def _adjectives(noun: Noun, precedes: bool) -> tuple[Adjective, ...]:
    return tuple(a for a in lexicon.ADJECTIVES if a.precedes is precedes and a.kinds & noun.kinds)


class Grammar:
    """Draws sentences; the same generator state gives the same ones, whichever languages they are translated into."""

    def __init__(self, rng: Random, languages: Sequence[str] = ("fr",)) -> None:
        self._rng = rng
        self._languages = languages
        self._patterns = {
            self._statement: 24,
            self._clitic: 12,
            self._giving: 14,
            self._question: 12,
            self._imperative: 7,
            self._relative_subject: 8,
            self._relative_object: 7,
            self._predicate: 8,
            self._comparison: 5,
            self._existence: 4,
            self._modal: 9,
            self._motion: 8,
        }

    def draw(self) -> Translated:
        """One translated sentence. Lengths vary; the caller chooses those it keeps."""
        sentence = self.sentence()
        targets = {language: TRANSLATIONS[language](sentence) for language in self._languages}
        return Translated(english(sentence), targets, pairs(sentence))

    def sentence(self) -> Sentence:
        """The meaning of one sentence."""
        pattern = self._rng.choices(tuple(self._patterns), tuple(self._patterns.values()))[0]
        return pattern()

    def _choice(self, options: Sequence[T]) -> T:
        return options[self._rng.randrange(len(options))]

    def _happens(self, probability: float) -> bool:
        return self._rng.random() < probability

    def _tense(self) -> Tense:
        tenses: tuple[Tense, ...] = ("present", "present", "past", "past", "future")
        return self._choice(tenses)

    def _polarity(self, tense: Tense) -> Polarity:
        if not self._happens(0.25):
            return "yes"
        negations: tuple[Polarity, ...] = ("not", "not", "never", "no longer")
        return self._choice(negations[:3] if tense == "past" else negations)

    def _modifiers(self, noun: Noun, probability: float) -> tuple[Adjective, ...]:
        if not self._happens(probability):
            return ()
        before, after = _adjectives(noun, True), _adjectives(noun, False)
        if before and after and self._happens(0.2):
            return (self._choice(before), self._choice(after))
        return (self._choice(before + after),) if before + after else ()

    def _phrase(self, kinds: frozenset[str], *, definite: bool = False, adjective: float = 0.5) -> NounPhrase:
        noun = self._choice(_nouns(kinds))
        plural = noun.pluralizable and self._happens(0.3)
        phrase = NounPhrase("the", noun, plural, self._modifiers(noun, adjective))
        if self._happens(0.12):
            return replace(phrase, determiner="", owner=self._owner())
        if definite or self._happens(0.5):
            return replace(phrase, determiner=self._choice(_DEFINITE))
        if plural and self._happens(0.5):
            return replace(phrase, determiner=self._choice(_NUMERALS))
        return replace(phrase, determiner="some" if plural or not noun.countable else "a")

    def _owner(self) -> NounPhrase | Name:
        if self._happens(0.4):
            return self._choice(lexicon.NAMES)
        noun = self._choice(_nouns(_PEOPLE))
        return NounPhrase(self._choice(_DEFINITE), noun, False, self._modifiers(noun, 0.15))

    def _subject(self, verb: Verb | None = None) -> Nominal:
        kind = self._rng.random()
        if kind < 0.3:
            return self._choice(_PERSONAL)
        if kind < 0.42:
            return self._choice(lexicon.NAMES)
        if kind < 0.5:
            first, second = self._rng.sample(_nouns(_PEOPLE), 2)
            determiner = self._choice(("the", "my", "our"))
            return Coordination(NounPhrase(determiner, first), NounPhrase(determiner, second))
        return self._phrase(_BEINGS if verb is None or verb.en in _ANIMAL_VERBS else _PEOPLE)

    def _place(self) -> Place:
        preposition = self._choice(lexicon.PREPOSITIONS)
        return Place(preposition, self._phrase(frozenset({preposition.kind}), definite=True, adjective=0.35))

    def _timed(self, clause: Clause) -> Clause:
        times = [time for time in lexicon.TIMES if time.tense == clause.tense and clause.polarity != "never"]
        return replace(clause, time=self._choice(times)) if times and self._happens(0.4) else clause

    def _adverbial(self, clause: Clause) -> Clause:
        options = [a for a in lexicon.ADVERBS if not a.frequency or clause.tense == "present"]
        if clause.polarity == "yes" and self._happens(0.3):
            return replace(clause, adverb=self._choice(options))
        return clause

    def _transitive(self, subject: Nominal | None = None, without: frozenset[str] = frozenset()) -> Clause:
        verb = self._choice([verb for verb in lexicon.TRANSITIVES if not verb.dative and verb.en not in without])
        tense = self._tense()
        clause = Clause(subject or self._subject(verb), verb, tense, self._polarity(tense))
        return replace(clause, object=self._phrase(verb.objects))

    def _intransitive(self) -> Clause:
        verb, tense = self._choice(lexicon.INTRANSITIVES), self._tense()
        clause = Clause(self._subject(verb), verb, tense, self._polarity(tense))
        return replace(clause, place=self._place()) if self._happens(0.75) else clause

    def _pronoun_object(self, verb: Verb, subject: Nominal | None) -> Pronoun:
        if verb.en not in _PERSON_OBJECTS:
            return self._choice(_THINGS)
        free = [p for p in _PERSONAL if not (isinstance(subject, Pronoun) and subject.person == p.person)]
        return self._choice(free)

    def _statement(self) -> Sentence:
        clause = self._transitive() if self._happens(0.65) else self._intransitive()
        return self._timed(self._adverbial(clause))

    def _clitic(self) -> Sentence:
        clause = self._transitive()
        clause = replace(clause, object=self._pronoun_object(clause.verb, clause.subject))
        clause = self._adverbial(clause)
        return self._timed(replace(clause, place=self._place()) if self._happens(0.4) else clause)

    def _dative(self) -> Clause:
        verb, tense = self._choice([verb for verb in lexicon.TRANSITIVES if verb.dative]), self._tense()
        return Clause(self._subject(verb), verb, tense, self._polarity(tense), object=self._phrase(verb.objects))

    def _receiver(self, subject: Nominal | None) -> NounPhrase | Name | Pronoun:
        if self._happens(0.4):
            person = subject.person if isinstance(subject, Pronoun) else 0
            return self._choice([p for p in _PERSONAL if p.person != person])
        if self._happens(0.2):
            return self._choice(lexicon.NAMES)
        return self._phrase(_PEOPLE, adjective=0.25)

    def _giving(self) -> Sentence:
        clause = self._dative()
        clause = replace(clause, recipient=self._receiver(clause.subject))
        if self._happens(0.25):
            clause = replace(clause, object=self._choice(_THINGS))
        return self._timed(clause)

    def _question(self) -> Sentence:
        questions: tuple[Question, ...] = ("yes/no", "yes/no", "where", "when", "why", "how", "what", "who")
        question = self._choice(questions)
        if question == "where" and self._happens(0.5):
            verb = self._choice(lexicon.INTRANSITIVES)
            return Clause(self._subject(verb), verb, self._tense(), question=question)
        clause = replace(self._transitive(), polarity="yes", question=question)
        if question == "who":
            return replace(clause, subject=Pronoun(3))
        if question == "what":
            return replace(clause, object=None, place=self._place() if self._happens(0.7) else None)
        if self._happens(0.3):
            clause = replace(clause, object=self._pronoun_object(clause.verb, clause.subject))
        return clause

    def _imperative(self) -> Sentence:
        polarity: Polarity = "not" if self._happens(0.4) else "yes"
        if self._happens(0.5):
            clause = replace(self._dative(), recipient=self._receiver(Pronoun(2)))
            pronoun: Pronoun = self._choice(_THINGS)
        else:
            clause = self._transitive(Pronoun(2), _UNCOMMANDED)
            pronoun = self._pronoun_object(clause.verb, clause.subject)
            clause = replace(clause, place=self._place()) if self._happens(0.3) else clause
        if self._happens(0.4):
            clause = replace(clause, object=pronoun)
        return replace(clause, subject=None, tense="present", polarity=polarity)

    def _relative_subject(self) -> Sentence:
        head = self._phrase(_PEOPLE, definite=True, adjective=0.3)
        inner = replace(self._transitive(head), polarity="yes")
        if isinstance(inner.object, NounPhrase) and self._happens(0.3):
            inner = replace(inner, object=self._pronoun_object(inner.verb, head))
        subject = replace(head, relative=Relative(replace(inner, subject=None), "subject"))
        if self._happens(0.6):
            return Predicate(subject, self._describing(head), self._outer_tense(inner))
        verb = self._choice(lexicon.INTRANSITIVES)
        return Clause(subject, verb, self._outer_tense(inner))

    def _outer_tense(self, inner: Clause) -> Tense:
        return "present" if inner.tense == "future" else self._tense()

    def _relative_object(self) -> Sentence:
        inner = replace(self._transitive(), polarity="yes")
        assert isinstance(inner.object, NounPhrase)
        noun = inner.object.noun
        plural = noun.pluralizable and self._happens(0.4)
        relative = Relative(replace(inner, object=None), "object")
        head = NounPhrase(
            self._choice(("the", "the", "this")), noun, plural, self._modifiers(noun, 0.3), None, relative
        )
        if self._happens(0.5) and _adjectives(noun, False):
            return Predicate(head, self._describing(head), self._outer_tense(inner))
        outer = self._choice([verb for verb in lexicon.TRANSITIVES if verb.objects & noun.kinds and not verb.dative])
        tense = self._outer_tense(inner)
        return Clause(self._subject(outer), outer, tense, self._polarity(tense), object=head)

    def _describing(self, subject: Nominal) -> Adjective:
        if not isinstance(subject, NounPhrase):
            kinds = _PEOPLE
            return self._choice([a for a in lexicon.ADJECTIVES if a.kinds & kinds])
        options = _adjectives(subject.noun, True) + _adjectives(subject.noun, False)
        return self._choice([a for a in options if a not in subject.adjectives])

    def _predicate(self) -> Sentence:
        subject = self._subject() if self._happens(0.5) else self._phrase(frozenset({"thing", "food", "place", "text"}))
        negated, question = self._happens(0.25), self._happens(0.2)
        tense: Tense = "present" if question else self._tense()
        return Predicate(subject, self._describing(subject), tense, negated and not question, question=question)

    def _comparison(self) -> Sentence:
        kinds = self._choice((_PEOPLE, frozenset({"animal"}), frozenset({"thing"}), frozenset({"place"})))
        subject, than = (self._phrase(kinds, definite=True, adjective=0.25) for _ in range(2))
        while than.noun == subject.noun:
            than = self._phrase(kinds, definite=True, adjective=0.25)
        gradable = [a for a in lexicon.ADJECTIVES if a.comparative != "-"]
        shared = [a for a in gradable if a.kinds & kinds and a not in subject.adjectives]
        return Predicate(subject, self._choice(shared), self._tense(), self._happens(0.2), than=than)

    def _existence(self) -> Sentence:
        theme = self._phrase(frozenset({"person", "animal", "thing", "food", "drink"}))
        number = self._choice(("some", *_NUMERALS)) if theme.plural else "a" if theme.noun.countable else "some"
        return Existence(replace(theme, determiner=number, owner=None), self._place(), self._happens(0.4))

    def _modal(self) -> Sentence:
        clause = self._transitive() if self._happens(0.7) else self._dative()
        polarity: Polarity = "not" if self._happens(0.25) else "yes"
        clause = replace(clause, tense="present", polarity=polarity, modal=self._choice(lexicon.MODALS))
        if clause.verb.dative:
            clause = replace(clause, recipient=self._receiver(clause.subject))
        if self._happens(0.4):
            pronoun = self._choice(_THINGS) if clause.verb.dative else None
            clause = replace(clause, object=pronoun or self._pronoun_object(clause.verb, clause.subject))
        return clause

    def _motion(self) -> Sentence:
        verb, tense = self._choice(lexicon.MOTIONS), self._tense()
        clause = Clause(self._subject(verb), verb, tense, self._polarity(tense))
        return self._timed(replace(clause, goal=self._phrase(_GOALS, definite=True)))
