"""The Triton kernels against the float64 reference: on a GPU, or in Triton's interpreter.

``test_launch.py`` runs this file with TRITON_INTERPRET=1, which must be set before triton is imported. On a GPU
machine: ``pytest tests/losses/kernels/sinkhorn/launch_checks.py``.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from aista.losses import Sinkhorn, SinkhornDivergence, Unbalanced, from_cost, from_states
from aista.losses.costs import Cosine
from aista.losses.kernels.sinkhorn import first_use, launch, onchip, operators, reference, streaming
from aista.losses.kernels.sinkhorn.backend import resolve
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem
from benchmarks.ot.check import relative_error
from benchmarks.ot.rows.base import cosine_cost, sample_epsilon
from benchmarks.ot.workload import EPSILON, Workload, make_case
from tests.losses.clouds import clouds, masses
from tests.losses.kernels.sinkhorn.test_scaling import _problem

# The kernels let sums overflow and look at them afterwards; numpy, which interprets, would warn.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

INF = math.inf
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
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


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch):
    """Memory that nobody wrote holds NaN."""
    monkeypatch.setattr(torch, "empty_like", lambda z, **options: torch.full_like(z, float("nan"), **options))


def _on_device(problem):
    tensors = {name: getattr(problem, name).to(DEVICE) for name in ("cost_NST", "a_NS", "b_NT", "epsilon_N")}
    return replace(problem, **tensors)


def _sums(problem, potentials):
    """``f + g`` of each sample: unique, unlike ``f`` and ``g`` alone."""
    f, g = potentials.f_NS.cpu().double(), potentials.g_NT.cpu().double()
    return [f[n, :s, None] + g[n, None, :t] for n, (s, t) in enumerate(problem.lengths_N2)]


def _largest_error(problem, potentials, truth):
    return max(
        float((x - y).abs().max()) for x, y in zip(_sums(problem, potentials), _sums(problem, truth), strict=True)
    )


# Iterations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [10.0, 0.1, 0.001])
@pytest.mark.parametrize("rho", RHO)
def test_iterates_are_the_references(kernel, epsilon, rho):
    """Ragged lengths, one-token samples, zero masses; at epsilon 0.001 column sums underflow."""
    problem = _problem(epsilon, rho)
    truth = reference.solve(_problem(epsilon, rho, torch.float64), 5, 0.0)
    result = launch.solve(_on_device(problem), 5, 0.0)
    plain = reference.solve(problem, 5, 0.0)
    assert result.num_iterations_N.tolist() == [5] * 4
    bound = 2 * _largest_error(problem, plain, truth) + 1e-6 * max(1.0, epsilon)
    assert _largest_error(problem, result, truth) <= bound


def test_a_single_iteration(kernel):
    problem = _problem(0.1)
    result = launch.solve(_on_device(problem), 1, 1e-3)
    assert result.num_iterations_N.tolist() == [1] * 4
    assert _largest_error(problem, result, reference.solve(problem, 1, 0.0)) < 1e-6


@pytest.mark.parametrize("rho", [(INF, INF), (1.0, 0.3)])
def test_samples_stop_one_by_one_and_truthfully(kernel, rho):
    problem = _problem(0.1, rho)
    problem.epsilon_N[0], problem.epsilon_N[3] = 5.0, 0.03
    for max_iterations in (15, 80):
        loaded = launch.load_problem(_on_device(problem))
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
    result = launch.solve(_on_device(problem), 5, 1e-3)
    assert all(z.isfinite().all() for z in _sums(problem, result))


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


# The batch at once --------------------------------------------------------------------------------


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
    solver, cost = Sinkhorn(epsilon=0.5, max_iterations=3, backend="triton"), Cosine()

    def loss(x, y, x_lengths, y_lengths):
        return solver.solve(from_states(x, y, x_lengths, y_lengths, cost=cost, batched=True)).value

    counter, frames = CompileCounter(), []
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend=counter)
    for n, s, t in ((2, 5, 3), (4, 6, 9)):
        inputs = torch.randn(n, s, 8), torch.randn(n, t, 8), torch.full((n,), s - 1), torch.full((n,), t)
        inputs = [z.to(DEVICE) for z in inputs]
        expected = loss(*inputs)  # before: the first look at the kernels is no part of a graph
        torch.testing.assert_close(compiled(*inputs), expected)
        frames.append(counter.frame_count)
    assert frames == [1, 1]


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


# First use ----------------------------------------------------------------------------------------


@pytest.fixture
def _unseen(monkeypatch):
    monkeypatch.setattr(first_use, "_faults", {})


@pytest.mark.usefixtures("_unseen")
def test_kernels_that_work_are_looked_at_once(monkeypatch):
    looks = []
    monkeypatch.setattr(first_use, "_look", lambda device: looks.append(device) or "")
    assert [first_use.fault(torch.zeros(1, 2, 2, device=DEVICE)) for _ in range(2)] == ["", ""]
    assert len(looks) == 1


def test_the_small_problem_is_solved_alike():
    assert first_use._look(torch.device(DEVICE)) == ""


def _off(*arguments):
    f, g, num_iterations = operators.iterate(*arguments)
    return f + 0.01, g, num_iterations


def _broken(*arguments):
    raise RuntimeError("ptxas: no such instruction")


@pytest.mark.usefixtures("_unseen")
@pytest.mark.parametrize(
    ("iterate", "message"),
    [(_off, "they are wrong on .*the value differs by"), (_broken, "they fail on .*RuntimeError: ptxas: no such")],
)
def test_kernels_that_do_not_work_are_refused(monkeypatch, iterate, message):
    kernels = SimpleNamespace(**vars(operators) | {"iterate": iterate})
    monkeypatch.setattr(launch, "operators", kernels)
    monkeypatch.setattr(first_use, "NUM_ITERATIONS", 3)
    with pytest.raises(RuntimeError, match=f"backend 'triton' cannot be used.*{message}"):
        resolve("triton", torch.zeros(1, 2, 2, device=DEVICE))


# What is lost, what is ignored ---------------------------------------------------------------------


@pytest.mark.parametrize("rho", [(INF, INF), (1.0, 0.3)])
def test_bf16_costs_stay_within_their_rounding(kernel, rho):
    """Plans of mass 1 weigh cost errors by at most the largest, 2^-9 of a cost below 1; other masses scale it."""
    problem = _on_device(_problem(1.0, rho))
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
        loaded = launch.load_problem(_on_device(p))
        potentials = launch.iterate(loaded, 3, 0.0)
        results.append((potentials, launch.evaluate(loaded, potentials)))
    (potentials, clean), (others, dirty) = results
    assert all(map(torch.equal, _sums(problem, potentials), _sums(problem, others)))
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


@pytest.mark.skipif(not INTERPRETED, reason="on a GPU auto is triton")
def test_auto_stays_on_the_cpu_where_the_costs_are(caplog):
    with caplog.at_level("INFO", "aista.losses"):
        result = Sinkhorn().solve(from_cost(torch.rand(1, 3, 2), torch.tensor([3]), torch.tensor([2])))
    assert result.converged.all()
    assert "backend scaling" in caplog.text


@pytest.mark.skipif(INTERPRETED, reason="needs a GPU")
def test_a_cuda_graph_replays_the_whole_solver():
    problem = _on_device(_problem(0.1))
    loaded = launch.load_problem(problem)
    expected = launch.evaluate(loaded, launch.iterate(loaded, 50, 1e-3))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = launch.evaluate(loaded, launch.iterate(loaded, 50, 1e-3))
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(x, y) for x, y in zip(captured, expected, strict=True))
