from __future__ import annotations

import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Sinkhorn, SinkhornDivergence, from_cost
from aista.losses.costs import SqEuclidean
from tests.losses.clouds import check_transport, clouds, masses, shares

LENGTHS = ([7, 1, 4, 0, 6], [5, 3, 1, 2, 6])
TIGHT = {"tolerance": 1e-10, "max_iterations": 5000}


def test_agrees_with_pot_sample_by_sample():
    """POT subtracts values of <P, C> + eps sum P log P; the entropies of the masses cancel in the difference."""
    case = clouds(*LENGTHS, dtype=torch.float64)
    a, b = masses(case.x_lengths, 8, dtype=torch.float64), masses(case.y_lengths, 7, seed=1, dtype=torch.float64)
    options = {"epsilon": 5.0, "epsilon_scale": "absolute", **TIGHT}
    result = SinkhornDivergence(**options)(*case, x_mass=a, y_mass=b, cost="sqeuclidean")

    def regularised(x, y, p, q):
        M = (x[:, None] - y).pow(2).sum(-1)
        P = ot.sinkhorn(p, q, M, 5.0, method="sinkhorn_log", numItermax=100_000, stopThr=1e-13, warn=False)
        return (P * M).sum() + 5.0 * (P * (P / (p[:, None] * q)).log()).sum()

    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        if s and t:
            x, y, p, q = case.x[n, :s], case.y[n, :t], shares(a[n], s), shares(b[n], t)
            expected = regularised(x, y, p, q) - (regularised(x, x, p, p) + regularised(y, y, q, q)) / 2
            torch.testing.assert_close(result.value[n], expected, atol=1e-8, rtol=0)


@settings(max_examples=30)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["cosine", "sqeuclidean", "euclidean"]),
    st.sampled_from([1.0, 0.1]),
    st.integers(0, 99),
)
def test_it_is_never_negative(s, t, cost, epsilon, seed):
    case = clouds([s], [t], seed=seed, dtype=torch.float64)
    mass = masses(case.x_lengths, s + 1, seed=seed).double()
    value = SinkhornDivergence(epsilon=epsilon, **TIGHT)(*case, x_mass=mass, cost=cost).value
    assert (value >= -1e-8).all()


@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean", "euclidean"])
def test_equal_clouds_are_at_distance_0_and_others_are_not(cost):
    case = clouds([7, 4], [7, 4])
    for epsilon in (1.0, 0.1, 0.01):
        same = case._replace(y=case.x).leaves()
        result = SinkhornDivergence(epsilon=epsilon, max_iterations=2000)(*same, cost=cost)
        result.value.sum().backward()
        assert result.value.tolist() == [0, 0]
        assert same.x.grad.abs().max() < 2e-3
        assert same.y.grad.abs().max() < 2e-3
        other = SinkhornDivergence(epsilon=epsilon)(case.x, 1.1 * case.x + 0.1, *case[2:], cost=cost)
        assert (other.value > 1e-4).all()


def test_equal_clouds_in_another_order():
    x = clouds([6], [6], dtype=torch.float64).x[:, :6]
    lengths = torch.tensor([6])
    moved = SinkhornDivergence(**TIGHT)(x, x[:, [3, 0, 5, 1, 2, 4]], lengths, lengths)
    torch.testing.assert_close(moved.value, torch.zeros(1, dtype=torch.float64), atol=1e-9, rtol=0)


def test_symmetry():
    case = clouds(*LENGTHS, dtype=torch.float64)
    forward = SinkhornDivergence(**TIGHT)(*case)
    backward = SinkhornDivergence(**TIGHT)(case.y, case.x, case.y_lengths, case.x_lengths)
    torch.testing.assert_close(forward.value, backward.value, atol=1e-8, rtol=0)


def test_diracs_cost_their_distance_and_large_epsilon_compares_means():
    x, y, one = torch.randn(2, 1, 4), torch.randn(2, 1, 4), torch.ones(2).long()
    value = SinkhornDivergence()(x, y, one, one, cost="sqeuclidean").value
    torch.testing.assert_close(value, (x - y).pow(2).sum((1, 2)))
    case = clouds([7], [5], dtype=torch.float64)
    far = SinkhornDivergence(epsilon=1e5, **TIGHT)(*case, cost="sqeuclidean").value[0]
    torch.testing.assert_close(far, (case.x[0, :7].mean(0) - case.y[0, :5].mean(0)).pow(2).sum(), atol=1e-3, rtol=0)


def test_the_three_terms_share_the_epsilon_of_x_and_y():
    """With an epsilon per term the value would differ: the costs among the x are smaller than those to the y."""
    case = clouds([7], [5], dtype=torch.float64)
    case = case._replace(y=case.y + 5)
    x, y = case.x[:, :7], case.y[:, :5]
    epsilon = 0.1 * float(SqEuclidean()(x, y).mean())
    absolute = Sinkhorn(epsilon=epsilon, epsilon_scale="absolute", **TIGHT)
    sides = ((x, y, *case[2:]), (x, x, *[case.x_lengths] * 2), (y, y, *[case.y_lengths] * 2))
    xy, xx, yy = (absolute(*side, cost="sqeuclidean").value for side in sides)
    value = SinkhornDivergence(epsilon=0.1, **TIGHT)(*case, cost="sqeuclidean").value
    torch.testing.assert_close(value, xy - (xx + yy) / 2)
    own = [Sinkhorn(epsilon=0.1, **TIGHT)(*side, cost="sqeuclidean").value for side in sides]
    assert abs(float(value - own[0] + (own[1] + own[2]) / 2)) > 1e-2


