"""German wording of the embedded corpus: cases, adjective endings, the verb's place, separable verbs.

A main clause has its finite verb second, a relative clause last; participles, infinitives and particles end the
main clause. Conventions where English leaves the German open: *you* is *du*, *it* is *es*, the past is the perfect
(*was* is *war*), and a time phrase that ends the English sentence opens the German one, before the verb.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aista.corpora.synthetic import german_lexicon as lexicon
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
    conjugation_slot,
)
from aista.corpora.synthetic.word import Name

__all__ = ["german"]

Case = Literal["nom", "acc", "dat", "gen"]
_Endings = dict[str, tuple[str, str, str, str]]
"""By case: masculine, feminine, neuter, plural."""

_ARTICLES: _Endings = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "den"),
    "gen": ("des", "der", "des", "der"),
}
_RELATIVES: _Endings = {**_ARTICLES, "dat": ("dem", "der", "dem", "denen")}
_DIES: _Endings = {
    "nom": ("er", "e", "es", "e"),
    "acc": ("en", "e", "es", "e"),
    "dat": ("em", "er", "em", "en"),
    "gen": ("es", "er", "es", "er"),
}
_EIN: _Endings = {**_DIES, "nom": ("", "e", "", "e"), "acc": ("en", "e", "", "e")}
# Of adjectives: after the article and *dies-*; after *ein*, *kein* and possessives; after no ending.
_WEAK: _Endings = {
    "nom": ("e", "e", "e", "en"),
    "acc": ("en", "e", "e", "en"),
    "dat": ("en", "en", "en", "en"),
    "gen": ("en", "en", "en", "en"),
}
_MIXED: _Endings = {**_WEAK, "nom": ("er", "e", "es", "en"), "acc": ("en", "e", "es", "en")}
_STRONG: _Endings = {**_DIES, "gen": ("en", "er", "en", "er")}
_POSSESSIVES = {"my": "mein", "your": "dein", "his": "sein", "her": "ihr", "our": "unser", "their": "ihr"}
_NUMERALS = {"two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs", "eight": "acht"}
_NUMERALS |= {"ten": "zehn"}
_PRONOUNS = {
    (1, False): {"nom": "ich", "acc": "mich", "dat": "mir"},
    (2, False): {"nom": "du", "acc": "dich", "dat": "dir"},
    (1, True): {"nom": "wir", "acc": "uns", "dat": "uns"},
    (3, True): {"nom": "sie", "acc": "sie", "dat": "ihnen"},
}
_HE = {"nom": "er", "acc": "ihn", "dat": "ihm"}
_SHE = {"nom": "sie", "acc": "sie", "dat": "ihr"}
_IT = {"nom": "es", "acc": "es", "dat": "ihm"}
_HABEN = ("habe", "hast", "hat", "haben", "haben")
_SEIN = ("bin", "bist", "ist", "sind", "sind")
_SEIN_PAST = ("war", "warst", "war", "waren", "waren")
_WERDEN = ("werde", "wirst", "wird", "werden", "werden")
_NEGATIONS = {"yes": [], "not": ["nicht"], "never": ["nie"], "no longer": ["nicht", "mehr"]}
_QUESTIONS = {"where": "wo", "when": "wann", "why": "warum", "how": "wie", "who": "wer"}
_CONTRACTIONS = {("in", "dem"): "im", ("an", "dem"): "am", ("bei", "dem"): "beim", ("von", "dem"): "vom"}
_CONTRACTIONS |= {("zu", "dem"): "zum", ("zu", "der"): "zur", ("in", "das"): "ins"}
_GOALS: dict[str, tuple[str, Case]] = {"to": ("zu", "dat"), "from": ("von", "dat"), "at": ("an", "dat")}
_ENCLOSING_GOALS: dict[str, tuple[str, Case]] = {"to": ("in", "acc"), "from": ("aus", "dat"), "at": ("in", "dat")}


def german(sentence: Sentence) -> str:
    """Word a sentence in German: lower case (nouns too), no punctuation."""
    if isinstance(sentence, Predicate):
        words = _predicate(sentence)
    elif isinstance(sentence, Existence):
        be = (_SEIN_PAST if sentence.past else _SEIN)[conjugation_slot(sentence.theme)]
        words = [*_place(sentence.place), be, *_nominal(sentence.theme, "nom")]
    else:
        words = _clause(sentence)
    return " ".join(words)


def _nominal(nominal: Nominal, case: Case, *, negation: str = "") -> list[str]:
    """A nominal without its relative clause.

    Args:
        nominal: The phrase to word.
        case: Its case.
        negation: ``kein`` or ``nie`` where an indefinite noun phrase takes *kein*, or follows *nie*.
    """
    if isinstance(nominal, Name):
        return [nominal.en]
    if isinstance(nominal, Coordination):
        return [*_nominal(nominal.first, case), "und", *_nominal(nominal.second, case)]
    if isinstance(nominal, Pronoun):
        singular = _IT if not nominal.animate else _HE if nominal.gender == "m" else _SHE
        return [_PRONOUNS.get((nominal.person, nominal.plural), singular)[case]]
    determiner, endings = _determiner(nominal, case, negation)
    place = _column(nominal)
    adjectives = [lexicon.ADJECTIVES[one.en].stem + endings[case][place] for one in nominal.adjectives]
    owner = _nominal(nominal.owner, "gen") if isinstance(nominal.owner, NounPhrase) else []
    return [*determiner, *adjectives, _noun(nominal, case), *owner]


def _column(phrase: NounPhrase) -> int:
    """Where tables of endings have the phrase's gender and number."""
    return 3 if phrase.plural else "mfn".index(lexicon.NOUNS[phrase.noun.en].gender)


