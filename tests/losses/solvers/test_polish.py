from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.losses import Sinkhorn, SinkhornDivergence, from_cost
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem
from aista.losses.solvers.polish import newton_step
from tests.losses.clouds import Clouds, check_batch, clouds, masses

INF = float("inf")
TIGHT = {"tolerance": 1e-13, "max_iterations": 20_000}


def _gradient(case: Clouds, **options: object) -> torch.Tensor:
    leaves = case.leaves()
    Sinkhorn(**options)(*leaves).value.sum().backward()
    return torch.cat([leaves.x.grad.flatten(), leaves.y.grad.flatten()]).double()


@pytest.mark.parametrize("value", ["regularized", "linear"])
@pytest.mark.parametrize(("s", "t"), [(40, 20), (9, 30), (30, 30)])
@pytest.mark.parametrize("num", [4, 8, 16])
def test_it_squares_the_error_of_the_gradient(s, t, num, value):
    case = clouds([s], [t], dim=16, dtype=torch.float64)
    truth = _gradient(case, **TIGHT, value=value)
    options = {"tolerance": 0.0, "max_iterations": num, "value": value}
    plain, polished = (
        float((_gradient(case, **options, polish=polish) - truth).norm() / truth.norm()) for polish in (False, True)
    )
    assert 1e-6 < plain < 0.2
    assert polished < 6 * plain**2


@pytest.mark.parametrize("num", [4, 16])
def test_fp32_gains_down_to_its_rounding(num):
    case = clouds([40, 9], [20, 30], dim=16, dtype=torch.float64)
    truth = _gradient(case, **TIGHT)
    single = case._replace(x=case.x.float(), y=case.y.float())
    options = {"tolerance": 0.0, "max_iterations": num}
    plain, polished = (
        float((_gradient(single, **options, polish=polish) - truth).norm() / truth.norm()) for polish in (False, True)
    )
    assert polished < 6 * plain**2 + 2e-6


@pytest.mark.parametrize(("s", "t"), [(6, 4), (4, 6)])
def test_it_is_newtons_step_on_the_semi_dual(s, t):
    """Against the gradient and the Hessian of autograd; a point of each side has no mass."""
    g = torch.Generator().manual_seed(0)
    C, f, v = (torch.rand(*size, generator=g, dtype=torch.float64) for size in ((s, t), (s,), (t,)))
    a, b = (torch.rand(size, generator=g, dtype=torch.float64) for size in (s, t))
    a[1] = b[2] = 0
    a, b, eps = a / a.sum(), b / b.sum(), 0.3
    task = EntropicProblem(C[None], a[None], b[None], ((s, t),), torch.tensor([eps], dtype=torch.float64), INF, INF)
    new_f, new_g = (z[0] for z in newton_step(task, f[None], v[None], ((f[:, None] + v - C) / eps).exp()[None], [0]))
    if t > s:  # solved on the shorter side
        C, a, b, v, new_f, new_g = C.mT, b, a, f, new_g, new_f

    def transform(g):
        return -eps * torch.logsumexp(b.log() + (g - C) / eps, 1)

    def semi_dual(g):
        return a @ transform(g) + b @ g

    held = b > 0
    hessian = torch.autograd.functional.hessian(semi_dual, v)[held][:, held]
    slope = torch.autograd.functional.jacobian(semi_dual, v)[held]
    change = (new_g - v)[held]
    torch.testing.assert_close(hessian @ change, -slope, atol=1e-10, rtol=0)
    torch.testing.assert_close(new_f, transform(new_g))


@settings(max_examples=40)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1.0, 0.1, 0.01, 0.001]),
    st.integers(1, 12),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
def test_it_never_raises_the_marginal_error(s, t, epsilon, num, dtype, seed):
    C = torch.rand(1, s, t, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    lengths = torch.tensor([s]), torch.tensor([t])
    mass = masses(lengths[0], s, seed=seed)
    options = {"epsilon": epsilon, "max_iterations": num, "tolerance": 0.0}
    problem = from_cost(C, *lengths, x_mass=mass)
    plain, polished = (Sinkhorn(**options, polish=polish).solve(problem) for polish in (False, True))
    assert (polished.marginal_error <= plain.marginal_error).all()
    assert polished.value.isfinite().all()
    shares = mass[:, :s].to(dtype) / mass[:, :s].sum()
    error = (polished.plan().sum(2) - shares).abs().sum()
    assert float(error) <= float(polished.marginal_error) + 1e-5


def test_a_plan_in_blocks_has_no_newton_step_and_keeps_its_potentials():
    C = 1 - torch.eye(4)[None]
    four, options = torch.tensor([4]), {"epsilon": 0.001, "max_iterations": 20}
    plain, polished = (Sinkhorn(**options, polish=polish).solve(from_cost(C, four, four)) for polish in (False, True))
    torch.testing.assert_close(polished.plan(), plain.plan())
    assert polished.converged.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_equals_its_samples_bit_for_bit_at_larger_sizes(dtype):
    lengths = [(90, 40), (33, 70), (17, 16), (64, 64), (1, 9)]
    case = clouds(*map(list, zip(*lengths, strict=True)), dim=24, dtype=dtype)
    options = {"epsilon": 0.05, "tolerance": 1e-2}
    result = check_batch(Sinkhorn(**options), case)
    assert not torch.equal(result.value, Sinkhorn(**options, polish=False)(*case).value)


def test_it_is_for_transport_without_a_tape():
    case = clouds([5, 4], [3, 3])
    leaves = case.leaves()
    values = [
        Sinkhorn(gradient="unrolled", tolerance=0.0, polish=polish, epsilon=0.02)(*leaves).value
        for polish in (False, True)
    ]
    assert torch.equal(*values)


def test_it_can_be_switched_off_everywhere():
    case = clouds([40], [20])
    plain = Sinkhorn(polish=False)(*case).plan()
    assert not torch.equal(plain, Sinkhorn()(*case).plan())
    assert torch.equal(plain, Sinkhorn(polish=False)(*case).plan())
    debiased = [SinkhornDivergence(polish=polish)(*case).marginal_error for polish in (False, True)]
    assert (debiased[1] < 0.1 * debiased[0]).all()
