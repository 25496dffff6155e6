"""The batched path with the Triton kernels, from states to gradients, against its samples in float64."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from aista.losses import Sinkhorn, SinkhornDivergence, Unbalanced, from_states
from aista.losses.costs import Cosine
from benchmarks.ot.check import relative_error
from tests.losses.kernels.sinkhorn.checks import DEVICE, INF, MARKS

pytestmark = MARKS


def _batch(dtype):
    """Ragged samples, two with an empty side; what nobody may read is NaN or infinite."""
    g = torch.Generator().manual_seed(0)
    lengths = torch.tensor([9, 5, 0, 7]), torch.tensor([6, 1, 3, 0])
    states = [torch.randn(4, size, 16, generator=g).to(DEVICE, dtype) for size in (9, 6)]
    for z, counts, fill in zip(states, lengths, (math.nan, INF), strict=True):
        for row, count in zip(z, counts.tolist(), strict=True):
            row[count:] = fill
    return states, [z.to(DEVICE) for z in lengths]


def _outcome(solver, states, lengths, **geometry):
    leaves = [z.detach().clone().requires_grad_() for z in states]
    if isinstance(solver, SinkhornDivergence):
        result = solver(*leaves, *lengths, **geometry)
    else:
        result = solver.solve(from_states(*leaves, *lengths, **geometry))
    result.value.sum().backward()
    report = result.value, result.transport_cost, result.plan(), *(z.grad for z in leaves)
    return [z.detach().cpu().double() for z in report], result


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean", "euclidean"])
def test_a_batch_of_states_is_solved_as_its_samples_are(cost, dtype):
    states, lengths = _batch(dtype)
    geometry = {"cost": cost, "position_weight": 0.3}
    options = {"epsilon": 0.5, "tolerance": 1e-4, "epsilon_scale": "max" if cost == "euclidean" else "mean"}
    mine, result = _outcome(Sinkhorn(backend="triton", **options), states, lengths, batched=True, **geometry)
    exact = [z.cpu().double() for z in states], [z.cpu() for z in lengths]
    right, _ = _outcome(Sinkhorn(backend="reference", **options), *exact, batched=False, **geometry)
    assert result.converged.tolist() == [True] * 4
    assert result.num_iterations.tolist()[2:] == [0, 0]
    assert result.value.tolist()[2:] == [0.0, 0.0]
    gradient = 1e-2 if dtype == torch.bfloat16 else 1e-4
    for found, truth, bound in zip(mine, right, (1e-4, 1e-4, 1e-3, gradient, gradient), strict=True):
        assert relative_error(found, truth) < bound


def test_where_the_second_side_is_the_longer_one_the_sides_change_places():
    states, lengths = (sides[::-1] for sides in _batch(torch.float32))
    options = {"epsilon": 0.3, "tolerance": 1e-4}
    mine, result = _outcome(Sinkhorn(backend="triton", **options), states, lengths, batched=True)
    exact = [z.cpu().double() for z in states], [z.cpu() for z in lengths]
    right, expected = _outcome(Sinkhorn(backend="reference", **options), *exact, batched=False)
    assert result.converged.tolist() == [True] * 4
    for found, truth, bound in zip(mine, right, (1e-4, 1e-4, 1e-3, 1e-4, 1e-4), strict=True):
        assert relative_error(found, truth) < bound
    sums, right_sums = (
        (f[:, :, None] + g[:, None]).cpu().double()[:2, :1, :1] for f, g in (result.potentials, expected.potentials)
    )
    torch.testing.assert_close(sums, right_sums, atol=1e-3, rtol=0)


def test_autocast_changes_nothing():
    states, lengths = _batch(torch.float32)
    solver = Sinkhorn(epsilon=0.3, max_iterations=4, tolerance=0.0, backend="triton")
    plain, _ = _outcome(solver, states, lengths, batched=True)
    with torch.autocast(DEVICE, torch.bfloat16):
        cast, _ = _outcome(solver, states, lengths, batched=True)
    assert all(map(torch.equal, cast, plain))


def test_masses_and_their_gradients_in_a_batch():
    (x, y), lengths = _batch(torch.float32)
    results = []
    for device, dtype, backend in ((DEVICE, torch.float32, "triton"), ("cpu", torch.float64, "reference")):
        mass = torch.linspace(0.5, 2, 36).reshape(4, 9).to(device, dtype).requires_grad_()
        sides = [z.to(device, dtype) for z in (x, y)], [z.to(device) for z in lengths]
        masses = {"x_mass": mass, "y_mass": "norm"}
        solver = Unbalanced(rho_x=1.0, rho_y=INF, epsilon=0.5, max_iterations=20, tolerance=0.0, backend=backend)
        found, _ = _outcome(solver, *sides, batched=backend == "triton", **masses)
        results.append([*found, mass.grad.cpu().double()])
    for found, truth in zip(*results, strict=True):
        torch.testing.assert_close(found, truth, atol=1e-5, rtol=1e-4)


def test_the_newton_step_is_taken_where_it_helps():
    states, lengths = _batch(torch.float32)
    reports = {}
    for polish in (False, True):
        solver = Sinkhorn(epsilon=0.1, max_iterations=6, tolerance=0.0, polish=polish, backend="triton")
        reports[polish] = solver.solve(from_states(*states, *lengths, batched=True)).marginal_error
    assert (reports[True] <= reports[False]).all()
    assert reports[False][0] > 1e-3
    assert reports[True][0] < 0.1 * reports[False][0]


def test_the_divergence_of_a_batch(monkeypatch):
    states, lengths = _batch(torch.float32)
    options = {"epsilon": 0.5, "tolerance": 1e-4}
    right, _ = _outcome(SinkhornDivergence(backend="reference", **options), [z.double() for z in states], lengths)
    batched = partial(from_states, batched=True)
    monkeypatch.setattr("aista.losses.solvers.sinkhorn_divergence.from_states", batched)
    mine, result = _outcome(SinkhornDivergence(backend="triton", **options), states, lengths)
    assert result.converged.all()
    for found, truth in zip(mine, right, strict=True):
        torch.testing.assert_close(found, truth, atol=1e-4, rtol=1e-3)


def test_a_length_beyond_the_padding_gives_nan_and_reads_nothing_beyond():
    states, (x_lengths, y_lengths) = _batch(torch.float32)
    x_lengths[1], y_lengths[2] = 10, -1
    result = Sinkhorn(backend="triton").solve(from_states(*states, x_lengths, y_lengths, batched=True))
    assert result.value.isnan().tolist() == [False, True, True, False]
    assert result.converged.tolist() == [True, False, False, True]


@pytest.mark.parametrize("side", ["x_mass", "y_mass"])
@pytest.mark.parametrize("solver", [Sinkhorn(backend="triton"), Unbalanced(backend="triton", rho_x=0, rho_y=0)])
def test_unusable_masses_are_seen_in_the_value(solver, side):
    states, lengths = _batch(torch.float32)
    mass = torch.ones(4, 9 if side == "x_mass" else 6, device=DEVICE)
    mass[0, 0] = -0.5
    result = solver.solve(from_states(*states, *lengths, batched=True, **{side: mass}))
    assert result.value.isnan().tolist() == [True, False, False, False]
    assert result.converged.tolist() == [False, True, True, True]


@pytest.mark.parametrize("scale", ["mean", "max"])
@pytest.mark.parametrize(("s", "t"), [(0, 4), (5, 0), (0, 0)])
def test_a_side_without_positions(monkeypatch, s, t, scale):
    monkeypatch.setattr("aista.losses.solvers.sinkhorn_divergence.from_states", partial(from_states, batched=True))
    states = [torch.randn(2, length, 16, device=DEVICE) for length in (s, t)]
    lengths = [torch.full((2,), length, device=DEVICE) for length in (s, t)]
    for solver in (Sinkhorn(backend="triton"), SinkhornDivergence(backend="triton", epsilon_scale=scale)):
        report, result = _outcome(solver, states, lengths, **({"batched": True} if type(solver) is Sinkhorn else {}))
        assert all(z.eq(0).all() for z in report)
        assert result.converged.tolist() == [True, True]


def test_autocast_does_not_reach_the_solver():
    states, lengths = _batch(torch.float32)
    solver = Sinkhorn(epsilon=0.1, max_iterations=6, tolerance=0.0, backend="triton")
    results = []
    for enabled in (False, True):
        with torch.autocast(DEVICE, torch.bfloat16, enabled=enabled):
            results.append(solver.solve(from_states(*states, *lengths, batched=True)))
    assert torch.equal(results[0].marginal_error, results[1].marginal_error)
    assert torch.equal(results[0].value, results[1].value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_caller_takes_batches_of_any_size():
    """One graph for each of the sides that may be the longer one."""
    solver, cost = Sinkhorn(epsilon=0.5, max_iterations=3, backend="triton"), Cosine()

    def loss(x, y, x_lengths, y_lengths):
        return solver.solve(from_states(x, y, x_lengths, y_lengths, cost=cost, batched=True)).value

    counter, frames = CompileCounter(), []
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend=counter)
    for n, s, t in ((2, 5, 3), (4, 9, 6), (4, 6, 9), (3, 5, 7)):
        inputs = torch.randn(n, s, 8), torch.randn(n, t, 8), torch.full((n,), s - 1), torch.full((n,), t)
        inputs = [z.to(DEVICE) for z in inputs]
        expected = loss(*inputs)  # before: the first look at the kernels is no part of a graph
        torch.testing.assert_close(compiled(*inputs), expected)
        frames.append(counter.frame_count)
    assert frames == [1, 1, 2, 2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_caller_holds_the_solver_in_its_graph():
    states, lengths = _batch(torch.float32)
    solver, cost = Sinkhorn(epsilon=0.5, backend="triton"), Cosine()

    def loss(x, y):
        return solver.solve(from_states(x, y, *lengths, cost=cost, batched=True)).value

    results = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        leaves = [z.clone().requires_grad_() for z in states]
        value = function(*leaves)
        value.sum().backward()
        results.append((value.detach(), *(z.grad for z in leaves)))
    for compiled, eager in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager)
