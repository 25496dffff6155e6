"""The layer selections: fixed, all, retrieval."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from aista.errors import ConfigError, RunError
from aista.registry import build, get
from aista.schema import component, structure
from aista.selection.base import LayerSelection
from aista.selection.curve import LayerDiagnostics, LayerProbe, ProbeCurve
from aista.selection.metrics import RetrievalScores, ScoreSet, chance


def make_curve(mrr: dict[int, float], **other: dict[int, float]) -> ProbeCurve:
    """A curve with given MRRs; ``recall_1`` and ``text_mrr`` override."""
    layers = []
    for layer, value in mrr.items():
        speech = ScoreSet(value, other.get("recall_1", mrr)[layer], 0.9, 1.0)
        text = ScoreSet(other.get("text_mrr", mrr)[layer], speech.recall_1, 0.9, 1.0)
        diagnostics = LayerDiagnostics(1, 1, 1, 1, 1, 1, 1, 0)
        layers.append(LayerProbe(layer, RetrievalScores(speech, text, chance(50)), diagnostics))
    return ProbeCurve(tuple(layers), 50, 0, 50, "mean")


def make(name: str, num_layers: int = 4, **options: Any) -> LayerSelection:
    from dataclasses import make_dataclass

    entry = get("layer_selection", name)
    holder = make_dataclass("Holder", [("pick", Any, component("layer_selection", name, ""))], frozen=True)
    spec = {"name": name} | ({"config": options} if entry.config else {})
    config = structure(holder, {"pick": spec})
    selection = build("layer_selection", config.pick, at="layer_selection", num_layers=num_layers)
    assert isinstance(selection, LayerSelection)
    return selection


CURVE = make_curve({0: 0.2, 1: 0.6, 2: 0.5, 3: 0.6, 4: 0.1})


class TestFixed:
    def test_default_and_order(self) -> None:
        assert make("fixed").select(None).layers == (0, 1)
        picked = make("fixed", layers=[4, 0, 2]).select(None)
        assert picked.layers == (0, 2, 4)
        assert picked.weights == pytest.approx((1 / 3,) * 3)

    def test_needs_no_probe(self) -> None:
        selection = make("fixed")
        assert (selection.needs_probe, selection.warmup_steps, selection.probe_layers) == (False, 0, ())

    def test_impossible_layers_name_the_range(self) -> None:
        with pytest.raises(ConfigError, match=r"layer_selection.config: layers: .* no layer 5, 9; .* 0\.\.4"):
            make("fixed", layers=[0, 5, 9])
        with pytest.raises(ConfigError, match=r"layers\[0\]: must be at least 0, got -1"):
            make("fixed", layers=[-1])

    def test_repeated_and_no_layers(self) -> None:
        with pytest.raises(ConfigError, match=r"named once, got \[1, 1\]"):
            make("fixed", layers=[1, 1])
        with pytest.raises(ConfigError, match="at least one layer"):
            make("fixed", layers=[])


def test_all_takes_every_layer() -> None:
    picked = make("all", num_layers=3).select(None)
    assert picked.layers == (0, 1, 2, 3)
    assert sum(picked.weights) == pytest.approx(1)


class TestRetrieval:
    def test_ties_prefer_the_shallower_layer(self) -> None:
        assert make("retrieval", top_k=1).select(CURVE).layers == (1,)
        assert make("retrieval", top_k=2).select(CURVE).layers == (1, 3)

    def test_reason_holds_the_scores(self) -> None:
        reason = make("retrieval", top_k=1).select(CURVE).reason
        assert reason == "mrr (both): layer 1 0.600"

    def test_score_and_direction(self) -> None:
        curve = make_curve({0: 0.9, 1: 0.1}, recall_1={0: 0.1, 1: 0.8}, text_mrr={0: 0.0, 1: 0.3})
        assert make("retrieval", 1, top_k=1).select(curve).layers == (0,)
        assert make("retrieval", 1, top_k=1, score="recall@1").select(curve).layers == (1,)
        assert make("retrieval", 1, top_k=1, direction="text_to_speech").select(curve).layers == (1,)

    def test_always_comes_on_top_of_top_k(self) -> None:
        picked = make("retrieval", top_k=1, always=[0]).select(CURVE)
        assert picked.layers == (0, 1)
        assert "always: 0" in picked.reason

    def test_candidates_limit_the_choice_and_the_probe(self) -> None:
        selection = make("retrieval", top_k=1, candidates=[2, 4], always=[0])
        assert selection.probe_layers == (0, 2, 4)
        assert selection.select(CURVE).layers == (0, 2)

    def test_threshold_drops_layers(self) -> None:
        picked = make("retrieval", top_k=3, threshold=0.55).select(CURVE)
        assert picked.layers == (1, 3)
        assert "2 of at most 3 reached the threshold 0.55" in picked.reason
        assert make("retrieval", top_k=3, threshold=0.6).select(CURVE).layers == (1, 3)

    def test_threshold_that_nothing_reaches_is_said(self) -> None:
        picked = make("retrieval", top_k=2, threshold=0.95).select(CURVE)
        assert picked.layers == (1,)
        assert "NO layer reached the threshold 0.95, so the best one was taken" in picked.reason
        kept = make("retrieval", top_k=2, threshold=0.95, always=[0]).select(CURVE)
        assert kept.layers == (0,)
        assert "0 of at most 2 reached the threshold" in kept.reason

    def test_weights(self) -> None:
        assert make("retrieval", top_k=2).select(CURVE).weights == (0.5, 0.5)
        weighted = make("retrieval", top_k=1, always=[0], weighting="score").select(CURVE)
        assert weighted.weights == pytest.approx((0.25, 0.75))
        zero = make("retrieval", 1, top_k=2, weighting="score").select(make_curve({0: 0.0, 1: 0.0}))
        assert zero.weights == (0.5, 0.5)
        assert "equal weights because all scores are 0" in zero.reason

    def test_what_the_engine_reads(self) -> None:
        selection = make("retrieval", warmup_steps=7, probe_size=33, pooling="last")
        assert (selection.needs_probe, selection.warmup_steps, selection.probe_size) == (True, 7, 33)
        assert selection.pooling == "last"
        assert selection.probe_layers == (0, 1, 2, 3, 4)

    def test_missing_curve_or_layers(self) -> None:
        with pytest.raises(RunError, match="needs a probe curve"):
            make("retrieval").select(None)
        with pytest.raises(RunError, match=r"lacks layers \[3, 4\]; probe layers \[0, 1, 2, 3, 4\]"):
            make("retrieval").select(make_curve({0: 0.1, 1: 0.2, 2: 0.3}))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"always": [9]}, r"always: .* no layer 9; valid numbers are 0\.\.4"),
            ({"candidates": [5]}, r"candidates: .* no layer 5"),
            ({"candidates": [1], "always": [1]}, "no layer is left to choose"),
            ({"top_k": 6}, "top_k: must be at most 5, the candidates, got 6"),
            ({"score": "accuracy"}, "expects one of 'mrr', 'recall@1'"),
            ({"threshold": 2.0}, "must be at most 1"),
            ({"probe_size": 1}, "must be at least 2"),
        ],
    )
    def test_impossible_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            make("retrieval", **options)


def test_import_needs_neither_fairseq2_nor_transformers() -> None:
    code = (
        "import sys; sys.modules['fairseq2'] = sys.modules['transformers'] = None\n"
        "from aista.registry import entries\n"
        "print([e.name for e in entries('layer_selection') + entries('metric')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['all', 'fixed', 'retrieval', 'bleu', 'cer', 'chrf', 'wer']"
