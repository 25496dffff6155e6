"""The layer selections."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from aista.errors import ConfigError, RunError
from aista.registry import build, get
from aista.schema import component, structure
from aista.selection.base import LayerSelection, ProbedSelection, SelectedLayers
from aista.selection.bootstrap import Estimate
from aista.selection.curve import LayerDiagnostics, LayerProbe, ProbeCurve
from aista.selection.item_retrieval import TokenRetrieval, WordRetrieval
from aista.selection.metrics import RetrievalScores, ScoreSet, chance
from aista.selection.path_measures import AlignmentPath
from aista.selection.ranked import elbow


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
        assert not isinstance(selection, ProbedSelection)
        assert (selection.warmup_steps, selection.probe_layers) == (0, ())

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

    def test_weights_follow_their_layers_and_sum_to_one(self) -> None:
        picked = make("fixed", layers=[3, 0], weights=[1.0, 3.0]).select(None)
        assert (picked.layers, picked.weights) == ((0, 3), (0.75, 0.25))
        with pytest.raises(ConfigError, match="weights: expects one per layer, 2, got 1"):
            make("fixed", weights=[1.0])
        with pytest.raises(ConfigError, match=r"weights\[1\]: must be greater than 0"):
            make("fixed", weights=[1.0, 0.0])


class TestStrided:
    def test_every_nth_layer_from_the_offset(self) -> None:
        assert make("strided", 8, stride=3).select(None).layers == (0, 3, 6)
        assert make("strided", 8, stride=3, offset=2).select(None).layers == (2, 5, 8)
        assert make("strided", 2, stride=9, offset=1).select(None).layers == (1,)

    def test_an_impossible_offset(self) -> None:
        with pytest.raises(ConfigError, match=r"offset: .* no layer 3; .* 0\.\.2"):
            make("strided", 2, offset=3)


class TestRandom:
    def test_the_seed_decides(self) -> None:
        draws = [make("random", 20, count=3, seed=seed).select(None) for seed in (1, 1, 2)]
        assert draws[0] == draws[1]
        assert draws[0].layers != draws[2].layers
        assert "seed 1" in draws[0].reason

    def test_every_candidate_is_drawn_by_some_seed(self) -> None:
        drawn = {layer for seed in range(60) for layer in make("random", seed=seed, candidates=[1, 2, 4]).layers}
        assert drawn == {1, 2, 4}
        with pytest.raises(ConfigError, match="count: must be at most 2, the candidates, got 3"):
            make("random", count=3, candidates=[1, 2])


class TestMeasured:
    """Each reads its measure, and nothing else."""

    @pytest.mark.parametrize(
        ("name", "measure"),
        [
            ("cka", "cka"),
            ("ot_distance", "ot_separation"),
            ("token_retrieval", "token_mrr"),
            ("word_retrieval", "word_mrr"),
            ("alignment_path", "path_contrast"),
            ("logit_lens", "lens_mrr"),
            ("gradient_agreement", "gradient_cosine"),
        ],
    )
    def test_the_measure_decides(self, name: str, measure: str) -> None:
        values = {0: 0.1, 1: -0.2, 2: 0.7, 3: 0.3, 4: 0.0}
        layers = tuple(
            replace(probe, measures={measure: Estimate(values[probe.layer])})
            for probe in make_curve(dict.fromkeys(values, 0.5)).layers
        )
        curve = replace(CURVE, layers=layers)
        picked = make(name, top_k=2, weighting="score").select(curve)
        assert picked.layers == (2, 3)
        assert picked.weights == pytest.approx((0.7, 0.3))
        assert picked.reason.startswith(f"{measure}: layer 2 0.700, layer 3 0.300")
        with pytest.raises(RunError, match=rf"lacks {measure} of layers \[0, 1, 2, 3, 4\]"):
            make(name).select(CURVE)

    def test_ot_distance_brings_its_transport(self) -> None:
        probe = make("ot_distance", mismatches=7).probe()
        assert probe.transport is not None
        assert probe.mismatches == 7
        assert make("retrieval").probe().transport is None
        assert make("retrieval", similarity="ot").probe().similarity == "ot"

    def test_each_brings_what_its_probe_measures(self) -> None:
        assert make("token_retrieval", tokens=7).probe().measures == (TokenRetrieval(7),)
        assert make("word_retrieval", words=9).probe().measures == (WordRetrieval(9),)
        assert make("alignment_path", mismatches=2).probe().measures == (AlignmentPath(2),)
        assert make("logit_lens").probe().readings
        agreement = make("gradient_agreement", position_weight=0.5).probe().agreement
        assert agreement is not None
        assert agreement.transport.position_weight == 0.5
        plain = make("retrieval").probe()
        assert (plain.measures, plain.readings, plain.agreement) == ((), False, None)
        assert [make(name).needs_words for name in ("word_retrieval", "token_retrieval")] == [True, False]
        inner = [make("scheduled", strategy=name).needs_words for name in ("word_retrieval", "token_retrieval")]
        assert inner == [True, False]

    def test_the_path_s_score_is_chosen_by_name(self) -> None:
        values = {0: 0.1, 1: 0.2, 2: 0.7, 3: 0.3, 4: 0.0}
        layers = tuple(
            replace(probe, measures={"path_cosine": Estimate(values[probe.layer]), "path_contrast": Estimate(0.0)})
            for probe in make_curve(dict.fromkeys(values, 0.5)).layers
        )
        curve = replace(CURVE, layers=layers)
        assert make("alignment_path", score="path_cosine", top_k=1).select(curve).layers == (2,)
        assert make("alignment_path", top_k=1).select(curve).layers == (0,)

    @pytest.mark.parametrize(("name", "kind"), [("token_retrieval", "token"), ("word_retrieval", "word")])
    def test_a_ranking_near_chance_is_called_noise(self, name: str, kind: str) -> None:
        for best, noise in ((0.05, True), (0.5, False)):
            layers = tuple(
                replace(probe, measures={f"{kind}_mrr": Estimate(best), f"{kind}_chance": Estimate(0.04)})
                for probe in CURVE.layers
            )
            assert ("ranking is noise" in make(name).select(replace(CURVE, layers=layers)).reason) is noise

    def test_cka_needs_four_utterances(self) -> None:
        with pytest.raises(ConfigError, match="probe_size: the debiased CKA needs at least 4, got 3"):
            make("cka", probe_size=3)


class TestElbow:
    def test_scores_before_the_farthest_point_below_the_line(self) -> None:
        assert elbow([0.9, 0.88, 0.3, 0.28, 0.25]) == 2
        assert elbow([0.9, 0.1, 0.1, 0.1]) == 1

    @pytest.mark.parametrize("ranked", [[0.5, 0.5, 0.5], [0.9, 0.6, 0.3, 0.0], [0.9, 0.1], [0.4], [0.9, 0.9, 0.9, 0.1]])
    def test_no_elbow(self, ranked: list[float]) -> None:
        assert elbow(ranked) == len(ranked)

    def test_top_k_stays_the_most(self) -> None:
        curve = make_curve({0: 0.9, 1: 0.88, 2: 0.3, 3: 0.28, 4: 0.25})
        free = make("retrieval", elbow=True, top_k=None).select(curve)
        assert free.layers == (0, 1)
        assert "2 of 5 layers are above the elbow" in free.reason
        assert make("retrieval", elbow=True, top_k=1).select(curve).layers == (0,)
        assert make("retrieval", top_k=None).select(curve).layers == (0, 1, 2, 3, 4)


class TestScheduled:
    def scheduled(self, hysteresis: float = 0.05) -> LayerSelection:
        inner = {"name": "retrieval", "config": {"top_k": 2, "warmup_steps": 7, "probe_size": 33, "pooling": "max"}}
        return make("scheduled", strategy=inner, every=20, hysteresis=hysteresis)

    def test_it_probes_as_its_strategy_does(self) -> None:
        selection = self.scheduled()
        assert (selection.warmup_steps, selection.every, selection.probe_size) == (7, 20, 33)
        assert selection.probe().pooling == "max"
        assert selection.select(CURVE).layers == (1, 3)

    def test_layers_stay_until_others_are_clearly_better(self) -> None:
        selection = self.scheduled()
        current = selection.select(CURVE)
        near = make_curve({0: 0.64, 1: 0.60, 2: 0.1, 3: 0.6, 4: 0.1})
        kept = selection.reselect(near, current)
        assert (kept.layers, kept.weights) == (current.layers, current.weights)
        assert kept.reason.startswith("kept: mrr (both) 0.600 on average; layers [0, 1] reach 0.620, not 0.05 more")
        far = make_curve({0: 0.9, 1: 0.6, 2: 0.1, 3: 0.6, 4: 0.1})
        moved = selection.reselect(far, current)
        assert moved.layers == (0, 1)
        assert moved.reason.endswith("mean 0.750, layers so far 0.600")
        assert self.scheduled(0.0).reselect(near, current).layers == (0, 1)

    def test_a_rise_of_all_scores_is_no_reason(self) -> None:
        selection = self.scheduled()
        current = selection.select(CURVE)
        risen = make_curve({layer: min(1.0, 1.5 * score) for layer, score in CURVE.values().items()})
        assert selection.reselect(risen, current).layers == current.layers

    def test_a_strategy_that_ranks_nothing_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"strategy: must rank layers by a probe.* got 'fixed'"):
            make("scheduled", strategy={"name": "fixed"})
        with pytest.raises(ConfigError, match=r"strategy\.config: top_k: must be at most 5"):
            make("scheduled", strategy={"name": "retrieval", "config": {"top_k": 9}})


class TestLearned:
    def test_weights_follow_the_scores_by_the_formula(self) -> None:
        selection = make("learned", 2, learning_rate=2.0, share=0.1)
        curve = make_curve({0: 0.2, 1: 0.6, 2: 0.5})
        current = selection.select(curve)
        weights = [1 / 3] * 3
        for _ in range(2):
            grown = [w * math.exp(2 * s) for w, s in zip(weights, (0.2, 0.6, 0.5), strict=True)]
            weights = [0.9 * w / sum(grown) + 0.1 / 3 for w in grown]
            assert current.weights == pytest.approx(weights)
            current = selection.reselect(curve, current)

    def test_a_layer_that_comes_late_wins_in_the_end(self) -> None:
        selection = make("learned", 1, candidates=[0, 1], share=0.05)
        current = selection.select(make_curve({0: 0.9, 1: 0.1}))
        for _ in range(30):
            current = selection.reselect(make_curve({0: 0.9, 1: 0.1}), current)
        assert current.weights[1] == pytest.approx(0.025, abs=1e-3)
        for _ in range(4):
            current = selection.reselect(make_curve({0: 0.1, 1: 0.9}), current)
        assert current.weights[1] > 0.9

    def test_large_rates_do_not_overflow(self) -> None:
        picked = make("learned", 1, learning_rate=1e5).select(make_curve({0: 0.9, 1: 0.1}))
        assert picked.weights == pytest.approx((0.975, 0.025))

    def test_what_cannot_go_on(self) -> None:
        selection = make("learned", candidates=[0, 1])
        with pytest.raises(RunError, match=r"weights of layers \[0, 1\], got those of \[2\]"):
            selection.reselect(CURVE, SelectedLayers((2,), (1.0,), ""))
        with pytest.raises(RunError, match=r"lacks layers \[1\]"):
            selection.select(make_curve({0: 0.5}))
        with pytest.raises(ConfigError, match="share: must be greater than 0"):
            make("learned", share=0.0)
        with pytest.raises(ConfigError, match="candidates: name at least one layer"):
            make("learned", candidates=[])


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

    def test_a_curve_at_chance_is_said(self) -> None:
        """Chance is 0.090 among 50 utterances."""
        by_lot = make("retrieval", 1, top_k=1).select(make_curve({0: 0.1, 1: 0.17}))
        assert by_lot.layers == (1,)
        assert "NO layer reaches 2 times chance (0.090)" in by_lot.reason
        assert "chance" not in make("retrieval", 1, top_k=1).select(make_curve({0: 0.1, 1: 0.19})).reason

    def test_weights(self) -> None:
        assert make("retrieval", top_k=2).select(CURVE).weights == (0.5, 0.5)
        weighted = make("retrieval", top_k=1, always=[0], weighting="score").select(CURVE)
        assert weighted.weights == pytest.approx((0.25, 0.75))
        zero = make("retrieval", 1, top_k=2, weighting="score").select(make_curve({0: 0.0, 1: 0.0}))
        assert zero.weights == (0.5, 0.5)
        assert "equal weights because all scores are 0" in zero.reason

    def test_what_the_engine_reads(self) -> None:
        selection = make("retrieval", warmup_steps=7, probe_size=33, pooling="last")
        assert (selection.warmup_steps, selection.probe_size) == (7, 33)
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
