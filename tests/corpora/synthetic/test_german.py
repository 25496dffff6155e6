"""German wording: sentences translated by hand, and rules of the language that hold in every generated sentence."""

import itertools
from dataclasses import replace
from random import Random

import pytest

from aista.corpora.synthetic import german_lexicon, lexicon
from aista.corpora.synthetic.english import english
from aista.corpora.synthetic.french import french
from aista.corpora.synthetic.german import german
from aista.corpora.synthetic.grammar import Grammar
from aista.corpora.synthetic.syntax import Clause, Coordination, Existence, NounPhrase, Place, Predicate, Relative
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
    VERBS,
    WE,
    clause,
    phrase,
)

GIRL, BOY, DOCTOR = phrase("the girl"), phrase("the boy"), phrase("the doctor")


def check(sentence, source: str, target: str) -> None:
    assert (english(sentence), german(sentence)) == (source, target)


PHRASES = [
    (phrase("the old tree"), "the old tree", "den alten baum"),
    (phrase("this young bear"), "this young bear", "diesen jungen bären"),
    (phrase("a red hat"), "a red hat", "einen roten hut"),
    (phrase("a red dress"), "a red dress", "ein rotes kleid"),
    (phrase("a expensive car"), "an expensive car", "ein teures auto"),
    (phrase("my tired friend"), "my tired friend", "meinen müden freund"),
    (phrase("her church", plural=True), "her churches", "ihre kirchen"),
    (phrase("some big horse", plural=True), "some big horses", "einige große pferde"),
    (phrase("eight red key", plural=True), "eight red keys", "acht rote schlüssel"),
    (phrase("some cold water"), "some cold water", "etwas kaltes wasser"),
    (phrase("some cold coffee"), "some cold coffee", "etwas kalten kaffee"),
    (
        phrase("red car", owner=phrase("the old teacher")),
        "the old teacher's red car",
        "das rote auto des alten lehrers",
    ),
    (phrase("car", owner=phrase("my boy")), "my boy's car", "das auto meines jungen"),
    (phrase("dog", owner=phrase("his sister")), "his sister's dog", "den hund seiner schwester"),
    (phrase("old brother", owner=NAMES["anna"]), "anna's old brother", "annas alten bruder"),
]


@pytest.mark.parametrize(("thing", "source", "target"), PHRASES, ids=[source for _, source, _ in PHRASES])
def test_noun_phrases(thing: NounPhrase, source: str, target: str) -> None:
    # "draw" in the future takes any direct object, here in the accusative.
    check(clause(HE, "draw", thing, tense="future"), f"he will draw {source}", f"er wird {target} zeichnen")


