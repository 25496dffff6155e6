"""What must hold of every solver, whatever it solves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
from tests.losses.clouds import check_batch, clouds

SOLVERS = (Exact, Ipot, Partial, Relaxed, Sinkhorn, SinkhornDivergence, Sliced, Unbalanced)
every_solver = pytest.mark.parametrize("solver", [solver() for solver in SOLVERS], ids=lambda s: type(s).__name__)


@every_solver
@pytest.mark.parametrize("mass", ["uniform", "norm"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_state_spoils_its_own_sample_only(solver, bad, mass):
    case = clouds([5, 4], [3, 3])
    good = solver(*case, x_mass=mass)
    case.x[0, 2, 1] = bad
    result = solver(*case, x_mass=mass)
    assert not result.value[0].isfinite()
    assert result.converged.tolist() == [False, True]
    assert torch.equal(result.value[1], good.value[1])


@every_solver
@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 12)), min_size=2, max_size=5),
    st.sampled_from([7, 33]),
    st.sampled_from(["cosine", "sqeuclidean", "euclidean"]),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.integers(0, 9),
)
def test_a_batch_equals_its_samples_bit_for_bit(solver, lengths, dim, cost, dtype, seed):
    case = clouds(*map(list, zip(*lengths, strict=True)), dim=dim, seed=seed, dtype=dtype)
    position_weight = 0.0 if isinstance(solver, Sliced) else 0.2
    check_batch(solver, case, cost=cost, x_mass="norm", position_weight=position_weight)


@every_solver
def test_padding_never_matters_and_gets_no_gradient(solver):
    case = clouds([5, 0, 3, 2], [4, 2, 0, 6]).leaves()  # NaN and inf in the padding
    result = solver(*case, x_mass="norm")
    result.value.sum().backward()
    assert result.value.isfinite().all()
    assert result.value[[1, 2]].eq(0).all()
    assert result.converged.all()
    for grad, lengths in ((case.x.grad, case.x_lengths), (case.y.grad, case.y_lengths)):
        assert grad.isfinite().all()
        for n, length in enumerate(lengths.tolist()):
            assert grad[n, length:].eq(0).all()
    assert case.x.grad[[1, 2]].eq(0).all()
    assert case.y.grad[[1, 2]].eq(0).all()
    assert case.x.grad[0, :5].ne(0).any()


@every_solver
@pytest.mark.parametrize("lengths", [(3, 0), (0, 3), (0, 0)])
def test_a_batch_of_empty_samples(solver, lengths):
    x, y = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, lengths[1], 4)
    result = solver(x, y, *(torch.full((2,), length) for length in lengths))
    result.value.sum().backward()
    assert result.value.tolist() == [0, 0]
    assert x.grad.eq(0).all()
    assert result.plan().shape == (2, 3, lengths[1])


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