def _noun(phrase: NounPhrase, case: Case) -> str:
    noun = lexicon.NOUNS[phrase.noun.en]
    if phrase.plural:
        return noun.plural if case != "dat" or noun.plural.endswith(("n", "s")) else f"{noun.plural}n"
    return noun.genitive if case == "gen" or (noun.weak and case != "nom") else noun.singular


def _determiner(phrase: NounPhrase, case: Case, negation: str) -> tuple[list[str], _Endings]:
    """The determiner, and the endings of the adjectives that follow it."""
    place, word = _column(phrase), phrase.determiner
    if isinstance(phrase.owner, Name):
        return [f"{phrase.owner.en}s"], _STRONG
    if word == "the" or phrase.owner is not None:
        return [_ARTICLES[case][place]], _WEAK
    if word == "this":
        return [f"dies{_DIES[case][place]}"], _WEAK
    if word in _NUMERALS:
        return [_NUMERALS[word]], _STRONG
    if word == "some" and negation == "nie":
        return [], _STRONG
    if word == "some" and negation == "":
        return [f"einig{_DIES[case][place]}" if phrase.plural else "etwas"], _STRONG
    stem = _POSSESSIVES.get(word) or ("kein" if negation == "kein" else "ein")
    return [stem + _EIN[case][place]], _MIXED


def _prepose(preposition: str, words: Sequence[str]) -> list[str]:
    """Put a preposition before a phrase, contracting with its article: ``in dem park`` -> ``im park``."""
    contracted = _CONTRACTIONS.get((preposition, words[0]))
    return [contracted, *words[1:]] if contracted else [preposition, *words]


def _place(place: Place | None) -> list[str]:
    if place is None:
        return []
    noun, preposition = place.ground.noun.en, lexicon.PREPOSITIONS[place.preposition.en]
    if place.preposition.en == "on":
        preposition = lexicon.ON.get(noun, preposition)
    return _prepose(preposition, _nominal(place.ground, "dat"))


def _goal(clause: Clause) -> list[str]:
    if clause.goal is None:
        return []
    goals = _ENCLOSING_GOALS if clause.goal.noun.en in lexicon.ENCLOSING else _GOALS
    preposition, case = goals[clause.verb.en_preposition]
    return _prepose(preposition, _nominal(clause.goal, case))


def _with_relative(nominal: Nominal) -> list[str]:
    """A subject, with its relative clause behind it."""
    return [*_nominal(nominal, "nom"), *_relative(nominal)]


def _relative(nominal: Nominal | None) -> list[str]:
    """The relative clause of a nominal, its verb last: ``die das mädchen gegessen hat``."""
    if not isinstance(nominal, NounPhrase) or nominal.relative is None:
        return []
    clause, verb = nominal.relative.clause, lexicon.VERBS[nominal.relative.clause.verb.en]
    is_subject = nominal.relative.gap == "subject"
    pronoun = _RELATIVES["nom" if is_subject else verb.case][_column(nominal)]
    subject = nominal if is_subject else clause.subject
    assert subject is not None  # only the head may be missing
    opening = [pronoun] if is_subject else [*verb.preposition.split(), pronoun, *_with_relative(subject)]
    finite, closing = _verb(clause, conjugation_slot(subject))
    separated = closing == [verb.particle]
    return [*opening, *_middle(clause), *([verb.particle + finite] if separated else [*closing, finite])]


