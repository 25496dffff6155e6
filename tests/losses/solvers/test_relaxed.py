from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Exact, Relaxed, Unbalanced, from_cost
from tests.losses.clouds import check_batch, check_transport, clouds, masses, shares

LENGTHS = ([7, 1, 4, 0, 6], [5, 3, 1, 2, 6])
SIDES = ("x", "y", "both")


def _cost(seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(5, 8, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _lengths() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(LENGTHS[0]), torch.tensor(LENGTHS[1])


def test_the_definition_sample_by_sample():
    s, t = _lengths()
    a, b = masses(s, 8, dtype=torch.float64), masses(t, 7, seed=1, dtype=torch.float64)
    values = {side: Relaxed(side=side).solve(from_cost(_cost(), s, t, x_mass=a, y_mass=b)).value for side in SIDES}
    for n, (i, j) in enumerate(zip(*LENGTHS, strict=True)):
        if i and j:
            C = _cost()[n, :i, :j]
            torch.testing.assert_close(values["x"][n], shares(a[n], i) @ C.amin(1))
            torch.testing.assert_close(values["y"][n], shares(b[n], j) @ C.amin(0))
    assert torch.equal(values["both"], torch.maximum(values["x"], values["y"]))
    assert (values["both"] == values["x"]).any()
    assert (values["both"] == values["y"]).any()


@pytest.mark.parametrize(("side", "rho"), [("x", (float("inf"), 0.0)), ("y", (0.0, float("inf")))])
def test_it_is_the_limit_of_one_sided_entropic_transport(side, rho):
    s, t = _lengths()
    limit = Unbalanced(rho_x=rho[0], rho_y=rho[1], epsilon=1e-3).solve(from_cost(_cost(), s, t))
    sharp = Relaxed(side=side).solve(from_cost(_cost(), s, t))
    torch.testing.assert_close(limit.value, sharp.value, atol=3e-3, rtol=0)
    torch.testing.assert_close(limit.transport_cost, sharp.transport_cost, atol=1e-3, rtol=0)


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000))
def test_it_bounds_the_exact_cost_from_below(s, t, seed):
    C = torch.randn(1, s, t, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    a, b = masses(torch.tensor([s]), s, seed=seed).double(), masses(torch.tensor([t]), t, seed=seed + 1).double()
    lengths = torch.tensor([s]), torch.tensor([t])
    exact = Exact().solve(from_cost(C, *lengths, x_mass=a, y_mass=b)).value
    for side in SIDES:
        assert (Relaxed(side=side).solve(from_cost(C, *lengths, x_mass=a, y_mass=b)).value <= exact + 1e-9).all()


@pytest.mark.parametrize("side", SIDES)
def test_plan_and_report(side):
    case = clouds(*LENGTHS)
    result = Relaxed(side=side)(*case, cost="sqeuclidean")
    cost = (case.x[:, :, None] - case.y[:, None]).pow(2).sum(-1)
    check_transport(result, case, cost, atol=1e-4, balanced=False)
    torch.testing.assert_close(result.value, result.transport_cost)
    assert result.converged.all()
    assert result.marginal_error.eq(0).all()
    held_by_x = Relaxed(side="x")(*case, cost="sqeuclidean").value == result.value
    for n, (s, t) in enumerate(zip(*LENGTHS, strict=True)):
        if s and t:
            marginal = result.plan()[n, :s, :t].sum(1 if held_by_x[n] else 0)
            torch.testing.assert_close(marginal, torch.full_like(marginal, 1 / len(marginal)))


def test_sides_swap_with_the_arguments():
    s, t = _lengths()
    for side, other in (("x", "y"), ("both", "both")):
        forward, backward = (
            Relaxed(side=side).solve(from_cost(_cost(), s, t)),
            Relaxed(side=other).solve(from_cost(_cost().mT, t, s)),
        )
        torch.testing.assert_close(forward.value, backward.value)
        torch.testing.assert_close(forward.plan(), backward.plan().mT)


def test_shifting_and_scaling_costs():
    s, t = torch.tensor([8]), torch.tensor([7])
    C, r = _cost()[:1], torch.randn(1, 8, 1, dtype=torch.float64)
    plain, shifted = Relaxed(side="x").solve(from_cost(C, s, t)), Relaxed(side="x").solve(from_cost(3 * C + r, s, t))
    torch.testing.assert_close(shifted.value, 3 * plain.value + r.mean())
    assert torch.equal(shifted.plan(), plain.plan())


def test_diracs_and_equal_clouds():
    x, y, one = torch.randn(2, 1, 4), torch.randn(2, 1, 4), torch.ones(2).long()
    torch.testing.assert_close(Relaxed()(x, y, one, one, cost="sqeuclidean").value, (x - y).pow(2).sum((1, 2)))
    cloud, lengths = torch.randn(2, 5, 4), torch.tensor([5, 3])
    torch.testing.assert_close(Relaxed()(cloud, cloud, lengths, lengths, cost="sqeuclidean").value, torch.zeros(2))


def test_of_equally_near_states_the_earlier_is_taken():
    plan = Relaxed(side="x").solve(from_cost(torch.zeros(1, 2, 3), torch.tensor([2]), torch.tensor([3]))).plan()
    assert plan[0].tolist() == [[0.5, 0, 0], [0.5, 0, 0]]


@pytest.mark.parametrize("side", SIDES)
def test_gradcheck(side):
    case = clouds([4, 1, 3, 0], [3, 3, 1, 2], dim=3, dtype=torch.float64)
    x, y = (torch.nan_to_num(z, 1.0, posinf=1.0).requires_grad_() for z in case[:2])
    g = torch.Generator().manual_seed(1)
    a, b = ((torch.rand(4, size, generator=g, dtype=torch.float64) + 0.5).requires_grad_() for size in (5, 4))
    loss = lambda x, y, a, b: Relaxed(side=side)(x, y, *case[2:], x_mass=a, y_mass=b).value  # noqa: E731
    assert torch.autograd.gradcheck(loss, (x, y, a, b), eps=1e-7, atol=1e-5)


def test_points_without_mass_attract_nobody():
    C, s, t = _cost()[:1, :4, :3], torch.tensor([4]), torch.tensor([3])
    a, b = torch.tensor([[1.0, 0.0, 1.0, 2.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    kept = C[:, [0, 2, 3]][:, :, [0, 2]]
    for side in SIDES:
        result = Relaxed(side=side).solve(from_cost(C, s, t, x_mass=a, y_mass=b))
        without = from_cost(kept, torch.tensor([3]), t - 1, x_mass=a[:, [0, 2, 3]], y_mass=b[:, [0, 2]])
        torch.testing.assert_close(result.value, Relaxed(side=side).solve(without).value)
        assert result.plan()[0, 1].eq(0).all()
        assert result.plan()[0, :, 1].eq(0).all()


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 12)), min_size=2, max_size=5),
    st.sampled_from(SIDES),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.integers(0, 9),
)
def test_a_batch_equals_its_samples_bit_for_bit(lengths, side, dtype, seed):
    case = clouds(*map(list, zip(*lengths, strict=True)), dim=7, seed=seed, dtype=dtype)
    check_batch(Relaxed(side=side), case, x_mass="norm")


def test_options_out_of_range():
    with pytest.raises(ValueError, match=r"side: expects one of 'x', 'y', 'both', got 'speech'"):
        Relaxed(side="speech")
