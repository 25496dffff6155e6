"""French wording of the embedded corpus: agreement, elision, contraction, clitics, negation.

Conventions where English leaves the French open: *you* is *tu*, *they* is *ils*, *it* is masculine,
and speaker and listener are masculine.
"""

from __future__ import annotations

from aista.corpora.synthetic.lexicon import ASPIRATED
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
    is_plural,
)
from aista.corpora.synthetic.word import Adjective, Name, Verb

__all__ = ["french"]

_SUBJECTS = {(1, False): "je", (2, False): "tu", (1, True): "nous", (3, True): "ils"}
_AVOIR = ("ai", "as", "a", "avons", "ont")
_ETRE = ("suis", "es", "est", "sommes", "sont")
_ETRE_PAST = ("étais", "étais", "était", "étions", "étaient")
_FUTURE = ("ai", "as", "a", "ons", "ont")
_NEGATIONS = {"not": "pas", "never": "jamais", "no longer": "plus"}
_OBJECTS = {(1, False): "me", (2, False): "te", (1, True): "nous", (3, True): "les"}
_RECIPIENTS = {(1, False): "me", (2, False): "te", (3, False): "lui", (1, True): "nous", (3, True): "leur"}
_CLITIC_ORDER = ("me", "te", "nous", "le", "la", "les", "lui", "leur")
_POSSESSIVES = {"my": ("mon", "ma", "mes"), "your": ("ton", "ta", "tes"), "his": ("son", "sa", "ses")}
_POSSESSIVES |= {"her": _POSSESSIVES["his"], "our": ("notre", "notre", "nos"), "their": ("leur", "leur", "leurs")}
_NUMERALS = {"two": "deux", "three": "trois", "four": "quatre", "five": "cinq", "six": "six", "eight": "huit"}
_NUMERALS |= {"ten": "dix"}
_CONTRACTIONS = {("de", "le"): "du", ("de", "les"): "des", ("à", "le"): "au", ("à", "les"): "aux"}
_ELIDED = frozenset({"je", "me", "te", "le", "la", "ne", "de", "que"})
_QUESTIONS = {"yes/no": "", "where": "où", "when": "quand", "why": "pourquoi", "how": "comment"}
_VOWELS = tuple("aeiouyàâéèêëîïôöùûœh")


def french(sentence: Sentence) -> str:
    """Word a sentence in French: lower case, no punctuation but apostrophes and hyphens."""
    if isinstance(sentence, Predicate):
        words = _predicate(sentence)
    elif isinstance(sentence, Existence):
        words = ["il", "y", "avait" if sentence.past else "a", *_nominal(sentence.theme), *_place(sentence.place)]
    else:
        words = _clause(sentence)
    return _elide(" ".join(words).split())


def _starts_with_vowel(word: str) -> bool:
    return word.startswith(_VOWELS) and word not in ASPIRATED


def _elide(words: list[str]) -> str:
    """Join words with spaces, eliding before vowels: ``que il`` -> ``qu'il``."""
    text = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        elides = word in _ELIDED and _starts_with_vowel(following)
        text += f"{word[:-1]}'" if elides else f"{word} "
    return text.rstrip()


def _prepose(preposition: str, words: list[str]) -> list[str]:
    """Put a preposition before a phrase, contracting with its article: ``à le marché`` -> ``au marché``."""
    *start, last = preposition.split()
    contracted = _CONTRACTIONS.get((last, words[0]))
    if contracted and not (words[0] == "le" and _starts_with_vowel(words[1])):
        return [*start, contracted, *words[1:]]
    return [*start, last, *words]


def _gender(nominal: Nominal) -> str:
    if isinstance(nominal, NounPhrase):
        return nominal.noun.gender
    if isinstance(nominal, Coordination):
        return "f" if _gender(nominal.first) == _gender(nominal.second) == "f" else "m"
    return nominal.gender


