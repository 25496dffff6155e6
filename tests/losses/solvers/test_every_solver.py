"""What must hold of every solver, whatever it solves."""

from __future__ import annotations

import pytest
import torch

from aista.losses import (
    Exact,
    Ipot,
    Partial,
    Relaxed,
    Sinkhorn,
    SinkhornDivergence,
    Sliced,
    Unbalanced,
)
from tests.losses.clouds import clouds

SOLVERS = (Exact, Ipot, Partial, Relaxed, Sinkhorn, SinkhornDivergence, Sliced, Unbalanced)
every_solver = pytest.mark.parametrize("solver", [solver() for solver in SOLVERS], ids=lambda s: type(s).__name__)


@every_solver
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_state_spoils_its_own_sample_only(solver, bad):
    case = clouds([5, 4], [3, 3])
    good = solver(*case)
    case.x[0, 2, 1] = bad
    result = solver(*case)
    assert not result.value[0].isfinite()
    assert result.converged.tolist() == [False, True]
    assert torch.equal(result.value[1], good.value[1])


@every_solver
def test_all_empty(solver):
    x = torch.randn(2, 3, 4, requires_grad=True)
    result = solver(x, torch.randn(2, 0, 4), torch.tensor([3, 2]), torch.zeros(2).long())
    result.value.sum().backward()
    assert result.value.tolist() == [0, 0]
    assert x.grad.eq(0).all()


@every_solver
def test_leading_dimensions_are_folded(solver):
    case = clouds([5, 3, 4, 2, 1, 5], [4, 2, 3, 3, 2, 1])
    flat, folded = solver(*case), solver(*(z.unflatten(0, (2, 3)) for z in case))
    assert torch.equal(flat.value.reshape(2, 3), folded.value)
    assert torch.equal(flat.plan().unflatten(0, (2, 3)), folded.plan())
    assert folded.potentials[0].shape == (2, 3, 6)
    single = solver(*(z[0] for z in case))
    assert single.value.shape == ()
    assert torch.equal(single.value, flat.value[0])


@every_solver
def test_autocast_is_off_inside(solver):
    case = clouds([6, 4], [5, 3], dim=32)
    plain, inside = case.leaves(), case.leaves()
    expected = solver(*plain)
    expected.value.sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = solver(*inside)
        result.value.sum().backward()
    assert torch.equal(result.value, expected.value)
    assert torch.equal(inside.x.grad, plain.x.grad)
