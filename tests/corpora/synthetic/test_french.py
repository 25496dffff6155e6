"""French wording, checked against sentences translated by hand."""

from dataclasses import replace

import pytest

from aista.corpora.synthetic.english import english
from aista.corpora.synthetic.french import french
from aista.corpora.synthetic.syntax import (
    Clause,
    Coordination,
    Existence,
    NounPhrase,
    Place,
    Predicate,
    Relative,
    pairs,
)
from tests.corpora.synthetic.meanings import (
    ADJECTIVES,
    ADVERBS,
    HE,
    IT,
    ME,
    MODALS,
    NAMES,
    PREPOSITIONS,
    SHE,
    THEY,
    TIMES,
    WE,
    clause,
    phrase,
)


def check(sentence, source: str, target: str) -> None:
    assert (english(sentence), french(sentence)) == (source, target)


GIRL, BOY = phrase("the girl"), phrase("the boy")

PHRASES = [
    (phrase("the old tree"), "the old tree", "le vieil arbre"),
    (phrase("this beautiful bird"), "this beautiful bird", "ce bel oiseau"),
    (phrase("this elephant"), "this elephant", "cet éléphant"),
    (phrase("the new hotel"), "the new hotel", "le nouvel hôtel"),
    (phrase("the hotel"), "the hotel", "l'hôtel"),
    (phrase("the bean"), "the bean", "le haricot"),
    (phrase("my school"), "my school", "mon école"),
    (phrase("my new school"), "my new school", "ma nouvelle école"),
    (phrase("her church", plural=True), "her churches", "ses églises"),
    (phrase("the small red car", plural=True), "the small red cars", "les petites voitures rouges"),
    (phrase("some big horse", plural=True), "some big horses", "de grands chevaux"),
    (phrase("some horse", plural=True), "some horses", "des chevaux"),
    (phrase("some old tree", plural=True), "some old trees", "de vieux arbres"),
    (phrase("some water"), "some water", "de l'eau"),
    (phrase("some bread"), "some bread", "du pain"),
    (phrase("some cold soup"), "some cold soup", "de la soupe froide"),
    (phrase("red car", owner=phrase("the teacher")), "the teacher's red car", "la voiture rouge du professeur"),
    (phrase("box", owner=phrase("the old man")), "the old man's box", "la boîte du vieil homme"),
    (phrase("dog", owner=phrase("the man")), "the man's dog", "le chien de l'homme"),
    (phrase("brother", owner=NAMES["anna"]), "anna's brother", "le frère d'anna"),
    (phrase("eight key", plural=True), "eight keys", "huit clés"),
]


@pytest.mark.parametrize(("thing", "source", "target"), PHRASES, ids=[source for _, source, _ in PHRASES])
def test_noun_phrases(thing: NounPhrase, source: str, target: str) -> None:
    # "draw" in the future takes any direct object unchanged.
    check(clause(HE, "draw", thing, tense="future"), f"he will draw {source}", f"il dessinera {target}")