def test_plan_and_report():
    case = clouds(*LENGTHS)
    result = SinkhornDivergence()(*case, cost="sqeuclidean")
    costs = (case.x[:, :, None] - case.y[:, None]).pow(2).sum(-1)
    plain = Sinkhorn()(*case, cost="sqeuclidean")
    assert torch.equal(result.plan(), plain.plan())
    assert torch.equal(result.transport_cost, plain.transport_cost)
    assert (result.marginal_error >= plain.marginal_error).all()
    assert (result.num_iterations > plain.num_iterations)[[0, 2, 4]].all()
    check_transport(result, case, costs, atol=1e-3)
    rough = SinkhornDivergence(epsilon=0.01, max_iterations=2)(*case)
    assert not rough.converged[0]


def test_gradcheck():
    case = clouds([3, 0, 1], [2, 2, 2], dim=3, dtype=torch.float64)
    x, y = (torch.nan_to_num(z, 1.0, posinf=1.0).requires_grad_() for z in case[:2])
    g = torch.Generator().manual_seed(0)
    a, b = ((torch.rand(3, size, generator=g, dtype=torch.float64) + 0.5).requires_grad_() for size in (4, 3))
    solver = SinkhornDivergence(epsilon=0.5, epsilon_scale="absolute", **TIGHT)
    loss = lambda x, y, a, b: solver(x, y, *case[2:], x_mass=a, y_mass=b, position_weight=0.1).value  # noqa: E731
    assert torch.autograd.gradcheck(loss, (x, y, a, b), atol=1e-5)


def test_the_potentials_are_the_derivatives_by_the_masses():
    case = clouds([4], [3], dtype=torch.float64)
    x, y = case.x[:, :4], case.y[:, :3]
    a = torch.full((1, 4), 0.25, dtype=torch.float64, requires_grad=True)
    result = SinkhornDivergence(epsilon=0.5, epsilon_scale="absolute", **TIGHT)(x, y, *case[2:], x_mass=a)
    result.value.sum().backward()
    f = result.potentials[0]
    torch.testing.assert_close(a.grad, f - f.mean(), atol=1e-8, rtol=0)


def test_descent_brings_a_cloud_onto_the_other_where_plain_transport_shrinks_it():
    g = torch.Generator().manual_seed(0)
    y, lengths = torch.randn(1, 12, 2, generator=g), torch.tensor([12])
    spreads = {}
    for solver in (Sinkhorn, SinkhornDivergence):
        x = (0.1 * torch.randn(1, 12, 2, generator=g)).requires_grad_()
        for _ in range(60):
            value = solver(epsilon=2.0, epsilon_scale="absolute")(x, y, lengths, lengths, cost="sqeuclidean").value
            (grad,) = torch.autograd.grad(value.sum(), x)
            x = (x - 4 * grad).detach().requires_grad_()
        spreads[solver] = float(x.detach().std(1).mean() / y.std(1).mean())
    assert spreads[Sinkhorn] < 0.75
    assert 0.9 < spreads[SinkhornDivergence] < 1.1


def test_an_empty_side_is_free_and_a_bad_state_spoils_its_own_sample_only():
    case = clouds([5, 0, 3, 4], [4, 2, 0, 3]).leaves()
    good = SinkhornDivergence()(*case)
    good.value.sum().backward()
    assert good.value[[1, 2]].eq(0).all()
    assert case.x.grad.isfinite().all()
    assert case.x.grad[2].eq(0).all()
    bad = case.x.detach().clone()
    bad[0, 2, 1] = float("nan")
    result = SinkhornDivergence()(bad, case.y, *case[2:])
    assert result.value[0].isnan()
    assert result.converged.tolist() == [False, True, True, True]
    assert torch.equal(result.value[1:], good.value[1:])


def test_given_costs():
    case = clouds(*LENGTHS)
    cost, x_cost, y_cost = (
        (u[:, :, None] - v[:, None]).pow(2).sum(-1) for u, v in ((case.x, case.y), (case.x, case.x), (case.y, case.y))
    )
    present = (case.x_lengths > 0) & (case.y_lengths > 0)
    x_lengths, y_lengths = case.x_lengths * present, case.y_lengths * present
    both = from_cost(cost, *case[2:])
    among_x, among_y = from_cost(x_cost, x_lengths, x_lengths), from_cost(y_cost, y_lengths, y_lengths)
    found = SinkhornDivergence().solve(both, among_x, among_y)
    torch.testing.assert_close(found.value, SinkhornDivergence()(*case, cost="sqeuclidean").value, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"among_y must hold the samples \(row, length, length\) \(\(0, 5, 5\)"):
        SinkhornDivergence().solve(both, among_x, among_x)


def test_options_out_of_range():
    with pytest.raises(ValueError, match=r"epsilon: must be greater than 0, got -0\.1"):
        SinkhornDivergence(epsilon=-0.1)
