from __future__ import annotations

import itertools
import math

import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Exact, Sinkhorn, Unbalanced, from_cost
from aista.losses.costs import Cosine, SqEuclidean
from tests.losses.clouds import check_batch, check_transport, clouds, masses, shares

TIGHT = {"tolerance": 1e-10, "max_iterations": 5000}
LENGTHS = ([7, 1, 4, 6], [5, 3, 1, 6])


def _cost(seed: int = 0, num: int = 4, s: int = 8, t: int = 7) -> torch.Tensor:
    return torch.rand(num, s, t, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _lengths() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(LENGTHS[0]), torch.tensor(LENGTHS[1])


# Against an independent implementation -------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.03])
def test_agrees_with_pot_sample_by_sample(epsilon):
    case = clouds(*LENGTHS, dtype=torch.float64)
    a, b = masses(case.x_lengths, 8, dtype=torch.float64), masses(case.y_lengths, 7, seed=1, dtype=torch.float64)
    result = Sinkhorn(epsilon=epsilon, epsilon_scale="absolute", **TIGHT)(*case, x_mass=a, y_mass=b)
    plan = result.plan()
    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        M = 1 - torch.cosine_similarity(case.x[n, :s, None], case.y[n, None, :t], dim=-1)
        p, q = shares(a[n], s), shares(b[n], t)
        expected = ot.sinkhorn(p, q, M, epsilon, method="sinkhorn_log", numItermax=100_000, stopThr=1e-13, warn=False)
        torch.testing.assert_close(plan[n, :s, :t], expected, atol=1e-9, rtol=0)
        linear = (expected * M).sum()
        torch.testing.assert_close(result.transport_cost[n], linear, atol=1e-9, rtol=0)
        kl = (expected * (expected / (p[:, None] * q)).log()).sum()
        torch.testing.assert_close(result.value[n], linear + epsilon * kl, atol=1e-9, rtol=0)
        # The documented constant between our KL form and POT's entropy form.
        entropies = -(p * p.log()).sum() - (q * q.log()).sum()
        entropy_form = linear + epsilon * (expected * expected.log()).sum()
        torch.testing.assert_close(result.value[n], entropy_form + epsilon * entropies, atol=1e-9, rtol=0)


@pytest.mark.parametrize("backend", ["scaling", "reference"])
@pytest.mark.parametrize("epsilon", [0.5, 0.05])
def test_fp32_marginals_and_report(backend, epsilon):
    case = clouds([7, 1, 0, 4], [5, 3, 4, 6])
    result = Sinkhorn(epsilon=epsilon, backend=backend)(*case)
    cost = torch.stack([Cosine()(x, y) for x, y in zip(case.x, case.y, strict=True)])
    check_transport(result, case, cost, atol=1e-5)
    assert result.value.dtype == torch.float32
    assert result.converged.all()


def test_convergence_is_reported_truthfully():
    rough = Sinkhorn(epsilon=0.01, max_iterations=3).solve(from_cost(_cost(), *_lengths()))
    assert not rough.converged.any() or (rough.marginal_error[rough.converged] <= 1e-3).all()
    assert not rough.converged[0]
    assert rough.num_iterations.tolist() == [3] * 4
    fine = Sinkhorn(epsilon=0.01, max_iterations=5000).solve(from_cost(_cost(), *_lengths()))
    assert fine.converged.all()
    assert (fine.marginal_error <= 1e-3).all()
    unreachable = Sinkhorn(tolerance=1e-12, max_iterations=50).solve(from_cost(_cost().float(), *_lengths()))
    assert not unreachable.converged[0]


# Mathematics ------------------------------------------------------------------------------


def test_symmetry():
    forward, backward = (
        Sinkhorn(**TIGHT).solve(from_cost(C, *lengths))
        for C, lengths in ((_cost(), _lengths()), (_cost().mT, _lengths()[::-1]))
    )
    torch.testing.assert_close(forward.value, backward.value)
    torch.testing.assert_close(forward.plan(), backward.plan().mT, atol=1e-8, rtol=0)


def test_permutation_equivariance():
    order, s, t = torch.tensor([3, 0, 2, 1, 5, 4]), torch.tensor([6]), torch.tensor([5])
    C = _cost(num=1, s=6, t=5)
    plain, moved = Sinkhorn(**TIGHT).solve(from_cost(C, s, t)), Sinkhorn(**TIGHT).solve(from_cost(C[:, order], s, t))
    torch.testing.assert_close(plain.value, moved.value)
    torch.testing.assert_close(plain.plan()[:, order], moved.plan(), atol=1e-8, rtol=0)


@pytest.mark.parametrize("scale", ["mean", "max"])
@pytest.mark.parametrize("factor", [1e-3, 40.0])
def test_scaling_costs_scales_values(scale, factor):
    plain, scaled = (
        Sinkhorn(epsilon_scale=scale, **TIGHT).solve(from_cost(C, *_lengths())) for C in (_cost(), _cost() * factor)
    )
    torch.testing.assert_close(plain.value * factor, scaled.value)
    torch.testing.assert_close(plain.plan(), scaled.plan(), atol=1e-8, rtol=0)


def test_epsilon_scales_relate_as_documented():
    C, s, t = _cost(num=1, s=6, t=5), torch.tensor([6]), torch.tensor([5])
    for kind, size in (("mean", C.mean()), ("max", C.max())):
        relative = Sinkhorn(epsilon=0.2, epsilon_scale=kind).solve(from_cost(C, s, t))
        absolute = Sinkhorn(epsilon=0.2 * float(size), epsilon_scale="absolute").solve(from_cost(C, s, t))
        torch.testing.assert_close(relative.value, absolute.value)


def test_shifting_costs_shifts_values_and_leaves_plans():
    options = {"epsilon_scale": "absolute", **TIGHT}
    r, c = torch.randn(4, 8, 1, dtype=torch.float64), torch.randn(4, 1, 7, dtype=torch.float64)
    plain, shifted = (
        Sinkhorn(**options).solve(from_cost(_cost(), *_lengths())),
        Sinkhorn(**options).solve(from_cost(_cost() + r + c, *_lengths())),
    )
    shift = [float(r[n, :s].mean() + c[n, :, :t].mean()) for n, (s, t) in enumerate(zip(*LENGTHS, strict=True))]
    torch.testing.assert_close(shifted.value - plain.value, torch.tensor(shift, dtype=torch.float64))
    torch.testing.assert_close(plain.plan(), shifted.plan(), atol=1e-8, rtol=0)


def test_values_fall_with_epsilon_to_the_exact_cost():
    results = [Sinkhorn(epsilon=e, **TIGHT).solve(from_cost(_cost(), *_lengths())) for e in (1.0, 0.3, 0.1, 0.03)]
    exact = Exact().solve(from_cost(_cost(), *_lengths()))
    for larger, smaller in itertools.pairwise(results):
        assert (smaller.value <= larger.value + 1e-9).all()
        assert (smaller.transport_cost <= larger.transport_cost + 1e-9).all()
    assert (results[-1].transport_cost >= exact.value - 1e-9).all()
    torch.testing.assert_close(results[-1].transport_cost, exact.value, atol=1e-2, rtol=0)


def test_diracs_cost_their_distance():
    x, y = torch.randn(3, 1, 4), torch.randn(3, 1, 4)
    one = torch.ones(3, dtype=torch.long)
    result = Sinkhorn()(x, y, one, one, cost="sqeuclidean")
    torch.testing.assert_close(result.value, (x - y).pow(2).sum((1, 2)))
    assert result.converged.all()


def test_one_point_against_many_is_the_mean_cost():
    result = Sinkhorn().solve(from_cost(_cost(s=1), torch.ones(4, dtype=torch.long), torch.tensor([7, 1, 3, 5])))
    expected = torch.stack([_cost(s=1)[n, 0, :t].mean() for n, t in enumerate([7, 1, 3, 5])])
    torch.testing.assert_close(result.value, expected)
    torch.testing.assert_close(
        Sinkhorn().solve(from_cost(_cost(s=1).mT, torch.tensor([7, 1, 3, 5]), torch.ones(4).long())).value, expected
    )


def test_coinciding_states_cost_nothing_and_have_finite_gradients():
    x = torch.ones(2, 5, 4).requires_grad_()
    lengths = torch.tensor([5, 3])
    result = Sinkhorn()(x, torch.ones(2, 5, 4), lengths, lengths)
    result.value.sum().backward()
    torch.testing.assert_close(result.value, torch.zeros(2), atol=1e-5, rtol=0)
    assert x.grad.isfinite().all()


def test_points_without_mass_do_not_count():
    C, s, t = _cost(num=1, s=6, t=5), torch.tensor([6]), torch.tensor([5])
    a, b = torch.ones(1, 6), torch.ones(1, 5)
    a[0, [1, 5]] = 0
    b[0, 2] = 0
    with_zeros = Sinkhorn(**TIGHT, epsilon_scale="absolute").solve(from_cost(C, s, t, x_mass=a, y_mass=b))
    kept = C[:, [0, 2, 3, 4]][:, :, [0, 1, 3, 4]]
    without = Sinkhorn(**TIGHT, epsilon_scale="absolute").solve(from_cost(kept, torch.tensor([4]), torch.tensor([4])))
    torch.testing.assert_close(with_zeros.value, without.value)
    assert (with_zeros.plan()[0, [1, 5]] == 0).all()
    assert all(z.isfinite().all() for z in with_zeros.potentials)


def test_masses_from_norms():
    case = clouds([5, 3], [4, 2])
    norms = [torch.linalg.vector_norm(z, dim=-1) for z in (case.x, case.y)]
    given_norms = Sinkhorn()(*case, x_mass=norms[0], y_mass=norms[1])
    torch.testing.assert_close(Sinkhorn()(*case, x_mass="norm", y_mass="norm").value, given_norms.value)


# Gradients ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cost"),
    [("regularized", "cosine"), ("regularized", "sqeuclidean"), ("regularized", "euclidean"), ("linear", "cosine")],
)
def test_gradcheck(value, cost):
    case = clouds([3, 0, 1], [2, 2, 2], dim=3, dtype=torch.float64)
    x, y = (torch.nan_to_num(z, 1.0, posinf=1.0).requires_grad_() for z in case[:2])
    g = torch.Generator().manual_seed(0)
    a, b = ((torch.rand(3, size, generator=g, dtype=torch.float64) + 0.5).requires_grad_() for size in (4, 3))

    def loss(x, y, a, b):
        solver = Sinkhorn(value=value, epsilon=0.5, epsilon_scale="absolute", **TIGHT)
        return solver(x, y, *case[2:], x_mass=a, y_mass=b, cost=cost, position_weight=0.1).value

    assert torch.autograd.gradcheck(loss, (x, y, a, b), atol=1e-5)


