"""Short ways to write down what a sentence means, with the English words of the lexicon."""

from aista.corpora.synthetic import lexicon
from aista.corpora.synthetic.syntax import Clause, NounPhrase, Pronoun

NOUNS = {noun.en: noun for noun in lexicon.NOUNS}
ADJECTIVES = {adjective.en: adjective for adjective in lexicon.ADJECTIVES}
VERBS = {verb.en: verb for verb in (*lexicon.TRANSITIVES, *lexicon.INTRANSITIVES, *lexicon.MOTIONS)}
NAMES = {name.en: name for name in lexicon.NAMES}
MODALS = {modal.en: modal for modal in lexicon.MODALS}
TIMES = {time.en: time for time in lexicon.TIMES}
ADVERBS = {adverb.en: adverb for adverb in lexicon.ADVERBS}
PREPOSITIONS = {preposition.en: preposition for preposition in lexicon.PREPOSITIONS}
ME, HE, SHE, WE, THEY = (
    Pronoun(1),
    Pronoun(3),
    Pronoun(3, gender="f"),
    Pronoun(1, True),
    Pronoun(3, True),
)
IT = Pronoun(3, animate=False)


def phrase(words: str, *, plural: bool = False, owner=None) -> NounPhrase:
    determiner, *adjectives, noun = words.split() if owner is None else ["", *words.split()]
    return NounPhrase(determiner, NOUNS[noun], plural, tuple(ADJECTIVES[word] for word in adjectives), owner)


def clause(subject, verb: str, thing=None, **options) -> Clause:
    return Clause(subject, VERBS[verb], object=thing, **options)
