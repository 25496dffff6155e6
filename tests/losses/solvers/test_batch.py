"""Costs and masses of a padded batch are those of its samples, whatever lies in the padding."""

from __future__ import annotations

import pytest
import torch

from aista.losses import Exact, Relaxed, Sinkhorn, from_states
from aista.losses.costs import Cosine, Euclidean, SqEuclidean
from aista.losses.masses import Norm
from aista.losses.solvers import batch
from aista.types import length_mask

COSTS = [Cosine(), SqEuclidean(), Euclidean()]
X_LENGTHS, Y_LENGTHS = torch.tensor([7, 1, 0, 5, 4]), torch.tensor([4, 3, 2, 0, 4])


def _states(dtype=torch.float64, fill=float("nan")):
    g = torch.Generator().manual_seed(0)
    states = [torch.randn(5, size, 6, generator=g, dtype=torch.float64).to(dtype) for size in (8, 5)]
    for z, lengths in zip(states, (X_LENGTHS, Y_LENGTHS), strict=True):
        z[~length_mask(lengths, z.shape[1])] = fill
    return [z.requires_grad_() for z in states]


def _problem(states, *, batched, **geometry):
    return from_states(*states, X_LENGTHS, Y_LENGTHS, batched=batched, **geometry)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("fill", [float("nan"), float("inf"), 1e30])
def test_costs_and_gradients_are_those_of_the_samples(cost, fill):
    results = []
    for batched in (True, False):
        states = _states(fill=fill)
        problem = _problem(states, batched=batched, cost=cost, position_weight=0.3, position_power=2.0).compact()
        weights = torch.randn(problem.cost.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        (problem.cost * weights.masked_fill(problem.cost == 0, 0)).sum().backward()
        results.append((problem.cost.detach(), problem.x_mass, problem.y_mass, *(z.grad for z in states)))
        assert problem.samples == ((0, 7, 4), (1, 1, 3), (4, 4, 4))
    for mine, right in zip(*results, strict=True):
        torch.testing.assert_close(mine, right)


@pytest.mark.parametrize("cost", COSTS)
def test_bf16_states_are_multiplied_as_they_are(cost):
    """Costs come out in fp32, off by the rounding of fp32; gradients in bf16."""
    low, high = _states(torch.bfloat16), [z.detach().double().requires_grad_() for z in _states(torch.bfloat16)]
    for states in (low, high):
        cost_NST = _problem(states, batched=True, cost=cost).compact().cost
        cost_NST.sum().backward()
        if states is low:
            found = cost_NST
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), cost_NST, atol=2e-6, rtol=1e-5)
    for z, right in zip(low, high, strict=True):
        assert z.grad.dtype == torch.bfloat16
        torch.testing.assert_close(z.grad.double(), right.grad, atol=2e-2, rtol=2e-2)


def test_sides_of_two_precisions():
    x, y = _states(torch.bfloat16)[0], _states(torch.float32)[1]
    assert _problem((x, y), batched=True).cost.dtype == torch.float32
    assert _problem((x, y.double()), batched=True).cost.dtype == torch.float64


@pytest.mark.parametrize("mass", ["norm", Norm(), "given"])
def test_masses_are_those_of_the_samples(mass):
    given = {side: torch.rand(5, size, dtype=torch.float64) + 0.1 for side, size in (("x_mass", 8), ("y_mass", 5))}
    for z, lengths in zip(given.values(), (X_LENGTHS, Y_LENGTHS), strict=True):
        z[~length_mask(lengths, z.shape[1])] = float("nan")
    results = []
    for batched in (True, False):
        leaves = {name: z.clone().requires_grad_() for name, z in given.items()}
        masses = leaves if mass == "given" else dict.fromkeys(given, mass)
        problem = _problem(_states(), batched=batched, **masses).compact()
        if mass == "given":
            (problem.x_mass.square().sum() + problem.y_mass.square().sum()).backward()
        results.append((problem.x_mass.detach(), problem.y_mass.detach(), *(z.grad for z in leaves.values())))
    for mine, right in zip(*results, strict=True):
        torch.testing.assert_close(mine, right)


def test_solvers_of_the_host_take_a_batched_problem():
    for solver in (Exact(), Relaxed(), Sinkhorn(tolerance=1e-8, max_iterations=500)):
        results = [solver.solve(_problem(_states(), batched=batched)) for batched in (True, False)]
        assert results[0].value.shape == (5,)
        torch.testing.assert_close(results[0].value, results[1].value)
        torch.testing.assert_close(results[0].plan(), results[1].plan(), atol=1e-6, rtol=0)