@pytest.mark.parametrize("value", ["regularized", "linear"])
def test_gradient_of_masses_at_zero(value):
    """One-sided: a point without mass gets the derivative of giving it some."""
    C, s, t = _cost(num=1, s=4, t=3), torch.tensor([4]), torch.tensor([3])
    options = {"epsilon": 0.3, "epsilon_scale": "absolute", "value": value, **TIGHT}
    a, b = torch.tensor([[0.0, 1.0, 2.0, 1.0]]).double(), torch.tensor([[1.0, 0.0, 1.0]]).double()
    for mass, key, index in ((a, "x_mass", 0), (b, "y_mass", 1)):
        others = {"x_mass": a, "y_mass": b}
        loss = lambda m: Sinkhorn(**options).solve(from_cost(C, s, t, **{**others, key: m})).value.sum()  # noqa: B023, E731
        leaf = mass.clone().requires_grad_()
        loss(leaf).backward()
        step = torch.zeros_like(mass)
        step[0, index] = 1e-6
        torch.testing.assert_close((loss(mass + step) - loss(mass)) / 1e-6, leaf.grad[0, index], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("value", ["regularized", "linear"])
def test_known_gradient_agrees_with_the_unrolled_one(value):
    case = clouds(*LENGTHS, dtype=torch.float64)
    grads = []
    for gradient in ("envelope", "unrolled"):
        leaves = case.leaves()
        options = {"epsilon": 0.3, "value": value, "gradient": gradient, "tolerance": 0.0, "max_iterations": 300}
        Sinkhorn(**options)(*leaves).value.sum().backward()
        grads.append((leaves.x.grad, leaves.y.grad))
    torch.testing.assert_close(grads[0], grads[1], atol=1e-8, rtol=1e-6)


def test_the_implicit_gradient_is_that_of_the_linear_value_by_name():
    case, gradients = clouds([5, 3], [4, 6], dtype=torch.float64), []
    for gradient in ("envelope", "implicit"):
        leaves = case.leaves()
        Sinkhorn(value="linear", gradient=gradient)(*leaves).value.sum().backward()
        gradients.append(leaves.x.grad)
    assert torch.equal(*gradients)


def test_no_tape_grows_with_the_iterations(monkeypatch):
    def nodes(gradient: str, iterations: int) -> int:
        leaf = _cost().requires_grad_()
        options = {"gradient": gradient, "tolerance": 0.0, "max_iterations": iterations}
        seen, queue = set(), [Sinkhorn(**options).solve(from_cost(leaf, *_lengths())).value.grad_fn]
        while queue:
            node = queue.pop()
            if node is not None and node not in seen:
                seen.add(node)
                queue += [child for child, _ in node.next_functions]
        return len(seen)

    assert nodes("envelope", 5) == nodes("envelope", 50)
    assert nodes("unrolled", 5) < nodes("unrolled", 50)


def test_samples_that_stop_early_leave_the_tape_sound():
    leaf = _cost().requires_grad_()
    solver = Sinkhorn(gradient="unrolled", tolerance=1e-6, max_iterations=500)
    result = solver.solve(from_cost(leaf, *_lengths()))
    assert len(set(result.num_iterations.tolist())) > 1
    result.value.sum().backward()
    torch.testing.assert_close(leaf.grad, result.plan(), atol=1e-5, rtol=0)


def test_one_side_alone_can_have_a_gradient():
    case = clouds([4, 3], [3, 2])
    y = case.y.clone().requires_grad_()
    Sinkhorn()(case.x, y, *case[2:]).value.sum().backward()
    both = case.leaves()
    Sinkhorn()(*both).value.sum().backward()
    assert torch.equal(y.grad, both.y.grad)


def test_backward_twice():
    case = clouds([4, 3], [3, 2]).leaves()
    value = Sinkhorn()(*case).value.sum()
    first = torch.autograd.grad(value, case.x, retain_graph=True)
    assert torch.equal(first[0], torch.autograd.grad(value, case.x)[0])


# Batches, padding, precision ------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 12)), min_size=2, max_size=5),
    st.sampled_from([7, 16, 33]),
    st.sampled_from(["cosine", "sqeuclidean", "euclidean"]),
    st.sampled_from([(math.inf, math.inf), (1.0, 0.5), (0.0, 1.0)]),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.integers(0, 9),
)
def test_a_batch_equals_its_samples_bit_for_bit(lengths, dim, cost, rho, dtype, seed):
    case = clouds(*map(list, zip(*lengths, strict=True)), dim=dim, seed=seed, dtype=dtype)
    geometry = {"cost": cost, "x_mass": "norm", "position_weight": 0.2}
    solver = Unbalanced(rho_x=rho[0], rho_y=rho[1], epsilon=0.05)
    check_batch(solver, case, **geometry)


