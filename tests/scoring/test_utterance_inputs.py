from __future__ import annotations

import pytest

from aista.errors import ConfigError, DataError
from aista.schema import Component, resolve
from aista.scoring.metric_set import metric_set
from aista.scoring.significance import paired_bootstrap
from aista.scoring.utterance_inputs import UtteranceInputs
from tests.scoring.copied import Copied

SOURCES = ["a b", "c", "d e f", "g"]
REFERENCES = ["A B", "C", "D E F", "G"]


def test_a_metric_gets_what_it_needs() -> None:
    inputs = UtteranceInputs(SOURCES)
    assert Copied().score(REFERENCES, REFERENCES, inputs).value == 100
    assert Copied().score(REFERENCES[:2], REFERENCES[:2], inputs.at([0, 2])).value == 50


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "copied: needs the transcript of each utterance, and 4 of 4 have none; fill the column src_text"),
        (["a", " ", "b", ""], r"2 of 4 have none \(first: utterance 2\); fill .*--source FILE"),
        (["a", "\u200b", "b", "c"], r"1 of 4 have none \(first: utterance 2\)"),
        (["a"], "needs the transcript of each utterance, got 1 for 4 utterances"),
    ],
)
def test_what_is_missing_is_counted(source: list[str] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Copied().score(REFERENCES, REFERENCES, UtteranceInputs(source))


def test_a_comparison_gives_it_too() -> None:
    systems = {"half": ["A B", "x", "D E F", "y"]}
    found = paired_bootstrap(
        ("whole", REFERENCES), systems, REFERENCES, Copied(), inputs=UtteranceInputs(SOURCES), samples=200
    )
    assert [system.score for system in found.systems] == [100, 50]
    with pytest.raises(DataError, match="system 'whole': copied: needs the transcript"):
        paired_bootstrap(("whole", REFERENCES), systems, REFERENCES, Copied())


def test_scores_of_one_name_are_refused() -> None:
    specs = [Component("chrf"), resolve("metric", {"name": "chrf", "config": {"word_order": 2}})]
    with pytest.raises(ConfigError, match="--metric: each score must have a name of its own, got chrf more than once"):
        metric_set(specs, at="--metric", target_language="")