CLAUSES = [
    (clause(BOY, "see", IT), "the boy sees it", "le garçon le voit"),
    (clause(GIRL, "buy", IT), "the girl buys it", "la fille l'achète"),
    (clause(GIRL, "buy", IT, polarity="not"), "the girl does not buy it", "la fille ne l'achète pas"),
    (clause(ME, "open", phrase("a door"), polarity="never"), "i never open a door", "je n'ouvre jamais de porte"),
    (
        clause(WE, "drink", phrase("some water"), polarity="not"),
        "we do not drink any water",
        "nous ne buvons pas d'eau",
    ),
    (clause(THEY, "see", SHE, tense="past"), "they saw her", "ils l'ont vue"),
    (clause(HE, "choose", THEY, tense="past"), "he chose them", "il les a choisis"),
    (clause(GIRL, "go", goal=phrase("the market")), "the girl goes to the market", "la fille va au marché"),
    (
        clause(SHE, "go", goal=phrase("the market", plural=True), tense="past"),
        "she went to the markets",
        "elle est allée aux marchés",
    ),
    (
        clause(ME, "come", goal=phrase("the hospital"), polarity="not"),
        "i do not come from the hospital",
        "je ne viens pas de l'hôpital",
    ),
    (
        clause(BOY, "sleep", place=Place(PREPOSITIONS["near"], phrase("the bridge"))),
        "the boy sleeps near the bridge",
        "le garçon dort près du pont",
    ),
    (
        clause(HE, "give", phrase("a red ball"), recipient=phrase("the child")),
        "he gives the child a red ball",
        "il donne une balle rouge à l'enfant",
    ),
    (clause(HE, "give", IT, recipient=ME), "he gives it to me", "il me le donne"),
    (clause(HE, "give", IT, recipient=SHE), "he gives it to her", "il le lui donne"),
    (
        clause(BOY, "buy", IT, modal=MODALS["want to"], polarity="not"),
        "the boy does not want to buy it",
        "le garçon ne veut pas l'acheter",
    ),
    (
        clause(HE, "eat", phrase("the apple"), adverb=ADVERBS["often"], tense="past"),
        "he often ate the apple",
        "il a souvent mangé la pomme",
    ),
    (
        clause(HE, "eat", phrase("the apple"), adverb=ADVERBS["slowly"]),
        "he eats the apple slowly",
        "il mange lentement la pomme",
    ),
    (clause(HE, "sing", time=TIMES["every morning"]), "he sings every morning", "chaque matin il chante"),
    (clause(HE, "sing", time=TIMES["in the evening"]), "in the evening he sings", "il chante le soir"),
    (clause(None, "give", IT, recipient=ME), "give it to me", "donne-le-moi"),
    (clause(None, "open", IT, polarity="not"), "do not open it", "ne l'ouvre pas"),
    (clause(HE, "write", question="what", tense="past"), "what did he write", "qu'est-ce qu'il a écrit"),
    (clause(HE, "close", phrase("the door"), question="who"), "who closes the door", "qui ferme la porte"),
    (
        clause(THEY, "find", phrase("a egg"), question="where"),
        "where do they find an egg",
        "où est-ce qu'ils trouvent un œuf",
    ),
    (
        clause(Coordination(GIRL, phrase("my sister")), "arrive", goal=phrase("the school"), tense="past"),
        "the girl and my sister arrived at the school",
        "la fille et ma sœur sont arrivées à l'école",
    ),
]


@pytest.mark.parametrize(("sentence", "source", "target"), CLAUSES, ids=[source for _, source, _ in CLAUSES])
def test_clauses(sentence: Clause, source: str, target: str) -> None:
    check(sentence, source, target)


def test_participle_agrees_with_the_head_of_an_object_relative() -> None:
    eaten = Relative(clause(GIRL, "eat", tense="past"), "object")
    apples = replace(phrase("the apple", plural=True), relative=eaten)
    check(
        Predicate(apples, ADJECTIVES["cold"], "past"),
        "the apples that the girl ate were cold",
        "les pommes que la fille a mangées étaient froides",
    )


def test_subject_relative_agrees_with_its_head() -> None:
    sellers = replace(phrase("the woman", plural=True), relative=Relative(clause(None, "sell", IT), "subject"))
    check(
        Predicate(sellers, ADJECTIVES["happy"], negated=True),
        "the women who sell it are not happy",
        "les femmes qui le vendent ne sont pas heureuses",
    )


def test_comparison_and_existence() -> None:
    comparison = Predicate(phrase("my sister"), ADJECTIVES["old"], than=phrase("a man"))
    check(comparison, "my sister is older than a man", "ma sœur est plus vieille qu'un homme")
    existence = Existence(phrase("some water"), Place(PREPOSITIONS["in front of"], phrase("the church")))
    check(existence, "there is some water in front of the church", "il y a de l'eau devant l'église")


def test_mixed_coordination_is_masculine_plural() -> None:
    check(
        Predicate(Coordination(NAMES["anna"], NAMES["paul"]), ADJECTIVES["happy"]),
        "anna and paul are happy",
        "anna et paul sont heureux",
    )


def test_pairs_name_adjectives_and_objects() -> None:
    relative = Relative(clause(phrase("the old man"), "buy"), "object")
    sentence = clause(BOY, "see", replace(phrase("the red car"), relative=relative))
    assert pairs(sentence) == {
        ("object", "see", "car"),
        ("object", "buy", "car"),
        ("adjective", "red", "car"),
        ("adjective", "old", "man"),
    }
