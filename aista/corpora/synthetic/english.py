"""English wording of the embedded corpus."""

from __future__ import annotations

from aista.corpora.synthetic.syntax import (
    Clause,
    Coordination,
    Existence,
    Nominal,
    NounPhrase,
    Place,
    Predicate,
    Pronoun,
    Sentence,
    is_plural,
)
from aista.corpora.synthetic.word import Name

__all__ = ["english"]

_SUBJECTS = {(1, False): "i", (2, False): "you", (1, True): "we", (3, True): "they"}
_OBJECTS = {(1, False): "me", (2, False): "you", (1, True): "us", (3, True): "them"}


def english(sentence: Sentence) -> str:
    """Word a sentence in English: lower case, no punctuation."""
    if isinstance(sentence, Predicate):
        words = _predicate(sentence)
    elif isinstance(sentence, Existence):
        number = sentence.theme.plural
        be = ("were" if number else "was") if sentence.past else ("are" if number else "is")
        words = ["there", be, *_nominal(sentence.theme), *_place(sentence.place)]
    else:
        words = _clause(sentence)
    return " ".join(words)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _takes_third_person(subject: Nominal) -> bool:
    return not is_plural(subject) and not (isinstance(subject, Pronoun) and subject.person < 3)


def _pronoun(pronoun: Pronoun, *, subject: bool) -> str:
    if pronoun.person == 3 and not pronoun.plural:
        if not pronoun.animate:
            return "it"
        forms = ("he", "him") if pronoun.gender == "m" else ("she", "her")
        return forms[0 if subject else 1]
    return (_SUBJECTS if subject else _OBJECTS)[pronoun.person, pronoun.plural]


def _nominal(nominal: Nominal | None, *, subject: bool = False, negated: bool = False) -> list[str]:
    if nominal is None:
        return []
    if isinstance(nominal, Name):
        return [nominal.en]
    if isinstance(nominal, Pronoun):
        return [_pronoun(nominal, subject=subject)]
    if isinstance(nominal, Coordination):
        return [*_nominal(nominal.first), "and", *_nominal(nominal.second)]
    return _noun_phrase(nominal, negated)


def _noun_phrase(phrase: NounPhrase, negated: bool) -> list[str]:
    core = [adjective.en for adjective in phrase.adjectives]
    core.append(phrase.noun.en_plural if phrase.plural else phrase.noun.en)
    if phrase.owner is not None:
        owner = _nominal(phrase.owner)
        opening = [*owner[:-1], f"{owner[-1]}'s"]
    elif phrase.determiner == "a":
        opening = [_article(core[0])]
    elif phrase.determiner == "some" and negated:
        opening = ["any"]
    elif phrase.determiner == "this" and phrase.plural:
        opening = ["these"]
    else:
        opening = [phrase.determiner]
    return opening + core + _relative(phrase)


def _relative(phrase: NounPhrase) -> list[str]:
    if phrase.relative is None:
        return []
    clause = phrase.relative.clause
    if phrase.relative.gap == "object":
        return ["that", *_clause(clause)]
    marker = "who" if "person" in phrase.noun.kinds else "that"
    return [marker, *_verb_group(clause, third=not phrase.plural), *_complements(clause)]


def _place(place: Place | None) -> list[str]:
    return [] if place is None else [place.preposition.en, *_nominal(place.ground)]


def _verb_group(clause: Clause, *, third: bool) -> list[str]:
    """The finite verb with auxiliary, negation and frequency adverb."""
    verb, adverb = clause.verb, [clause.adverb.en] if clause.adverb and clause.adverb.frequency else []
    if clause.modal is not None:
        modal = clause.modal
        if clause.polarity != "yes":
            return [modal.en_third_negated if third else modal.en_negated, *adverb, verb.en]
        return [modal.en_third if third else modal.en, *adverb, verb.en]
    if clause.polarity == "not":
        auxiliary = {"present": "does" if third else "do", "past": "did", "future": "will"}[clause.tense]
        return [auxiliary, "not", *adverb, verb.en]
    if clause.polarity != "yes":
        adverb = [clause.polarity]
    if clause.tense == "future":
        return ["will", *adverb, verb.en]
    if clause.tense == "past":
        return [*adverb, verb.en_past]
    return [*adverb, verb.en_third if third else verb.en]


def _complements(clause: Clause) -> list[str]:
    """Everything after the verb; a noun recipient stands before a noun object (*gives the child a ball*)."""
    thing = _nominal(clause.object, negated=clause.polarity != "yes")
    recipient = _nominal(clause.recipient)
    if not recipient:
        words = thing
    elif isinstance(clause.object, NounPhrase):
        words = recipient + thing
    else:
        words = [*thing, "to", *recipient]
    if clause.goal is not None:
        words = [*words, clause.verb.en_preposition, *_nominal(clause.goal)]
    manner = [clause.adverb.en] if clause.adverb and not clause.adverb.frequency else []
    return words + _place(clause.place) + manner


def _clause(clause: Clause) -> list[str]:
    if clause.subject is None:
        start = ["do", "not"] if clause.polarity == "not" else []
        return [*start, clause.verb.en, *_complements(clause)]
    if clause.question == "who":
        return ["who", *_verb_group(clause, third=True), *_complements(clause)]
    third = _takes_third_person(clause.subject)
    if clause.question:
        auxiliary = {"present": "does" if third else "do", "past": "did", "future": "will"}[clause.tense]
        opening = [] if clause.question == "yes/no" else [clause.question]
        subject = _nominal(clause.subject, subject=True)
        return [*opening, auxiliary, *subject, clause.verb.en, *_complements(clause)]
    words = [*_nominal(clause.subject, subject=True), *_verb_group(clause, third=third), *_complements(clause)]
    if clause.time is not None:
        words = [clause.time.en, *words] if clause.time.english_first else [*words, clause.time.en]
    return words


def _predicate(sentence: Predicate) -> list[str]:
    subject = sentence.subject
    plural = not _takes_third_person(subject)
    present = "am" if subject == Pronoun(1) else "are" if plural else "is"
    past = "was" if subject == Pronoun(1) or not plural else "were"
    be = {"present": present, "past": past, "future": "will"}[sentence.tense]
    words = _nominal(subject, subject=True)
    rest = ["not"] if sentence.negated else []
    rest += ["be"] if sentence.tense == "future" else []
    rest += [sentence.adjective.en if sentence.than is None else sentence.adjective.comparative]
    rest += [] if sentence.than is None else ["than", *_nominal(sentence.than)]
    return [be, *words, *rest] if sentence.question else [*words, be, *rest]