def test_added_costs_are_ignored_in_the_padding():
    extra = torch.rand(5, 8, 5, dtype=torch.float64)
    content = length_mask(X_LENGTHS, 8)[:, :, None] & length_mask(Y_LENGTHS, 5)[:, None]
    extra[~content] = float("nan")
    problems = [_problem(_states(), batched=batched).plus(extra).compact() for batched in (True, False)]
    torch.testing.assert_close(problems[0].cost, problems[1].cost)


def test_a_cost_of_ones_own_is_computed_sample_by_sample_and_the_log_says_so_once(caplog):
    batch._announce.cache_clear()
    with caplog.at_level("INFO", "aista.losses"):
        for _ in range(2):
            problem = _problem(_states(), batched=True, cost=torch.cdist, x_mass=lambda x: x.norm(dim=1))
    assert problem.rows is not None
    (record,) = caplog.records
    assert "cdist" in record.getMessage()
    assert "sample by sample only" in record.getMessage()


def test_only_other_devices_than_the_cpu_are_batched_by_default():
    assert from_states(*_states(), X_LENGTHS, Y_LENGTHS).rows is not None


def test_a_length_beyond_the_padding_is_refused_where_it_is_read():
    problem = from_states(*_states(), X_LENGTHS + 5, Y_LENGTHS, batched=True)
    with pytest.raises(ValueError, match=r"x_lengths must lie in 0\.\.8, the padded length, got 12"):
        problem.compact()


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize(("s", "t"), [(0, 4), (5, 0), (0, 0)])
def test_a_side_without_positions(cost, s, t):
    """As where no row of a batch has a transcript."""
    x, y, none = torch.randn(2, s, 6, requires_grad=True), torch.randn(2, t, 6), torch.zeros(2, dtype=torch.long)
    problem = from_states(x, y, none, none, cost=cost, x_mass="norm", batched=True)
    for scale in ("mean", "max", "absolute"):
        assert Sinkhorn(epsilon_scale=scale, epsilon=0.5).epsilon_per_sample(problem).tolist() == [0.5, 0.5]
    result = Sinkhorn().solve(problem)
    result.value.sum().backward()
    assert result.value.tolist() == [0, 0]
    assert result.plan().shape == (2, s, t)
    assert x.grad.eq(0).all()


@pytest.mark.parametrize("cost", COSTS)
def test_gradients_of_large_fp16_states_do_not_vanish(cost):
    low = [(30 * z.detach()).requires_grad_() for z in _states(torch.float16)]
    high = [z.detach().double().requires_grad_() for z in low]
    for states in (low, high):
        (_problem(states, batched=True, cost=cost).compact().cost.sum() * 1e-4).backward()
    for z, right in zip(low, high, strict=True):
        torch.testing.assert_close(z.grad.double(), right.grad, atol=1e-7, rtol=2e-3)


class _Half(SqEuclidean):
    def __call__(self, x, y):
        return super().__call__(x, y) / 2


class _Sharp(Norm):
    def __call__(self, states):
        return super().__call__(states).softmax(0)


@pytest.mark.parametrize("geometry", [{"cost": _Half()}, {"x_mass": _Sharp()}])
def test_a_subclass_is_not_computed_as_its_base(geometry):
    problems = [_problem(_states(), batched=batched, **geometry).compact() for batched in (True, False)]
    torch.testing.assert_close(problems[0].cost, problems[1].cost)
    torch.testing.assert_close(problems[0].x_mass, problems[1].x_mass)


def test_the_log_names_functions_alike_at_each_step(caplog):
    batch._announce.cache_clear()
    functions = [lambda x, y, factor=factor: factor * torch.cdist(x, y) for factor in (1, 2)]
    with caplog.at_level("INFO", "aista.losses"):
        for cost in functions:
            _problem(_states(), batched=True, cost=cost)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("bad", [-0.5, float("nan"), 0.0])
def test_unusable_masses_are_nan_in_their_sample_alone(bad):
    mass = torch.ones(5, 8)
    mass[0, :7] = torch.linspace(bad, -2 * bad, 7)
    shares = _problem(_states(), batched=True, x_mass=mass).x_mass
    assert shares[0, :7].isnan().all()
    assert shares[1:].isfinite().all()
