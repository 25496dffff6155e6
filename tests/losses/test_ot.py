from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aista import registry
from aista.errors import ConfigError
from aista.losses import Sinkhorn, from_cost
from aista.losses.base import AlignmentContext
from aista.losses.costs import Cosine, position_cost
from aista.losses.guides.base import guide_cost
from aista.losses.ot import OTAlignment, OTAlignmentConfig
from aista.registry import build, entries, get
from aista.schema import Component, resolve, structure
from aista.types import LayerStates
from tests.losses.clouds import clouds
from tests.losses.layers import ONE_LAYER

SOLVERS = [entry.name for entry in entries("ot_solver") if entry.origin.startswith("aista.")]


def _loss(**options: object) -> OTAlignment:
    return OTAlignment(structure(OTAlignmentConfig, options))


def _states(x_lengths: list[int], y_lengths: list[int]) -> LayerStates:
    case = clouds(x_lengths, y_lengths).leaves()
    return LayerStates(case.x, case.x_lengths, case.y, case.y_lengths)


def test_the_config_of_the_documentation():
    loss = _loss(cost={"name": "cosine"}, solver={"name": "sinkhorn", "config": {"epsilon": 0.3}}, text_mass="norm")
    states = _states([5, 3], [4, 2])
    expected = Sinkhorn(epsilon=0.3)(
        states.speech, states.text, states.speech_lengths, states.text_lengths, y_mass="norm"
    )
    assert torch.equal(loss(states, ONE_LAYER).per_utterance_B, expected.value)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean", "euclidean"])
def test_every_solver_with_every_cost_pulls_the_sides_together(solver, cost):
    loss = _loss(cost=cost, solver=solver, position_weight=0.0 if solver == "sliced" else 0.1)
    states = _states([6, 4], [4, 3])
    before = loss(states, ONE_LAYER)
    before.per_utterance_B.sum().backward()
    step = 0.01 / states.speech.grad.norm()
    after = loss(states._replace(speech=states.speech.detach() - step * states.speech.grad), ONE_LAYER)
    assert (after.per_utterance_B.sum() < before.per_utterance_B.sum()).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_rows_without_a_side_are_free_and_counted_out(solver):
    loss = _loss(solver=solver)
    states = _states([6, 4, 0, 5], [4, 0, 3, 2])
    result = loss(states, ONE_LAYER, detach_text=False)
    result.per_utterance_B.sum().backward()
    assert result.per_utterance_B[[1, 2]].tolist() == [0, 0]
    for grad in (states.speech.grad, states.text.grad):
        assert grad[[1, 2]].eq(0).all()
        assert grad[[0, 3]].ne(0).any()
    full = loss(LayerStates(*(z[[0, 3]] for z in states)), ONE_LAYER)
    assert torch.equal(result.per_utterance_B[[0, 3]], full.per_utterance_B)
    assert result.diagnostics == full.diagnostics


def test_no_row_takes_part():
    states = _states([6, 0], [0, 3])
    result = _loss()(states, ONE_LAYER)
    result.per_utterance_B.sum().backward()
    assert result.per_utterance_B.tolist() == [0, 0]
    assert states.speech.grad.eq(0).all()
    assert all(value == 0 for value in result.diagnostics.values())


def test_detached_text_gets_no_gradient():
    states = _states([6, 4], [4, 3])
    _loss()(states, ONE_LAYER).per_utterance_B.sum().backward()
    assert states.text.grad is None
    assert states.speech.grad.ne(0).any()
    speech_grad = states.speech.grad.clone()
    _loss()(states, ONE_LAYER, detach_text=False).per_utterance_B.sum().backward()
    assert states.text.grad.ne(0).any()
    torch.testing.assert_close(states.speech.grad, 2 * speech_grad)


def test_diagnostics_are_detached_scalars():
    diagnostics = _loss()(_states([6, 4], [4, 3]), ONE_LAYER).diagnostics
    assert set(diagnostics) == {"transport_cost", "marginal_error", "converged", "num_iterations"}
    assert all(value.shape == () and not value.requires_grad for value in diagnostics.values())
    assert diagnostics["converged"] == 1
    assert diagnostics["num_iterations"] >= 10


def test_bf16_states_give_an_fp32_loss():
    states = _states([6, 4], [4, 3])
    low = states._replace(speech=states.speech.bfloat16(), text=states.text.bfloat16())
    assert _loss()(low, ONE_LAYER).per_utterance_B.dtype == torch.float32


def test_plan_is_a_picture_of_the_transport():
    states = _states([6, 4, 0], [4, 3, 2])
    plan = _loss(solver="exact").plan(states, ONE_LAYER)
    assert plan.shape == (3, 7, 5)
    assert not plan.requires_grad
    torch.testing.assert_close(plan.sum((1, 2)), torch.tensor([1.0, 1.0, 0.0]))


def test_it_is_registered_as_ot():
    assert "ot" in {entry.name for entry in entries("alignment_loss")}
    assert {"sinkhorn", "unbalanced", "exact"} <= {entry.name for entry in entries("ot_solver")}
    assert isinstance(build("alignment_loss", Component("ot")), OTAlignment)


