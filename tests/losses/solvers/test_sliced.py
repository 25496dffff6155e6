from __future__ import annotations

import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Exact, Sliced
from aista.losses.costs import Cosine, SqEuclidean
from aista.losses.solvers.sliced import projections
from tests.losses.clouds import check_transport, clouds, masses, shares

LENGTHS = ([7, 1, 4, 0, 6], [5, 3, 1, 2, 6])


@pytest.mark.parametrize(("cost", "power"), [("sqeuclidean", 2), ("euclidean", 1), ("cosine", 2)])
def test_agrees_with_pot_sample_by_sample(cost, power):
    case = clouds(*LENGTHS, dtype=torch.float64)
    a, b = masses(case.x_lengths, 8, dtype=torch.float64), masses(case.y_lengths, 7, seed=1, dtype=torch.float64)
    result = Sliced(num_projections=20, seed=3)(*case, x_mass=a, y_mass=b, cost=cost)
    directions = projections(8, 20, 3)
    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        if s and t:
            x, y = case.x[n, :s], case.y[n, :t]
            if cost == "cosine":
                x, y = (z / z.norm(dim=1, keepdim=True) / 2**0.5 for z in (x, y))
            weights = (shares(a[n], s), shares(b[n], t))
            expected = ot.sliced_wasserstein_distance(x, y, *weights, projections=directions, p=power)
            torch.testing.assert_close(result.value[n], expected**power)


def test_directions_are_as_long_as_documented_and_fixed_by_the_seed():
    directions = projections(8, 50, 1)
    torch.testing.assert_close(directions.norm(dim=0), torch.full((50,), 8**0.5, dtype=torch.float64))
    assert torch.equal(directions, projections(8, 50, 1))
    assert not torch.equal(directions, projections(8, 50, 2))


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
@pytest.mark.parametrize(("s", "t"), [(6, 6), (7, 3), (1, 5)])
def test_on_the_line_it_is_exact(cost, s, t):
    """In one dimension every direction is 1 or -1, and the mean plan is the optimal one."""
    g = torch.Generator().manual_seed(s)
    x, y = (torch.randn(1, size, 1, generator=g, dtype=torch.float64) for size in (s, t))
    lengths = torch.tensor([s]), torch.tensor([t])
    geometry = {"cost": cost, "x_mass": masses(lengths[0], s, dtype=torch.float64)}
    found, expected = (solver(x, y, *lengths, **geometry) for solver in (Sliced(), Exact()))
    torch.testing.assert_close(found.value, expected.value)
    torch.testing.assert_close(found.transport_cost, expected.value)
    if cost == "sqeuclidean":
        torch.testing.assert_close(found.plan(), expected.plan())


@settings(max_examples=30)
@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from(["cosine", "sqeuclidean", "euclidean"]), st.integers(0, 99)
)
def test_marginals_duality_and_the_bound_of_the_plan(s, t, cost, seed):
    case = clouds([s], [t], seed=seed, dtype=torch.float64)
    a, b = masses(case.x_lengths, s + 1, seed=seed).double(), masses(case.y_lengths, t + 1, seed=seed + 1).double()
    geometry = {"x_mass": a, "y_mass": b, "cost": cost}
    result = Sliced(num_projections=5)(*case, **geometry)
    plan, p, q = result.plan()[0, :s, :t], shares(a[0], s), shares(b[0], t)
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(1), p)
    torch.testing.assert_close(plan.sum(0), q)
    assert (result.transport_cost >= Exact()(*case, **geometry).value - 1e-9).all()
    f, g = (z[0] for z in result.potentials)
    torch.testing.assert_close(p @ f[:s] + q @ g[:t], result.value[0])


@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean"])
def test_plan_and_report(cost):
    case = clouds(*LENGTHS)
    result = Sliced()(*case, cost=cost)
    kind = {"cosine": Cosine(), "sqeuclidean": SqEuclidean()}[cost]
    costs = torch.stack([kind(x, y) for x, y in zip(case.x, case.y, strict=True)])
    check_transport(result, case, costs, atol=1e-4)
    assert result.converged.all()


def test_equal_clouds_in_any_order_cost_nothing_and_others_something():
    x = torch.randn(1, 6, 4, dtype=torch.float64)
    lengths = torch.tensor([6])
    assert float(Sliced()(x, x[:, [3, 0, 5, 1, 2, 4]], lengths, lengths, cost="sqeuclidean").value) < 1e-12
    assert float(Sliced()(x, x + 0.1, lengths, lengths, cost="sqeuclidean").value) > 1e-3


