"""What must hold of entropic transport at any size, epsilon, layout and precision, by any path."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aista.losses import Exact, Sinkhorn, from_cost
from aista.losses.costs import Cosine
from tests.losses.clouds import check_transport, clouds

TIGHT = {"tolerance": 1e-12, "max_iterations": 20_000}


def _gaussian(mean: float, deviation: float, size: int = 200) -> tuple[Tensor, Tensor]:
    """Points and masses of a normal law, cut at 7 deviations."""
    points = torch.linspace(mean - 7 * deviation, mean + 7 * deviation, size, dtype=torch.float64)
    masses = torch.exp(-(((points - mean) / deviation) ** 2) / 2)
    return points, masses / masses.sum()


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.5, 0.6), (-0.7, 2.0)])
def test_gaussians_on_the_line_cost_what_janati_et_al_2020_say(epsilon, mean, deviation):
    """Theorem 1 of arXiv 2006.02572 in one dimension, squared distance, sigma^2 = epsilon / 2."""
    (x, a), (y, b) = _gaussian(0.0, 1.0), _gaussian(mean, deviation)
    C = (x[:, None] - y) ** 2
    lengths = torch.tensor([len(x)]), torch.tensor([len(y)])
    solver = Sinkhorn(epsilon=epsilon, epsilon_scale="absolute", **TIGHT)
    result = solver.solve(from_cost(C[None], *lengths, x_mass=a[None], y_mass=b[None]))
    half = epsilon / 2
    D = math.sqrt(4 * deviation**2 + half**2)
    expected = mean**2 + 1 + deviation**2 - D + half * (1 - math.log(2 * half)) + half * math.log(D + half)
    assert float(result.value) == pytest.approx(expected, abs=1e-6)


def test_unregularised_gaussians_cost_the_distance_of_means_and_deviations():
    (x, a), (y, b) = _gaussian(0.0, 1.0), _gaussian(1.5, 0.6)
    C = (x[:, None] - y) ** 2
    lengths = torch.tensor([len(x)]), torch.tensor([len(y)])
    value = Exact().solve(from_cost(C[None], *lengths, x_mass=a[None], y_mass=b[None])).value
    assert float(value) == pytest.approx(1.5**2 + 0.4**2, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 14), st.integers(0, 9)), min_size=1, max_size=6),
    st.floats(1e-3, 10),
    st.sampled_from(["cosine", "sqeuclidean", "euclidean"]),
    st.sampled_from(["scaling", "reference"]),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.integers(0, 99),
)
def test_plan_marginals_cost_and_report_agree_at_any_epsilon(lengths, epsilon, cost, backend, dtype, seed):
    case = clouds(*map(list, zip(*lengths, strict=True)), dim=6, seed=seed, dtype=dtype).leaves()
    result = Sinkhorn(epsilon=epsilon, backend=backend, max_iterations=300)(*case, cost=cost)
    states = [z.detach().nan_to_num(0, 0, 0).to(result.value.dtype) for z in case[:2]]
    C = {
        "cosine": Cosine(),
        "sqeuclidean": lambda x, y: torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") ** 2,
        "euclidean": lambda x, y: torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist"),
    }[cost](*states)
    check_transport(result, case, C, atol=1e-5 * max(1.0, float(C.max())))
    result.value.sum().backward()
    for z in case[:2]:
        assert z.grad.isfinite().all()


@pytest.mark.slow
def test_a_batch_of_512_equals_its_samples_bit_for_bit():
    g = torch.Generator().manual_seed(0)
    x_lengths, y_lengths = (torch.randint(0, size + 1, (512,), generator=g).tolist() for size in (12, 7))
    case = clouds(x_lengths, y_lengths, dim=5).leaves()
    result = Sinkhorn(epsilon=0.02, max_iterations=400)(*case)
    result.value.sum().backward()
    assert float(result.converged.float().mean()) > 0.95
    for n in range(0, 512, 37):
        alone = case.sample(n)
        alone = alone._replace(x=alone.x.detach(), y=alone.y.detach()).leaves()
        single = Sinkhorn(epsilon=0.02, max_iterations=400)(*alone)
        single.value.sum().backward()
        assert torch.equal(single.value, result.value[n : n + 1])
        assert torch.equal(alone.x.grad[0], case.x.grad[n, : x_lengths[n]])


def test_strides_do_not_matter():
    case = clouds([5, 3, 4], [4, 6, 2])
    gradients = []
    for strided in (False, True):
        leaves = case.leaves()
        x, y = leaves.x, leaves.y
        if strided:
            x = torch.stack([x, torch.full_like(x, math.nan)], -1)[..., 0]
            y = y.transpose(0, 1).contiguous().transpose(0, 1)
            assert not x.is_contiguous()
            assert not y.is_contiguous()
        value = Sinkhorn()(x, y, *case[2:], x_mass="norm").value
        gradients.append((value.detach(), *torch.autograd.grad(value.sum(), (leaves.x, leaves.y))))
    for plain, other in zip(*gradients, strict=True):
        assert torch.equal(plain, other)


@pytest.mark.parametrize("epsilon", [0.3, 0.1, 0.03])
def test_the_fast_path_errs_at_most_twice_as_much_as_the_plain_one(epsilon):
    """Both in fp32, against the plain one in fp64; values and gradients."""
    case = clouds([60, 33, 48], [20, 31, 9], dim=32, dtype=torch.float64)
    options = {"epsilon": epsilon, "max_iterations": 60, "tolerance": 0.0, "polish": False}

    def solve(dtype: torch.dtype, backend: str) -> tuple[Tensor, Tensor]:
        low = case._replace(x=case.x.to(dtype), y=case.y.to(dtype)).leaves()
        value = Sinkhorn(**options, backend=backend)(*low).value
        value.sum().backward()
        return value.detach().double(), low.x.grad.double()

    truth = solve(torch.float64, "reference")
    for exact, plain, fast in zip(
        truth, solve(torch.float32, "reference"), solve(torch.float32, "scaling"), strict=True
    ):
        floor = 2**-24 * float(exact.norm())
        assert float((fast - exact).norm()) <= 2 * float((plain - exact).norm()) + floor
