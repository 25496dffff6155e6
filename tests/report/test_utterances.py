from __future__ import annotations

import pytest

from aista.report.utterances import browse
from aista.scoring.hypotheses import HypothesisRow
from tests.scoring.helpers import make
from tests.written_runs import hypothesis_rows

CHRF = make("chrf")


def test_scores_are_those_of_each_sentence_and_extremes_take_turns() -> None:
    rows, better = hypothesis_rows(0.5), hypothesis_rows(0.1)
    hypotheses = {"ce": [row.hypothesis for row in rows], "aista": [row.hypothesis for row in better]}
    browser = browse("test", rows, hypotheses, CHRF, 80)
    assert (browser.split, browser.metric, browser.num_utterances) == ("test", "chrf", 80)
    assert [item.id for item in browser.utterances] == [row.id for row in rows]
    gains = {}
    for item, row in zip(browser.utterances, rows, strict=True):
        assert item.scores["ce"] == pytest.approx(CHRF.score([row.hypothesis], [row.reference]).value)
        gains[item.id] = item.scores["aista"] - item.scores["ce"]
    best, worst, second, *_ = browser.extremes()
    assert gains[best] == max(gains.values())
    assert gains[worst] == min(gains.values())
    assert gains[second] == sorted(gains.values())[-2]
    assert sorted(browser.extremes()) == sorted(gains)


def test_the_limit_keeps_extremes_in_the_order_of_the_set() -> None:
    rows = [
        HypothesisRow(str(n), "", "un deux trois", text) for n, text in enumerate(["un", "deux trois", "", "un deux"])
    ]
    browser = browse("dev", rows, {"only": [row.hypothesis for row in rows]}, CHRF, 2)
    assert [item.id for item in browser.utterances] == ["1", "2"]
    assert browser.num_utterances == 4