def test_padding_of_given_costs_and_masses_never_matters():
    C = torch.full((2, 6, 5), float("nan"))
    C[0, :4, :3], C[1, :2, :5] = torch.rand(4, 3), torch.rand(2, 5)
    C.requires_grad_()
    s, t = torch.tensor([4, 2]), torch.tensor([3, 5])
    a = masses(s, 6).requires_grad_()
    Sinkhorn().solve(from_cost(C, s, t, x_mass=a)).value.sum().backward()
    assert C.grad.isfinite().all()
    assert C.grad[0, 4:].eq(0).all()
    assert a.grad.isfinite().all()
    assert a.grad[1, 2:].eq(0).all()


def test_bf16_stays_within_its_rounding():
    """bf16 keeps 8 bits: states differ by 2^-9, cosine costs by about 2^-8, values by no more."""
    case = clouds([20, 9, 15], [8, 5, 7], dim=64)
    low = case._replace(x=case.x.bfloat16(), y=case.y.bfloat16()).leaves()
    high = case.leaves()
    values = [Sinkhorn()(*c).value for c in (low, high)]
    assert values[0].dtype == torch.float32
    torch.testing.assert_close(values[0], values[1], atol=2**-8, rtol=0)
    for value in values:
        value.sum().backward()
    assert low.x.grad.dtype == torch.bfloat16
    error = (low.x.grad.float() - high.x.grad).norm() / high.x.grad.norm()
    assert error < 2**-5


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_extreme_costs_converge_like_any_other(size):
    result = Sinkhorn(epsilon=0.02, max_iterations=2000).solve(from_cost(_cost().float() * size, *_lengths()))
    assert result.converged.all()
    reference = Sinkhorn(epsilon=0.02, max_iterations=2000).solve(from_cost(_cost() * size, *_lengths()))
    torch.testing.assert_close(result.value.double(), reference.value, rtol=1e-4, atol=0)