def test_symmetry_and_scaling():
    case = clouds(*LENGTHS, dtype=torch.float64)
    forward = Sliced()(*case, cost="sqeuclidean")
    backward = Sliced()(3 * case.y, 3 * case.x, case.y_lengths, case.x_lengths, cost="sqeuclidean")
    torch.testing.assert_close(9 * forward.value, backward.value)
    torch.testing.assert_close(forward.plan(), backward.plan().mT)


def test_a_squared_distance_keeps_its_size_on_average():
    x, y, one = torch.randn(1, 1, 16), torch.randn(1, 1, 16), torch.ones(1).long()
    value = Sliced(num_projections=20_000)(x, y, one, one, cost="sqeuclidean").value
    torch.testing.assert_close(value, (x - y).pow(2).sum((1, 2)), rtol=0.05, atol=0)
    cosine = Sliced(num_projections=20_000)(x, y, one, one).value
    torch.testing.assert_close(cosine, 1 - torch.cosine_similarity(x, y, dim=-1)[:, 0], rtol=0.05, atol=0)


@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean", "euclidean"])
def test_gradcheck(cost):
    case = clouds([4, 1, 3, 0], [3, 3, 1, 2], dim=3, dtype=torch.float64)
    x, y = (torch.nan_to_num(z, 1.0, posinf=1.0).requires_grad_() for z in case[:2])
    g = torch.Generator().manual_seed(1)
    a, b = ((torch.rand(4, size, generator=g, dtype=torch.float64) + 0.5).requires_grad_() for size in (5, 4))
    solver = Sliced(num_projections=4)
    loss = lambda x, y, a, b: solver(x, y, *case[2:], x_mass=a, y_mass=b, cost=cost).value  # noqa: E731
    assert torch.autograd.gradcheck(loss, (x, y, a, b), eps=1e-7, atol=1e-5)


def test_points_without_mass_do_not_count_but_have_a_derivative():
    case = clouds([4], [3], dtype=torch.float64)
    x, y = case.x[:, :4], case.y[:, :3]
    a = torch.tensor([[1.0, 0.0, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    result = Sliced()(x, y, *case[2:], x_mass=a)
    kept = [0, 2, 3]
    expected = Sliced()(x[:, kept], y, torch.tensor([3]), case.y_lengths, x_mass=a[:, kept])
    torch.testing.assert_close(result.value, expected.value)
    assert result.plan()[0, 1].eq(0).all()
    result.value.sum().backward()
    step = torch.tensor([[0.0, 1e-7, 0.0, 0.0]], dtype=torch.float64)
    slope = (Sliced()(x, y, *case[2:], x_mass=a.detach() + step).value - result.value.detach()) / 1e-7
    torch.testing.assert_close(slope[0], a.grad[0, 1], atol=1e-5, rtol=1e-4)


def test_zero_states_get_no_gradient_from_the_cosine():
    x = torch.zeros(1, 2, 4, requires_grad=True)
    Sliced()(x, torch.randn(1, 3, 4), torch.tensor([2]), torch.tensor([3])).value.sum().backward()
    assert x.grad.eq(0).all()


def test_bf16_stays_within_its_rounding():
    """bf16 keeps 8 bits: unit states differ by about 2^-9, values by no more than 2^-8."""
    case = clouds([20, 9, 15], [8, 5, 7], dim=64)
    low = Sliced()(case.x.bfloat16(), case.y.bfloat16(), *case[2:]).value
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, Sliced()(*case).value, atol=2**-8, rtol=0)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ({"position_weight": 0.5}, "position_weight must be 0 for sliced transport, got 0.5"),
        (
            {"cost": lambda x, y: x @ y.mT},
            "the cost of sliced transport must be cosine, euclidean or sqeuclidean, got <function",
        ),
    ],
)
def test_what_cannot_be_sliced(geometry, message):
    with pytest.raises(ValueError, match=message):
        Sliced()(*clouds([5, 3], [4, 2]), **geometry)


def test_a_mass_of_states_passes_its_gradient_on():
    case = clouds([5, 3], [4, 2], dtype=torch.float64).leaves()

    def value(x):
        x = x.nan_to_num(0.0)
        return Sliced(num_projections=4)(x, case.y.detach(), *case[2:], x_mass=lambda z: z[:, 0].sigmoid()).value

    x = case.x.detach().nan_to_num(0.0).requires_grad_()
    assert torch.autograd.gradcheck(value, (x,))