CLAUSES = [
    (clause(BOY, "see", IT), "the boy sees it", "der junge sieht es"),
    (clause(DOCTOR, "open", phrase("a door")), "the doctor opens a door", "der arzt macht eine tür auf"),
    (clause(HE, "open", IT, tense="past"), "he opened it", "er hat es aufgemacht"),
    (clause(ME, "open", phrase("a door"), polarity="never"), "i never open a door", "ich mache nie eine tür auf"),
    (clause(WE, "drink", phrase("some water"), polarity="not"), "we do not drink any water", "wir trinken kein wasser"),
    (
        clause(WE, "drink", phrase("some hot tea"), polarity="never"),
        "we never drink any hot tea",
        "wir trinken nie heißen tee",
    ),
    (
        clause(WE, "drink", phrase("some water"), polarity="no longer"),
        "we no longer drink any water",
        "wir trinken kein wasser mehr",
    ),
    (
        clause(HE, "sell", phrase("the car"), polarity="no longer"),
        "he no longer sells the car",
        "er verkauft das auto nicht mehr",
    ),
    (clause(THEY, "help", phrase("the child"), tense="past"), "they helped the child", "sie haben dem kind geholfen"),
    (
        clause(GIRL, "follow", phrase("a old man"), tense="past"),
        "the girl followed an old man",
        "das mädchen ist einem alten mann gefolgt",
    ),
    (clause(HE, "wait for", SHE, polarity="not"), "he does not wait for her", "er wartet nicht auf sie"),
    (
        clause(HE, "wait for", phrase("a doctor"), polarity="not"),
        "he does not wait for a doctor",
        "er wartet auf keinen arzt",
    ),
    (clause(HE, "wait for", question="what"), "what does he wait for", "worauf wartet er"),
    (clause(HE, "help", question="what"), "what does he help", "wem hilft er"),
    (clause(GIRL, "go", goal=phrase("the market")), "the girl goes to the market", "das mädchen geht zum markt"),
    (clause(GIRL, "go", goal=phrase("the school")), "the girl goes to the school", "das mädchen geht zur schule"),
    (clause(GIRL, "go", goal=phrase("the house")), "the girl goes to the house", "das mädchen geht ins haus"),
    (
        clause(SHE, "arrive", goal=phrase("the station", plural=True), tense="past"),
        "she arrived at the stations",
        "sie ist an den bahnhöfen angekommen",
    ),
    (
        clause(ME, "come", goal=phrase("the forest"), polarity="not"),
        "i do not come from the forest",
        "ich komme nicht aus dem wald",
    ),
    (
        clause(BOY, "sleep", place=Place(PREPOSITIONS["near"], phrase("the bridge"))),
        "the boy sleeps near the bridge",
        "der junge schläft bei der brücke",
    ),
    (
        clause(HE, "give", phrase("a red ball"), recipient=phrase("the child")),
        "he gives the child a red ball",
        "er gibt dem kind einen roten ball",
    ),
    (clause(HE, "give", IT, recipient=ME), "he gives it to me", "er gibt es mir"),
    (
        clause(HE, "give", phrase("the key"), recipient=phrase("a child"), polarity="not"),
        "he does not give a child the key",
        "er gibt einem kind den schlüssel nicht",
    ),
    (
        clause(HE, "give", IT, recipient=phrase("a child"), polarity="not"),
        "he does not give it to a child",
        "er gibt es keinem kind",
    ),
    (
        clause(HE, "give", IT, recipient=phrase("some child", plural=True), polarity="not"),
        "he does not give it to some children",
        "er gibt es einigen kindern nicht",
    ),
    (
        clause(BOY, "buy", IT, modal=MODALS["want to"], polarity="not"),
        "the boy does not want to buy it",
        "der junge will es nicht kaufen",
    ),
    (clause(ME, "buy", IT, modal=MODALS["must"]), "i must buy it", "ich muss es kaufen"),
    (
        clause(ME, "buy", IT, modal=MODALS["must"], polarity="not"),
        "i must not buy it",
        "ich darf es nicht kaufen",
    ),
    (
        clause(HE, "eat", phrase("the apple"), adverb=ADVERBS["often"], tense="past"),
        "he often ate the apple",
        "er hat oft den apfel gegessen",
    ),
    (clause(HE, "sing", time=TIMES["every morning"]), "he sings every morning", "jeden morgen singt er"),
    (clause(HE, "sing", time=TIMES["in the evening"]), "in the evening he sings", "er singt am abend"),
    (clause(None, "give", IT, recipient=ME), "give it to me", "gib es mir"),
    (clause(None, "close", IT, polarity="not"), "do not close it", "mach es nicht zu"),
    (clause(HE, "write", question="what", tense="past"), "what did he write", "was hat er geschrieben"),
    (clause(HE, "close", phrase("the door"), question="who"), "who closes the door", "wer macht die tür zu"),
    (
        clause(THEY, "find", phrase("a egg"), question="where"),
        "where do they find an egg",
        "wo finden sie ein ei",
    ),
    (
        clause(Coordination(GIRL, phrase("my sister")), "arrive", goal=phrase("the school"), tense="past"),
        "the girl and my sister arrived at the school",
        "das mädchen und meine schwester sind an der schule angekommen",
    ),
]


@pytest.mark.parametrize(("sentence", "source", "target"), CLAUSES, ids=[source for _, source, _ in CLAUSES])
def test_clauses(sentence: Clause, source: str, target: str) -> None:
    check(sentence, source, target)


RELATIVES = [
    ("eat", "the apples that the girl ate", "die äpfel die das mädchen gegessen hat"),
    ("help", "the apples that the girl helped", "die äpfel denen das mädchen geholfen hat"),
    ("wait for", "the apples that the girl waited for", "die äpfel auf die das mädchen gewartet hat"),
]


@pytest.mark.parametrize(("verb", "source", "target"), RELATIVES, ids=[verb for verb, _, _ in RELATIVES])
def test_the_verb_ends_a_relative_clause(verb: str, source: str, target: str) -> None:
    apples = replace(phrase("the apple", plural=True), relative=Relative(clause(GIRL, verb, tense="past"), "object"))
    check(Predicate(apples, ADJECTIVES["cold"], "past"), f"{source} were cold", f"{target} waren kalt")


def test_the_relative_clause_of_an_object_comes_last() -> None:
    opened = Relative(clause(BOY, "open"), "object")
    box = replace(phrase("the box"), relative=opened)
    check(
        clause(HE, "close", box, polarity="not"),
        "he does not close the box that the boy opens",
        "er macht die kiste nicht zu die der junge aufmacht",
    )


def test_subject_relative_agrees_with_its_head() -> None:
    sellers = replace(phrase("the woman", plural=True), relative=Relative(clause(None, "sell", IT), "subject"))
    check(
        Predicate(sellers, ADJECTIVES["happy"], negated=True),
        "the women who sell it are not happy",
        "die frauen die es verkaufen sind nicht glücklich",
    )