# Options ---------------------------------------------------------------------------------------


def test_a_callable_cost_and_the_positional_term():
    case = clouds([5, 3], [4, 2])
    assert torch.equal(Sinkhorn()(*case, cost=SqEuclidean()).value, Sinkhorn()(*case, cost="sqeuclidean").value)
    free = lambda x, y: x.new_zeros(x.shape[0], y.shape[0])  # noqa: E731
    diagonal = Sinkhorn(epsilon=0.01, max_iterations=500)(*case, cost=free, position_weight=1.0, position_power=2.0)
    i, j = torch.arange(5) / 5, torch.arange(4) / 4
    expected = Exact().solve(from_cost(((i[:, None] - j) ** 2)[None], torch.tensor([5]), torch.tensor([4]))).value
    torch.testing.assert_close(diagonal.transport_cost[:1], expected, atol=1e-3, rtol=0)


def test_a_constant_cost_has_no_gradient_but_is_no_error():
    x = torch.randn(1, 3, 2, requires_grad=True)
    free = lambda x, y: torch.zeros(x.shape[0], y.shape[0])  # noqa: E731
    Sinkhorn()(x, x.detach(), torch.tensor([3]), torch.tensor([3]), cost=free).value.sum().backward()
    assert x.grad.eq(0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": -0.1}, "epsilon: must be greater than 0, got -0.1"),
        ({"epsilon": 0.0}, "epsilon: must be greater than 0"),
        ({"epsilon": math.inf}, "epsilon: must be finite, got inf"),
        ({"tolerance": math.inf}, "tolerance: must be finite, got inf"),
        ({"epsilon": math.nan}, "epsilon: expects a number, got nan"),
        ({"epsilon_scale": "median"}, "epsilon_scale: expects one of 'mean', 'max', 'absolute', got 'median'"),
        ({"max_iterations": 0}, "max_iterations: must be at least 1, got 0"),
        ({"max_iterations": 2.5}, "max_iterations: expects a whole number, got 2.5"),
        ({"tolerance": -1e-3}, "tolerance: must be at least 0, got -0.001"),
        ({"value": "dual"}, "value: expects one of 'regularized', 'linear', got 'dual'"),
        ({"gradient": "exact"}, "gradient: expects one of 'envelope', 'implicit', 'unrolled', got 'exact'"),
        (
            {"gradient": "implicit"},
            "gradient 'implicit' is that of value 'linear'; of the regularized value 'envelope'",
        ),
        ({"acceleration": "newton"}, "acceleration: expects one of 'auto', 'none', 'overrelaxation', got 'newton'"),
        (
            {"acceleration": "overrelaxation", "backend": "reference"},
            "acceleration 'overrelaxation' needs backend 'auto' or 'scaling', got 'reference'",
        ),
        (
            {"acceleration": "overrelaxation", "gradient": "unrolled"},
            "gradient 'unrolled' tapes plain iterations: it needs backend 'auto' or 'reference' and acceleration",
        ),
        ({"backend": "log"}, "backend: expects one of 'auto', 'reference', 'scaling', 'batched', 'triton', got 'log'"),
        (
            {"gradient": "unrolled", "backend": "scaling"},
            "it needs backend 'auto' or 'reference' and acceleration 'auto' or 'none', got 'scaling' and 'auto'",
        ),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        Sinkhorn(**options)