def _adjective(adjective: Adjective, gender: str, plural: bool, following: str = "") -> str:
    if gender == "f":
        return adjective.fr_feminine_plural if plural else adjective.fr_feminine
    if plural:
        return adjective.fr_plural
    return adjective.fr_vowel if following and _starts_with_vowel(following) else adjective.fr


def _agree(participle: str, nominal: Nominal) -> str:
    form = participle + ("e" if _gender(nominal) == "f" else "")
    return form + ("s" if is_plural(nominal) and not form.endswith("s") else "")


def _nominal(nominal: Nominal | None, *, negated: bool = False) -> list[str]:
    """A nominal as subject or noun object; pronoun objects are clitics and handled by the verb group."""
    if nominal is None:
        return []
    if isinstance(nominal, Name):
        return [nominal.en]
    if isinstance(nominal, Coordination):
        return [*_nominal(nominal.first), "et", *_nominal(nominal.second)]
    if isinstance(nominal, Pronoun):
        singular = "il" if nominal.gender == "m" else "elle"
        return [_SUBJECTS.get((nominal.person, nominal.plural), singular)]
    return _noun_phrase(nominal, negated)


def _noun_phrase(phrase: NounPhrase, negated: bool) -> list[str]:
    gender, plural = phrase.noun.gender, phrase.plural
    noun = phrase.noun.fr_plural if plural else phrase.noun.fr
    before = [_adjective(a, gender, plural, noun) for a in phrase.adjectives if a.precedes]
    after = [_adjective(a, gender, plural) for a in phrase.adjectives if not a.precedes]
    core = [*before, noun, *after]
    words = [*_determiner(phrase, core[0], bare=not before, negated=negated), *core]
    if phrase.owner is not None:
        words += _prepose("de", _nominal(phrase.owner))
    if phrase.relative is not None:
        clause = phrase.relative.clause
        if phrase.relative.gap == "object":
            words += ["que", *_clause(clause, moved_object=phrase)]
        else:
            words += ["qui", *_verb_group(clause, phrase), *_complements(clause)]
    return words


def _determiner(phrase: NounPhrase, first: str, *, bare: bool, negated: bool) -> list[str]:
    """The French determiner; ``bare``: no adjective stands between it and the noun."""
    feminine, vowel = phrase.noun.gender == "f", _starts_with_vowel(first)
    word = "the" if phrase.owner is not None else phrase.determiner
    if word in _POSSESSIVES:
        masculine, feminine_form, plural = _POSSESSIVES[word]
        return [plural if phrase.plural else feminine_form if feminine and not vowel else masculine]
    if word in _NUMERALS:
        return [_NUMERALS[word]]
    if word == "this":
        return ["ces" if phrase.plural else "cette" if feminine else "cet" if vowel else "ce"]
    if word == "the":
        return ["les" if phrase.plural else "la" if feminine else "le"]
    if negated:
        return ["de"]
    if word == "a":
        return ["une" if feminine else "un"]
    if phrase.plural:
        return ["des" if bare else "de"]
    return ["de", "la"] if feminine else ["de", "le"] if vowel else ["du"]


def _place(place: Place | None) -> list[str]:
    return [] if place is None else _prepose(place.preposition.fr, _nominal(place.ground))


def _object_clitic(pronoun: Pronoun) -> str:
    return _OBJECTS.get((pronoun.person, pronoun.plural), "la" if pronoun.gender == "f" else "le")


def _clitics(clause: Clause) -> list[str]:
    clitics = []
    if isinstance(clause.object, Pronoun):
        clitics.append(_object_clitic(clause.object))
    if isinstance(clause.recipient, Pronoun):
        clitics.append(_RECIPIENTS[clause.recipient.person, clause.recipient.plural])
    return sorted(clitics, key=_CLITIC_ORDER.index)