def test_comparison_and_existence() -> None:
    comparison = Predicate(phrase("my sister"), ADJECTIVES["old"], "future", than=phrase("a man"))
    check(comparison, "my sister will be older than a man", "meine schwester wird älter sein als ein mann")
    existence = Existence(phrase("some water"), Place(PREPOSITIONS["on"], phrase("the beach")))
    check(existence, "there is some water on the beach", "am strand ist etwas wasser")


def test_every_word_of_the_lexicon_has_its_german() -> None:
    assert set(german_lexicon.NOUNS) == {noun.en for noun in lexicon.NOUNS}
    assert set(german_lexicon.ADJECTIVES) == set(ADJECTIVES)
    assert set(german_lexicon.VERBS) == set(VERBS)
    assert set(german_lexicon.TIMES) == set(TIMES)
    assert set(german_lexicon.ADVERBS) == set(ADVERBS)
    assert set(german_lexicon.MODALS) == set(german_lexicon.NEGATED_MODALS) == set(MODALS)
    assert set(german_lexicon.PREPOSITIONS) == set(PREPOSITIONS)
    assert {*german_lexicon.ON, *german_lexicon.ENCLOSING} <= set(german_lexicon.NOUNS)
    for noun in lexicon.NOUNS:
        assert (german_lexicon.NOUNS[noun.en].plural == "-") is not noun.countable
    for adjective in lexicon.ADJECTIVES:
        assert (german_lexicon.ADJECTIVES[adjective.en].comparative == "-") is (adjective.comparative == "-")


@pytest.fixture(scope="module")
def sentences():
    grammar = Grammar(Random(11))
    return [grammar.sentence() for _ in range(4000)]


# Determiner (- for none or a numeral); gender, p for plural; ending of the adjectives.
ANALYSES = {
    (determiner, gender, ending)
    for ending, groups in {
        "e": "der:m dieser:m die:f diese:f das:n dieses:n "
        "eine:f keine:f meine:f deine:f seine:f ihre:f unsere:f etwas:f -:f einige:p -:p",
        "en": "den:mp diesen:mp dem:mn diesem:mn der:fp dieser:fp des:mn dieses:mn die:p diese:p "
        "einen:m keinen:m meinen:mp deinen:mp seinen:mp ihren:mp unseren:mp keinen:p "
        "einem:mn keinem:mn meinem:mn deinem:mn seinem:mn ihrem:mn unserem:mn "
        "einer:f keiner:f meiner:fp deiner:fp seiner:fp ihrer:fp unserer:fp "
        "eines:mn meines:mn deines:mn seines:mn ihres:mn unseres:mn "
        "keine:p meine:p deine:p seine:p ihre:p unsere:p einigen:p -:mp etwas:m "
        "im:mn am:mn beim:mn vom:mn zum:mn zur:f",
        "er": "ein:m mein:m dein:m sein:m ihr:m unser:m kein:m -:mf etwas:m",
        "es": "ein:n mein:n dein:n sein:n ihr:n unser:n kein:n etwas:n -:n",
        "em": "-:mn",
    }.items()
    for determiner, genders in (group.split(":") for group in groups.split())
    for gender in genders
} | {("ins", "n", "e")}
DETERMINERS = {determiner for determiner, _, _ in ANALYSES}


def noun_forms() -> dict[str, set[str]]:
    forms: dict[str, set[str]] = {}
    for noun in german_lexicon.NOUNS.values():
        dative = noun.plural + ("" if noun.plural[-1] in "ns" else "n")
        for form, gender in itertools.product((noun.singular, noun.genitive), noun.gender):
            forms.setdefault(form, set()).add(gender)
        for form in (noun.plural, dative):
            forms.setdefault(form, set()).add("p")
    return forms


def test_determiners_adjectives_and_nouns_agree(sentences) -> None:
    nouns = noun_forms()
    endings = {
        f"{one.stem}{ending}": ending
        for one in german_lexicon.ADJECTIVES.values()
        for ending in ("e", "er", "es", "en", "em")
    }
    checked = 0
    for text in map(german, sentences):
        words, found, determiner = text.split(), [], "-"
        for word, following in zip(words, [*words[1:], ""], strict=True):
            # *junge* is a noun unless an adjective or a noun follows.
            if word in endings and (word not in nouns or following in nouns or following in endings):
                found.append(endings[word])
                continue
            if word in nouns and found:
                checked += 1
                assert len(set(found)) == 1, text
                assert any((determiner, gender, found[0]) in ANALYSES for gender in nouns[word]), text
            found, determiner = [], word if word in DETERMINERS else "-"
    assert checked > 2000


def is_main_clause(sentence) -> bool:
    return isinstance(sentence, Clause) and sentence.subject is not None and sentence.question == ""


