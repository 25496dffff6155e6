"""Contracts of kind ``layer_selection``."""

from __future__ import annotations

from dataclasses import replace

from aista.errors import RunError
from aista.selection.base import LayerSelection, ProbedSelection, SelectedLayers
from aista.selection.bootstrap import Estimate
from aista.selection.curve import LayerDiagnostics, LayerProbe, ProbeCurve
from aista.selection.layer_measures import MEASURES
from aista.selection.metrics import RetrievalScores, ScoreSet
from aista.testing.contracts import contract, dependencies
from aista.testing.tensors import assert_raises, assert_returned

NUM_LAYERS = 4
dependencies("layer_selection", {"num_layers": NUM_LAYERS})


@contract("layer_selection")
def check_choice(selection: LayerSelection) -> None:
    """Layers ascend within 0..num_layers, their weights sum to 1, there is a reason; repeated calls agree."""
    chosen = selection.select(probe_curve())
    _check(chosen)
    assert selection.every >= 0, f"every must not be negative, got {selection.every}"
    if selection.every:
        _check(selection.reselect(probe_curve(peak=NUM_LAYERS), chosen))


def _check(chosen: SelectedLayers) -> None:
    assert_returned(chosen, SelectedLayers, "SelectedLayers(layers, weights, reason)")
    assert chosen.layers, "selects no layer"
    ascending = list(chosen.layers) == sorted(set(chosen.layers))
    assert ascending, f"layers must ascend without repetition, got {chosen.layers}"
    inside = all(0 <= layer <= NUM_LAYERS for layer in chosen.layers)
    assert inside, f"layers must lie in 0..{NUM_LAYERS}, got {chosen.layers}"
    paired = len(chosen.weights) == len(chosen.layers)
    assert paired, f"expects one weight per layer, got {chosen.weights} for {chosen.layers}"
    assert all(weight >= 0 for weight in chosen.weights), f"weights must not be negative, got {chosen.weights}"
    assert abs(sum(chosen.weights) - 1) <= 1e-6, f"weights must sum to 1, got {sum(chosen.weights)}"
    assert chosen.reason.strip(), "gives no reason; the run folder's reader wants one"
    assert "\n" not in chosen.reason, "the reason must be one line"


@contract("layer_selection")
def check_probe(selection: LayerSelection) -> None:
    """A ``ProbedSelection`` defines its probe and refuses to choose without a curve; others need none."""
    if not isinstance(selection, ProbedSelection):
        selection.select(None)
        return
    assert selection.probe_size >= 2, f"retrieval needs at least 2 utterances, probe_size is {selection.probe_size}"
    assert selection.probe_layers, "needs a probe, but probe_layers is empty"
    inside = all(0 <= layer <= NUM_LAYERS for layer in selection.probe_layers)
    assert inside, f"probe_layers must lie in 0..{NUM_LAYERS}, got {selection.probe_layers}"
    curve = probe_curve()
    measured = selection.probe().layers
    assert measured == selection.probe_layers, f"probe() must measure probe_layers, measures {measured}"
    enough = replace(curve, layers=tuple(probe for probe in curve.layers if probe.layer in selection.probe_layers))
    assert selection.select(enough) == selection.select(curve), "the choice depends on layers outside probe_layers"
    other = next(
        layer
        for layer in range(NUM_LAYERS + 1)
        if len(selection.probe_layers) > 1 or layer not in selection.probe_layers
    )
    lacking = replace(curve, layers=tuple(probe for probe in curve.layers if probe.layer == other))
    for bad, what in ((None, "without a curve"), (lacking, "with a curve that lacks layers of probe_layers")):
        with assert_raises(RunError, f"select must raise RunError {what}"):
            selection.select(bad)


@contract("layer_selection")
def check_deterministic(selection: LayerSelection) -> None:
    """The same curve gives the same choice, in whatever order its layers come."""
    curve = probe_curve()
    first = selection.select(curve)
    assert selection.select(curve) == first, "two calls with one curve differ"
    other = probe_curve(peak=NUM_LAYERS)
    again = selection.reselect(other, first)
    assert selection.reselect(other, first) == again, "two choices again, from one curve and one choice, differ"
    turned = selection.select(replace(curve, layers=curve.layers[::-1]))
    assert (turned.layers, turned.weights) == (first.layers, first.weights), "the choice depends on the curve's order"


def probe_curve(*, peak: int = 1) -> ProbeCurve:
    """A curve with a peak at layer ``peak`` in every score."""
    chance = ScoreSet(0.05, 0.01, 0.05, 0.1)
    diagnostics = LayerDiagnostics(1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.8, 0.2)
    layers = []
    for layer in range(NUM_LAYERS + 1):
        height = 0.9 / (1 + abs(layer - peak))
        scores = ScoreSet(height, 0.9 * height, 0.95 * height, height)
        lower = ScoreSet(0.9 * height, 0.8 * height, 0.85 * height, 0.9 * height)
        measures = {name: Estimate(height) for name in MEASURES}
        layers.append(LayerProbe(layer, RetrievalScores(scores, lower, chance), diagnostics, measures))
    return ProbeCurve(tuple(layers), num_utterances=100, num_skipped=0, num_transcripts=100, pooling="mean")