def _participle(verb: Verb, subject: Nominal, preceding_object: Nominal | None) -> str:
    """The past participle agrees with the subject (être) or with an object that precedes it (avoir)."""
    controller = subject if verb.etre else preceding_object
    return verb.participle if controller is None else _agree(verb.participle, controller)


def _verb_group(clause: Clause, subject: Nominal, moved_object: NounPhrase | None = None) -> list[str]:
    """``ne`` + clitics + finite verb + ``pas`` + adverb + participle or infinitive."""
    slot, verb = conjugation_slot(subject), clause.verb
    negation = [_NEGATIONS[clause.polarity]] if clause.polarity != "yes" else []
    ne = ["ne"] if negation else []
    clitics = _clitics(clause)
    frequency = [clause.adverb.fr] if clause.adverb and clause.adverb.frequency else []
    manner = [clause.adverb.fr] if clause.adverb and not clause.adverb.frequency else []
    if clause.modal is not None:
        return [*ne, clause.modal.present[slot], *negation, *frequency, *clitics, verb.infinitive, *manner]
    if clause.tense == "past":
        auxiliary = (_ETRE if verb.etre else _AVOIR)[slot]
        preceding = clause.object if isinstance(clause.object, Pronoun) else moved_object
        participle = _participle(verb, subject, preceding)
        return [*ne, *clitics, auxiliary, *negation, *frequency, participle, *manner]
    finite = verb.present[slot] if clause.tense == "present" else verb.future + _FUTURE[slot]
    return [*ne, *clitics, finite, *negation, *frequency, *manner]


def _complements(clause: Clause) -> list[str]:
    words = []
    if not isinstance(clause.object, Pronoun):
        words += _nominal(clause.object, negated=clause.polarity != "yes")
    if clause.recipient is not None and not isinstance(clause.recipient, Pronoun):
        words += _prepose("à", _nominal(clause.recipient))
    if clause.goal is not None:
        words += _prepose(clause.verb.fr_preposition, _nominal(clause.goal))
    return words + _place(clause.place)


def _imperative(clause: Clause) -> list[str]:
    form = clause.verb.present[1]
    form = form.removesuffix("s") if form.endswith("es") else form
    if clause.polarity == "not":
        return ["ne", *_clitics(clause), form, "pas", *_complements(clause)]
    # After an affirmative imperative the object comes before the recipient: donne-le-moi.
    clitics = sorted(_clitics(clause), key=lambda word: word not in ("le", "la", "les"))
    return ["-".join([form, *("moi" if word == "me" else word for word in clitics)]), *_complements(clause)]


def _clause(clause: Clause, moved_object: NounPhrase | None = None) -> list[str]:
    if clause.subject is None:
        return _imperative(clause)
    rest = [*_verb_group(clause, clause.subject, moved_object), *_complements(clause)]
    if clause.question == "who":
        return ["qui", *rest]
    words = [*_nominal(clause.subject), *rest]
    if clause.question == "what":
        return ["qu'est-ce que", *words]
    if clause.question:
        return [_QUESTIONS[clause.question], "est-ce que", *words]
    if clause.time is not None:
        words = [*words, clause.time.fr] if clause.time.english_first else [clause.time.fr, *words]
    return words


def _predicate(sentence: Predicate) -> list[str]:
    slot = conjugation_slot(sentence.subject)
    be = {"present": _ETRE[slot], "past": _ETRE_PAST[slot], "future": "ser" + _FUTURE[slot]}[sentence.tense]
    adjective = _adjective(sentence.adjective, _gender(sentence.subject), is_plural(sentence.subject))
    verb = ["ne", be, "pas"] if sentence.negated else [be]
    than = [] if sentence.than is None else ["que", *_nominal(sentence.than)]
    degree = [] if sentence.than is None else ["plus"]
    return [
        *(["est-ce que"] if sentence.question else []),
        *_nominal(sentence.subject),
        *verb,
        *degree,
        adjective,
        *than,
    ]