def test_the_finite_verb_is_second_and_the_rest_of_the_verb_last(sentences) -> None:
    """With a time in front, the verb is behind it; participles, infinitives and particles end the clause."""
    counts = {"time": 0, "end": 0}
    for sentence in filter(is_main_clause, sentences):
        verb, text = german_lexicon.VERBS[sentence.verb.en], german(sentence)
        if sentence.modal:
            modal = sentence.modal.en
            finite, end = german_lexicon.MODALS[modal] + german_lexicon.NEGATED_MODALS[modal], verb.infinitive
        elif sentence.tense == "past":
            finite = ("bin", "bist", "ist", "sind") if verb.sein else ("habe", "hast", "hat", "haben")
            end = verb.participle
        elif sentence.tense == "future":
            finite, end = ("werde", "wirst", "wird", "werden"), verb.infinitive
        else:
            finite, end = verb.present, verb.particle
        if isinstance(sentence.object, NounPhrase) and sentence.object.relative and end:
            text, _, relative = text.rpartition(f" {end} d" if f" {end} d" in text else f" {end} auf d")
            assert relative, sentence
            text = f"{text} {end}"
        if end:
            counts["end"] += 1
            assert text.endswith(f" {end}"), text
        if sentence.time and not sentence.time.english_first:
            time = german_lexicon.TIMES[sentence.time.en]
            assert text.startswith(tuple(f"{time} {form} " for form in finite)), text
            counts["time"] += 1
    assert counts["time"] > 150
    assert counts["end"] > 1200


def test_prepositions_of_place_take_the_dative(sentences) -> None:
    found = 0
    for text in map(german, sentences):
        for preposition, word in itertools.pairwise(text.split()):
            if preposition in ("unter", "hinter", "neben", "bei", "von", "vor") and word != "zwei":
                found += 1
                assert word.endswith(("em", "er", "en", "s")), text  # s: of a name
    assert found > 300


def test_articles_contract_with_prepositions(sentences) -> None:
    for text in map(german, sentences):
        words = text.split()
        for pair in itertools.pairwise(words):
            assert pair not in {("in", "dem"), ("an", "dem"), ("bei", "dem"), ("von", "dem"), ("zu", "dem")}, text
            assert pair not in {("zu", "der"), ("in", "das")}, text


def lemmas(text: str, forms: dict[str, str]) -> list[str]:
    return [forms[word] for word in text.replace("'s", "").replace("'", " ").split() if word in forms]


def content_forms() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Form -> English word, in three languages, of nouns, adjectives, adverbs and of verbs in one piece."""
    en: dict[str, str] = {}
    fr: dict[str, str] = {}
    de: dict[str, str] = {}
    for noun in lexicon.NOUNS:
        one = german_lexicon.NOUNS[noun.en]
        en |= dict.fromkeys((noun.en, noun.en_plural), noun.en)
        fr |= dict.fromkeys((noun.fr, noun.fr_plural), noun.en)
        de |= dict.fromkeys((one.singular, one.plural, f"{one.plural}n", one.genitive), noun.en)
    for verb in VERBS.values():
        word = german_lexicon.VERBS[verb.en]
        en |= dict.fromkeys((verb.en, verb.en_third, verb.en_past), verb.en)
        participles = (verb.participle + end for end in ("", "e", "s", "es"))
        fr |= dict.fromkeys((*verb.present, verb.infinitive, *participles), verb.en)
        finite = () if word.particle else word.present
        joined = tuple(word.particle + form for form in word.present)
        de |= dict.fromkeys((*finite, *joined, word.infinitive, word.participle), verb.en)
    for adjective in lexicon.ADJECTIVES:
        one = german_lexicon.ADJECTIVES[adjective.en]
        en |= dict.fromkeys((adjective.en, adjective.comparative), adjective.en)
        plurals = (adjective.fr_plural, adjective.fr_feminine_plural)
        fr |= dict.fromkeys((adjective.fr, adjective.fr_vowel, adjective.fr_feminine, *plurals), adjective.en)
        endings = ("e", "er", "es", "en", "em")
        de |= dict.fromkeys((one.base, one.comparative, *(one.stem + end for end in endings)), adjective.en)
    return en, fr, de


def test_word_order_mostly_differs_from_english_and_from_french(sentences) -> None:
    en, fr, de = content_forms()
    differs = {"en": 0, "fr": 0}
    for sentence in sentences:
        target = lemmas(german(sentence), de)
        for language, words in {"en": lemmas(english(sentence), en), "fr": lemmas(french(sentence), fr)}.items():
            shared = set(words) & set(target)
            differs[language] += [w for w in words if w in shared] != [w for w in target if w in shared]
    shares = {language: count / len(sentences) for language, count in differs.items()}
    assert min(shares.values()) > 0.5, shares
