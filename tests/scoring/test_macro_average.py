"""The mean over directions: of the directions' own metrics, additive, and resampled within each direction."""

from __future__ import annotations

import numpy as np
import pytest

from aista.errors import DataError
from aista.scoring.macro_average import MacroAverage, metrics_of_directions
from aista.scoring.significance import paired_bootstrap
from aista.scoring.utterance_inputs import UtteranceInputs
from tests.scoring.copied import Copied
from tests.scoring.helpers import corpus, make

REFERENCES, (BASE, GOOD) = corpus([0.5, 0.2], size=60)
DIRECTIONS = ["en-zh" if index % 3 == 0 else "en-fr" for index in range(60)]
INPUTS = UtteranceInputs(direction=DIRECTIONS)


def of(name: str, texts: list[str]) -> list[str]:
    return [text for text, direction in zip(texts, DIRECTIONS, strict=True) if direction == name]


def macro(metric: str) -> MacroAverage:
    return MacroAverage({f"en-{language}": make(metric, language) for language in ("fr", "zh")})


@pytest.mark.parametrize("metric", ["bleu", "chrf", "cer"])
def test_the_score_is_the_mean_of_the_directions(metric: str) -> None:
    parts = [
        make(metric, language).score(of(f"en-{language}", BASE), of(f"en-{language}", REFERENCES))
        for language in ("fr", "zh")
    ]
    score = macro(metric).score(BASE, REFERENCES, INPUTS)
    assert score.value == pytest.approx(sum(part.value for part in parts) / 2)
    assert score.higher_is_better == parts[0].higher_is_better
    signatures = " and ".join(dict.fromkeys(part.signature for part in parts))
    assert score.signature == f"macro average of en-fr, en-zh: {signatures}"


def test_a_direction_without_an_utterance_does_not_count() -> None:
    some = [index for index, direction in enumerate(DIRECTIONS) if direction == "en-fr"]
    score = macro("bleu").score(of("en-fr", BASE), of("en-fr", REFERENCES), INPUTS.at(some))
    assert score.value == make("bleu", "fr").score(of("en-fr", BASE), of("en-fr", REFERENCES)).value


def test_samples_are_drawn_within_each_direction() -> None:
    """Of two directions with opposite scores the mean does not move: it would, if their numbers varied."""
    directions = ["a"] * 7 + ["b"] * 3
    parts = {name: make("wer", "fr") for name in ("a", "b")}
    hypotheses, references = ["x"] * 7 + ["y"] * 3, ["x"] * 7 + ["z"] * 3
    found = paired_bootstrap(
        ("base", hypotheses),
        {"same": references},
        references,
        MacroAverage(parts),
        inputs=UtteranceInputs(direction=directions),
        samples=50,
    )
    assert found.baseline.score == 50
    assert (found.baseline.interval.low, found.baseline.interval.high) == (50, 50)
    assert set(found.system("same").differences) == {-50.0}


def test_a_bootstrap_of_one_direction_is_that_of_its_metric() -> None:
    options = {"samples": 60, "inputs": UtteranceInputs(direction=["en-fr"] * 60)}
    one = paired_bootstrap(("a", BASE), {"b": GOOD}, REFERENCES, macro("bleu"), **options)  # type: ignore[arg-type]
    plain = paired_bootstrap(("a", BASE), {"b": GOOD}, REFERENCES, make("bleu"), samples=60)
    np.testing.assert_allclose(one.system("b").differences, plain.system("b").differences)
    assert one.system("b").p_value == plain.system("b").p_value


def test_inputs_and_references_are_those_of_the_rows() -> None:
    inputs = UtteranceInputs(source=REFERENCES, direction=DIRECTIONS)
    copied = MacroAverage({"en-fr": Copied(), "en-zh": Copied()})
    assert copied.needs == ("direction", "source")
    assert copied.score(REFERENCES, REFERENCES, inputs).value == Copied().score(REFERENCES, REFERENCES, inputs).value


def test_one_language_has_its_own_metric_and_several_their_mean() -> None:
    (alone,) = metrics_of_directions({"": "zh"}, lambda language: [make("bleu", language)])
    assert "tok:zh" in alone.signature
    several = metrics_of_directions(
        {"en-fr": "fr", "en-zh": "zh"}, lambda code: [make("bleu", code), make("cer", code)]
    )
    assert [metric.name for metric in several] == ["bleu", "cer"]
    assert all(isinstance(metric, MacroAverage) for metric in several)


def test_utterances_of_unknown_direction_are_an_error() -> None:
    with pytest.raises(DataError, match="bleu: needs the languages of each utterance, and 60 of 60 have none"):
        macro("bleu").score(BASE, REFERENCES)
