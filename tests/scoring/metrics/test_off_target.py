"""The off-target rate: counts what it should, maps codes, and says which languages it does not know."""

from __future__ import annotations

import pytest

from tests.scoring.helpers import make

FRENCH = [
    "Je ne sais pas où il habite.",
    "Elle mange une pomme rouge dans le jardin.",
    "Quelle heure est-il donc ?",
]
GERMAN = ["Ich weiß nicht, wo er wohnt.", "Sie isst einen roten Apfel im Garten.", "Wie viel Uhr ist es jetzt?"]
ENGLISH = ["I do not know where he lives.", "She eats a red apple in the garden.", "What time is it now, please?"]


def test_counts_outputs_in_another_language() -> None:
    outputs = [FRENCH[0], ENGLISH[1], GERMAN[2]]
    score = make("off_target").score(outputs, FRENCH)
    assert score.value == pytest.approx(200 / 3)
    assert (score.references, score.higher_is_better) == (0.0, False)
    assert str(score) == "off_target 66.67 (references 0.00)"
    assert score.signature.startswith("lang:fr|among:all|version:py3langid-")


def test_references_in_another_language_are_the_floor() -> None:
    score = make("off_target", "de").score(GERMAN, [GERMAN[0], ENGLISH[1], GERMAN[2]])
    assert (score.value, score.references) == (0.0, pytest.approx(100 / 3))


@pytest.mark.parametrize("text", ["", " ", "1984 ...", "?!"])
def test_a_text_without_a_letter_is_in_no_language(text: str) -> None:
    assert make("off_target", "af").score([text], ["x"]).value == 100  # af is the identifier's first label


def test_candidates_decide_what_an_output_can_be() -> None:
    among = make("off_target", "fr", languages=("en", "de"))
    assert among.score(GERMAN + FRENCH, FRENCH * 2).value == 50
    assert "among:de,en,fr" in among.signature
    # Spanish is among the candidates of the first alone
    spanish = ["No sé dónde vive mi hermano.", "Ella come una manzana roja en el jardín."]
    scores = [make("off_target", "es", languages=some).score(spanish, spanish).value for some in ((), ("en", "fr"))]
    assert scores == [0, 0]
    assert make("off_target", "fr", languages=("en", "es")).score(spanish, spanish).value == 100


@pytest.mark.parametrize(
    ("code", "label"),
    [("fr-CA", "fr"), ("deu", "de"), ("zho_Hans", "zh"), ("cmn", "zh"), ("nb", "no"), ("iw", "he"), ("arb", "ar")],
)
def test_codes_of_corpora_are_those_of_the_identifier(code: str, label: str) -> None:
    assert make("off_target", code).signature.startswith(f"lang:{label}|")


@pytest.mark.parametrize(
    ("language", "options", "message"),
    [
        ("mdw", {}, "py3langid cannot identify 'mdw'.*it knows ace af .*; leave off_target out"),
        ("fr", {"languages": ("en", "mdw")}, "cannot identify 'mdw'"),
        ("fr", {"languages": ("fr-CA",)}, "languages: must name one beside 'fr', got only it"),
        (" ", {}, "the target language is unknown"),
        ("French", {}, "must be a code of ISO 639.*did you mean 'fr'"),
    ],
)
def test_what_cannot_be_identified_is_said_by_name(language: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("off_target", language, **options)