def test_config_faults_are_all_reported():
    options = {"cost": "cosin", "solver": {"name": "sinkhorn", "config": {"epsilon": -1}}, "speech_mass": "length"}
    with pytest.raises(ConfigError) as error:
        structure(OTAlignmentConfig, options, at="alignment[0].config")
    faults = str(error.value)
    assert "alignment[0].config.cost.name: unknown cost 'cosin' (did you mean 'cosine'?)" in faults
    assert "alignment[0].config.solver.config.epsilon: must be greater than 0, got -1" in faults
    assert "alignment[0].config.speech_mass.name: unknown mass 'length'; known: norm, uniform" in faults


@pytest.mark.parametrize("loss", ["ot", "wasserstein_contrastive"])
def test_what_a_solver_cannot_take_is_a_fault_of_the_config(loss, monkeypatch):
    class Manhattan:
        def __call__(self, x, y):
            return torch.cdist(x, y, p=1)

    spec = resolve("alignment_loss", {"name": loss, "config": {"solver": "sliced"}})
    build("alignment_loss", spec)
    entry = get("cost", "cosine")
    monkeypatch.setattr(
        registry, "get", lambda *key: replace(entry, factory=Manhattan) if key[0] == "cost" else get(*key)
    )
    with pytest.raises(
        ConfigError, match=r"alignment\[0\].config: the cost of sliced transport must be cosine, .* got"
    ):
        build("alignment_loss", spec, at="alignment[0]")


def test_a_positional_term_that_a_solver_cannot_take_is_a_fault_of_the_config():
    spec = resolve("alignment_loss", {"name": "ot", "config": {"solver": "sliced", "position_weight": 1.0}})
    with pytest.raises(ConfigError, match=r"alignment\[0\].config: position_weight must be 0 for sliced .* got 1.0"):
        build("alignment_loss", spec, at="alignment[0]")


def test_a_guide_adds_to_the_costs():
    loss = _loss(guide="monotone", guide_weight=0.7, guide_floor=0.01, position_weight=0.3)
    states = _states([6, 4], [4, 3])
    cost = torch.zeros(2, 7, 5)
    for row, (p, t) in enumerate(((6, 4), (4, 3))):
        place = 0.3 * position_cost(p, t, 1.0, like=states.speech)
        cost[row, :p, :t] = Cosine()(states.speech[row, :p].detach(), states.text[row, :t].detach()) + place
    cost = cost + 0.7 * guide_cost(loss.guide(states, ONE_LAYER), 0.01)
    expected = Sinkhorn().solve(from_cost(cost, states.speech_lengths, states.text_lengths))
    torch.testing.assert_close(loss(states, ONE_LAYER).per_utterance_B, expected.value)
    torch.testing.assert_close(loss.plan(states, ONE_LAYER), expected.plan())


def test_a_guide_of_weight_0_or_without_knowledge_changes_nothing():
    plain = _loss()(_states([6, 4], [4, 3]), ONE_LAYER).per_utterance_B
    transcripts = AlignmentContext(transcripts=torch.ones(2, 4, dtype=torch.long))
    for guide, weight in (("monotone", 0.0), ("times", 1.0)):
        states = _states([6, 4], [4, 3])
        value = _loss(guide=guide, guide_weight=weight)(states, transcripts).per_utterance_B
        assert torch.equal(value, plain), guide


@pytest.mark.parametrize("solver", ["sinkhorn", "unbalanced", "exact", "partial", "relaxed", "ipot"])
def test_word_times_keep_the_mass_within_the_words(solver):
    words = torch.tensor([[[0, 2, 0.0, 0.5], [2, 4, 0.5, 1.0]]])
    context = AlignmentContext(transcripts=torch.ones(1, 4, dtype=torch.long), words=words)
    guide = {"name": "times", "config": {"width": 0.5}}
    states = _states([8], [4])

    def inside(loss: OTAlignment) -> float:
        plan = loss.plan(states, context)[0]
        return float((plan[:4, :2].sum() + plan[4:8, 2:4].sum()) / plan.sum())

    assert inside(_loss(solver=solver)) < 0.8
    assert inside(_loss(solver=solver, guide=guide, guide_weight=10.0)) > 0.95


@pytest.mark.parametrize(("option", "value"), [("guide_weight", 2.0), ("guide_weight", 0.0), ("guide_floor", 0.01)])
def test_options_of_a_guide_need_one(option, value):
    with pytest.raises(
        ConfigError, match=f"{option} {value:g} has no effect without a guide; name one in guide, or leave"
    ):
        _loss(**{option: value})
    assert getattr(_loss(guide="monotone", **{option: value}).config, option) == value


def test_the_gradient_does_not_flow_through_the_guide():
    """It is the plan by the derivatives of the costs alone: what the envelope theorem says of fixed extra costs."""
    states = _states([6, 4], [4, 3])
    loss = _loss(guide="monotone", guide_weight=2.0)
    guidance = loss.guide(states, ONE_LAYER)
    loss(states, ONE_LAYER).per_utterance_B.sum().backward()
    through = states.speech.grad.clone()
    states.speech.grad = None
    loss.guide = lambda *_: guidance
    loss(states, ONE_LAYER).per_utterance_B.sum().backward()
    torch.testing.assert_close(states.speech.grad, through)


@pytest.mark.parametrize("solver", ["sliced", "sinkhorn_divergence"])
def test_solvers_that_take_no_costs_refuse_a_guide(solver):
    spec = resolve("alignment_loss", {"name": "ot", "config": {"solver": solver, "guide": "monotone"}})
    with pytest.raises(ConfigError, match=r"alignment\[0\].config: a guide adds to the costs .* choose another solver"):
        build("alignment_loss", spec, at="alignment[0]")
