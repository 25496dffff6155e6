"""Sentence case by rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.corpora.games.casing import sentence_case, shouts


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "THAT'S THE SECOND DOOR I'VE SEEN. AM I RIGHT?", "That's the second door I've seen. Am I right?"),
        ("en", "WELL... I THINK SO! HOW? LIKE THIS", "Well... I think so! How? Like this"),
        ("en", "YES... NO...MAYBE", "Yes... no...maybe"),
        ("en", "...AND THEN?", "...And then?"),
        ("en", "THE 2.5 METRE DOOR", "The 2.5 metre door"),
        ("en", "I'VE FOUND B.J.'S BAG. B.J. IS HERE", "I've found B.J.'s bag. B.J. is here"),
        ("en", '"HELLO," HE SAID. "GO!" SHE DID', '"Hello," he said. "Go!" She did'),
        ("es", "¿QUE ES? ¡EH!", "¿Que es? ¡Eh!"),
        ("fr", "éHO! C'EST FERMé à CLé.", "Ého! C'est fermé à clé."),
        ("de", "WAS FueR SueSSE VIECHER! aeHEM!", "Was für süsse viecher! Ähem!"),
        ("fr", "LE LIVRE D'IGOR, DE VON BRAUN", "Le livre d'Igor, de Von Braun"),
        ("en", "IGORS", "Igors"),
        ("de", "HaeH", "Häh"),
    ],
)
def test_shouting_gets_sentence_case(language: str, text: str, expected: str) -> None:
    assert sentence_case(text, language, ["Igor", "Von Braun"]) == expected


@pytest.mark.parametrize(
    "text", ["Hallo Toter. WILLST Du ein paar Wuermchen?", "bla, bla, bla.", "Du bist B.J.", "", "..."]
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert sentence_case(text, "de", ["toter"]) == text


@given(st.text(st.sampled_from("AÉZ .!?'"), min_size=1), st.sampled_from(["en", "fr"]))
def test_only_case_changes(text: str, language: str) -> None:
    assert sentence_case(text, language, ["ÉZ"]).upper() == text.upper()


@pytest.mark.parametrize(("text", "loud"), [("WOW!", True), ("HaeH", True), ("Wow!", False), ("Du bist B.J.", False)])
def test_half_of_the_letters_make_a_shout(text: str, loud: bool) -> None:
    assert shouts(text) == loud