def _verb(clause: Clause, slot: int) -> tuple[str, list[str]]:
    """The finite verb, and what ends a main clause: participle, infinitive or particle."""
    verb = lexicon.VERBS[clause.verb.en]
    if clause.modal is not None:
        modals = lexicon.MODALS if clause.polarity == "yes" else lexicon.NEGATED_MODALS
        return modals[clause.modal.en][slot], [verb.infinitive]
    if clause.tense == "past":
        return (_SEIN if verb.sein else _HABEN)[slot], [verb.participle]
    if clause.tense == "future":
        return _WERDEN[slot], [verb.infinitive]
    return verb.present[slot], [verb.particle] if verb.particle else []


def _middle(clause: Clause) -> list[str]:
    """What stands between the finite verb and the end, without the subject.

    Pronouns (the accusative first); if the clause is negated, recipient and definite objects; time, negation, adverb;
    the other objects, the dative first; those with a preposition, place and goal.
    """
    verb = lexicon.VERBS[clause.verb.en]
    objects: list[tuple[NounPhrase | Name | Pronoun, Case]] = []
    if clause.recipient is not None:
        objects.append((clause.recipient, "dat"))
    if clause.object is not None:
        objects.append((clause.object, "dat" if verb.case == "dat" else "acc"))
    phrases = [one for one in objects if verb.preposition or not isinstance(one[0], Pronoun)]
    pronouns = [_nominal(*one) for one in reversed(objects) if one not in phrases]
    takes_kein = clause.polarity in ("not", "no longer") and bool(phrases) and _can_take_kein(clause, phrases[-1][0])
    negator = [] if takes_kein else _NEGATIONS[clause.polarity]
    worded = [_nominal(*one, negation="nie" if clause.polarity == "never" else "") for one in phrases]
    if takes_kein:
        worded[-1] = _nominal(*phrases[-1], negation="kein") + _NEGATIONS[clause.polarity][1:]
    if verb.preposition and worded:
        worded[-1] = [verb.preposition, *worded[-1]]
    settled = [one is clause.recipient or not _is_indefinite(one) for one, _ in phrases]
    early = len(settled) - settled[::-1].index(True) if negator and any(settled) and not verb.preposition else 0
    time = [lexicon.TIMES[clause.time.en]] if clause.time and clause.time.english_first else []
    adverb = [lexicon.ADVERBS[clause.adverb.en]] if clause.adverb else []
    parts = [*pronouns, *worded[:early], time, negator, adverb, *worded[early:], _place(clause.place), _goal(clause)]
    return [word for part in parts for word in part]


def _is_indefinite(nominal: Nominal) -> bool:
    return isinstance(nominal, NounPhrase) and nominal.determiner in ("a", "some")


def _can_take_kein(clause: Clause, last: Nominal) -> bool:
    """Whether the last object can hold the negation; *some* recipients are not *any* in English either."""
    return _is_indefinite(last) and (last is clause.object or (isinstance(last, NounPhrase) and last.determiner == "a"))


def _opening(clause: Clause) -> list[str]:
    """What stands before the finite verb of a main clause; nothing in commands and yes/no questions."""
    verb = lexicon.VERBS[clause.verb.en]
    if clause.subject is None or clause.question == "yes/no":
        return []
    if clause.question == "what":
        return [f"wor{verb.preposition}" if verb.preposition else "wem" if verb.case == "dat" else "was"]
    if clause.question:
        return [_QUESTIONS[clause.question]]
    if clause.time is not None and not clause.time.english_first:
        return [lexicon.TIMES[clause.time.en]]
    return _with_relative(clause.subject)


def _clause(clause: Clause) -> list[str]:
    """A main clause; the relative clause of an object follows all else."""
    opening, end = _opening(clause), _relative(clause.object)
    if clause.subject is None:
        verb = lexicon.VERBS[clause.verb.en]
        return [verb.imperative, *_middle(clause), *([verb.particle] if verb.particle else []), *end]
    finite, closing = _verb(clause, conjugation_slot(clause.subject))
    is_inverted = clause.question not in ("", "who") or (clause.time is not None and not clause.time.english_first)
    subject = _with_relative(clause.subject) if is_inverted else []
    return [*opening, finite, *subject, *_middle(clause), *closing, *end]


def _predicate(sentence: Predicate) -> list[str]:
    slot, adjective = conjugation_slot(sentence.subject), lexicon.ADJECTIVES[sentence.adjective.en]
    be = {"present": _SEIN, "past": _SEIN_PAST, "future": _WERDEN}[sentence.tense][slot]
    subject = _with_relative(sentence.subject)
    rest = ["nicht"] if sentence.negated else []
    rest += [adjective.base if sentence.than is None else adjective.comparative]
    rest += ["sein"] if sentence.tense == "future" else []
    rest += [] if sentence.than is None else ["als", *_nominal(sentence.than, "nom")]
    return [be, *subject, *rest] if sentence.question else [*subject, be, *rest]
