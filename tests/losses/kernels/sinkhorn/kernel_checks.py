"""The Triton kernels against the float64 reference, from costs at hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from aista.losses import Sinkhorn, Unbalanced, from_cost
from aista.losses.kernels.sinkhorn import launch, onchip, operators, reference, streaming
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem
from benchmarks.ot.check import relative_error
from benchmarks.ot.rows.base import cosine_cost, sample_epsilon
from benchmarks.ot.workload import EPSILON, Workload, make_case
from tests.losses.clouds import clouds, masses
from tests.losses.kernels.sinkhorn.checks import DEVICE, INF, INTERPRETED, MARKS, on_device, sums
from tests.losses.kernels.sinkhorn.test_scaling import _problem

pytestmark = MARKS
RHO = [(INF, INF), (1.0, 0.3), (0.0, 1.0), (INF, 0.5), (0.5, 0.0), (0.0, 0.0)]


@pytest.fixture(params=["onchip", "streaming"])
def kernel(request, monkeypatch):
    """Both kernels at small sizes; a streaming tile of 4 rows, so that samples take several."""
    if request.param == "streaming":
        monkeypatch.setattr(operators, "ONCHIP_ELEMENTS", 0)
        monkeypatch.setattr(operators, "STREAMING_ELEMENTS", 64)
    monkeypatch.setattr(operators, "EPILOGUE_ELEMENTS", 64)
    expected = {"onchip": onchip.solve, "streaming": streaming.solve}[request.param]
    assert operators.plan_launches(9, 6)[0].kernel is expected
    return request.param


def _largest_error(problem, potentials, truth):
    return max(float((x - y).abs().max()) for x, y in zip(sums(problem, potentials), sums(problem, truth), strict=True))


# Iterations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [10.0, 0.1, 0.001])
@pytest.mark.parametrize("rho", RHO)
def test_iterates_are_the_references(kernel, epsilon, rho):
    """Ragged lengths, one-token samples, zero masses; at epsilon 0.001 column sums underflow."""
    problem = _problem(epsilon, rho)
    truth = reference.solve(_problem(epsilon, rho, torch.float64), 5, 0.0)
    result = launch.solve(on_device(problem), 5, 0.0)
    plain = reference.solve(problem, 5, 0.0)
    assert result.num_iterations_N.tolist() == [5] * 4
    bound = 2 * _largest_error(problem, plain, truth) + 1e-6 * max(1.0, epsilon)
    assert _largest_error(problem, result, truth) <= bound


def test_a_single_iteration(kernel):
    problem = _problem(0.1)
    result = launch.solve(on_device(problem), 1, 1e-3)
    assert result.num_iterations_N.tolist() == [1] * 4
    assert _largest_error(problem, result, reference.solve(problem, 1, 0.0)) < 1e-6


@pytest.mark.parametrize("rho", [(INF, INF), (1.0, 0.3)])
def test_samples_stop_one_by_one_and_truthfully(kernel, rho):
    problem = _problem(0.1, rho)
    problem.epsilon_N[0], problem.epsilon_N[3] = 5.0, 0.03
    for max_iterations in (15, 80):
        loaded = launch.load_problem(on_device(problem))
        potentials = launch.iterate(loaded, max_iterations, 1e-3)
        num = potentials.num_iterations_N
        assert num[0] == 10
        assert num[3] > 10
        stopped = num < max_iterations
        error = launch.evaluate(loaded, potentials).marginal_error_N
        assert (error[stopped] <= 1e-3).all()
    assert stopped.all()


@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e30])
def test_costs_of_any_size_stay_finite(kernel, scale):
    problem = _problem(1.0)
    problem = replace(problem, cost_NST=problem.cost_NST * scale)
    result = launch.solve(on_device(problem), 5, 1e-3)
    assert all(z.isfinite().all() for z in sums(problem, result))


def test_rows_longer_than_a_tile_of_many():
    """A second side of 40 pads to 48 columns in memory and 64 in a tile."""
    case = clouds([30, 5], [40, 17], dim=6)
    args = (torch.rand(2, 30, 40), case.x_lengths, case.y_lengths)
    result = Sinkhorn(backend="triton").solve(from_cost(*(z.to(DEVICE) for z in args)))
    expected = Sinkhorn(backend="reference").solve(from_cost(args[0].double(), *args[1:]))
    assert result.converged.all()
    torch.testing.assert_close(result.value.cpu().double(), expected.value, atol=1e-4, rtol=0)


SIZES = [(2, 12, 6, 16), (1, 260, 70, 8)] if INTERPRETED else [(64, 200, 40, 1024), (64, 375, 128, 2048)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("factor", [10.0, 1.0, 0.1])
@pytest.mark.parametrize("rho", [(INF, INF), (1.0, 0.5), (0.0, INF)])
def test_plans_of_states_are_the_references(sizes, factor, rho):
    """On chip and streaming with the tiles that such sizes get; on a GPU the sizes of training."""
    case = make_case(Workload(*sizes))
    a, b = case.masses()
    inside = (a[:, :, None] * b[:, None]) > 0
    cost, lengths = cosine_cost(case.x_BSD, case.y_BTD), torch.stack(case[2:], 1)
    epsilon = factor * sample_epsilon(cost, a, b)
    inputs = cost.where(inside, 0.0).double(), a.double(), b.double(), tuple(map(tuple, lengths.tolist()))
    problem = EntropicProblem(*inputs, epsilon.double(), *rho)
    num_iterations = 3 if INTERPRETED else 50
    f, g, _ = reference.solve(problem, num_iterations, 0.0)
    ratio = torch.exp((f[:, :, None] + g[:, None] - problem.cost_NST) / problem.epsilon_N[:, None, None])
    plan = (ratio * problem.a_NS[:, :, None] * problem.b_NT[:, None]).where(inside, 0.0)
    tensors = (z.to(DEVICE) for z in (cost.masked_fill(~inside, math.nan), a, b, *case[2:]))
    loaded = launch.load(*tensors, factor * EPSILON, "mean", rho)
    torch.testing.assert_close(loaded.epsilon_N.cpu(), epsilon, atol=0, rtol=1e-5)
    result = launch.evaluate(loaded, launch.iterate(loaded, num_iterations, 0.0))
    assert relative_error(result.entry_NST.cpu(), plan) < 1e-3
    assert relative_error(result.transport_cost_N.cpu(), (plan * problem.cost_NST).sum((1, 2))) < 1e-4


# Value, report, gradient --------------------------------------------------------------------------


def _solved(backend, dtype, device, rho, **options):
    g = torch.Generator().manual_seed(3)
    lengths = torch.tensor([7, 1, 4, 0]), torch.tensor([5, 3, 1, 2])
    cost = torch.rand(4, 8, 6, generator=g, dtype=torch.float64)
    a, b = masses(lengths[0], 8, dtype=torch.float64), masses(lengths[1], 6, seed=1, dtype=torch.float64)
    a[0, 2] = b[0, 3] = 0.0  # points without mass
    leaves = [z.to(device, dtype).requires_grad_() for z in (cost, a, b)]
    options = {"epsilon": 0.1, "max_iterations": 6, "tolerance": 0.0} | options
    lengths = [z.to(device) for z in lengths]
    is_balanced = rho == (INF, INF)
    if is_balanced:
        solver = Sinkhorn(backend=backend, polish=False, **options)
    else:
        solver = Unbalanced(rho_x=rho[0], rho_y=rho[1], backend=backend, **options)
    result = solver.solve(from_cost(leaves[0], *lengths, x_mass=leaves[1], y_mass=leaves[2]))
    result.value.sum().backward()
    report = (result.value, result.transport_cost, result.marginal_error, result.plan(), *(z.grad for z in leaves))
    return [z.detach().cpu().double() for z in report]


@pytest.mark.parametrize("rho", [*RHO, (100.0, 100.0)])
def test_value_report_plan_and_gradients_are_the_references(kernel, rho):
    """Against float64, from the same number of iterations; NaN in the padding of the masses."""
    results = _solved("triton", torch.float32, DEVICE, rho), _solved("reference", torch.float64, "cpu", rho)
    for mine, exact in zip(*results, strict=True):
        torch.testing.assert_close(mine, exact, atol=3e-6, rtol=1e-5)


def test_the_linear_value_and_its_implicit_gradient(kernel):
    results = (
        _solved(backend, dtype, device, (INF, INF), value="linear", epsilon=0.5, max_iterations=20)
        for backend, dtype, device in (("triton", torch.float32, DEVICE), ("reference", torch.float64, "cpu"))
    )
    for mine, exact in zip(*results, strict=True):
        torch.testing.assert_close(mine, exact, atol=2e-5, rtol=1e-4)


def test_states_and_their_gradients():
    case = clouds([6, 1, 4], [3, 2, 5])
    mine = case._replace(**{name: z.to(DEVICE) for name, z in case._asdict().items()}).leaves()
    exact = case._replace(x=case.x.double(), y=case.y.double()).leaves()
    for leaves, backend in ((mine, "triton"), (exact, "reference")):
        result = Sinkhorn(epsilon=0.5, tolerance=1e-5, max_iterations=200, backend=backend)(*leaves)
        result.value.sum().backward()
        assert result.converged.all()
    for x, y in ((mine.x, exact.x), (mine.y, exact.y)):
        torch.testing.assert_close(x.grad.cpu().double(), y.grad, atol=1e-4, rtol=0)


# What is lost, what is ignored ---------------------------------------------------------------------


@pytest.mark.parametrize("rho", [(INF, INF), (1.0, 0.3)])
def test_bf16_costs_stay_within_their_rounding(kernel, rho):
    """Plans of mass 1 weigh cost errors by at most the largest, 2^-9 of a cost below 1; other masses scale it."""
    problem = on_device(_problem(1.0, rho))
    low = replace(problem, cost_NST=problem.cost_NST.bfloat16())
    rounded = replace(problem, cost_NST=low.cost_NST.float())
    results = []
    for p in (problem, low, rounded):
        loaded = launch.load_problem(p)
        results.append(launch.evaluate(loaded, launch.iterate(loaded, 3, 0.0)))
    values = [result.value_N for result in results]
    assert {name: z.dtype for name, z in results[1]._asdict().items() if z.dtype != torch.float32} == {
        "converged_N": torch.bool
    }
    torch.testing.assert_close(values[1], values[2], atol=1e-6, rtol=0)
    mass = max(1.0, float(results[0].entry_NST.sum((1, 2)).max()))
    assert (values[1] - values[0]).abs().max() <= 2**-9 * mass + 1e-6
    assert not torch.equal(values[1], values[0])


@pytest.mark.parametrize("fill", [float("nan"), INF])
def test_the_padding_is_ignored(kernel, fill):
    problem = _problem(0.1)
    filled = replace(problem, **{name: getattr(problem, name).clone() for name in ("cost_NST", "a_NS", "b_NT")})
    for n, (s, t) in enumerate(problem.lengths_N2):
        filled.cost_NST[n, s:], filled.cost_NST[n, :, t:] = fill, fill
        filled.a_NS[n, s:], filled.b_NT[n, t:] = fill, fill
    results = []
    for p in (problem, filled):
        loaded = launch.load_problem(on_device(p))
        potentials = launch.iterate(loaded, 3, 0.0)
        results.append((potentials, launch.evaluate(loaded, potentials)))
    (potentials, clean), (others, dirty) = results
    assert all(map(torch.equal, sums(problem, potentials), sums(problem, others)))
    assert all(torch.equal(x, y) for x, y in zip(clean, dirty, strict=True))
    for n, (s, t) in enumerate(problem.lengths_N2):
        assert dirty.entry_NST[n, s:].eq(0).all()
        assert dirty.entry_NST[n, :, t:].eq(0).all()
        assert dirty.a_derivative_NS[n, s:].eq(0).all()
        assert dirty.b_derivative_NT[n, t:].eq(0).all()


@pytest.mark.parametrize("bad", [float("nan"), INF])
def test_a_bad_cost_spoils_its_own_sample_only_and_is_reported(kernel, bad):
    cost = _problem(0.1).cost_NST.clone()
    lengths = torch.tensor(_problem(0.1).lengths_N2).unbind(1)
    options = {"epsilon": 2.0, "max_iterations": 5, "polish": False, "backend": "triton"}
    good = Sinkhorn(**options).solve(from_cost(*(z.to(DEVICE) for z in (cost, *lengths))))
    cost[0, 2, 1] = bad
    result = Sinkhorn(**options).solve(from_cost(*(z.to(DEVICE) for z in (cost, *lengths))))
    assert not result.converged[0]
    assert not result.value[0].isfinite()
    assert torch.equal(result.value[1:], good.value[1:])
    assert result.converged[1:].all()


@pytest.mark.skipif(INTERPRETED, reason="needs a GPU")
def test_a_cuda_graph_replays_the_whole_solver():
    problem = on_device(_problem(0.1))
    loaded = launch.load_problem(problem)
    expected = launch.evaluate(loaded, launch.iterate(loaded, 50, 1e-3))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = launch.evaluate(loaded, launch.iterate(loaded, 50, 1e-3))
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(x, y) for x, y in zip(captured, expected, strict=True))
