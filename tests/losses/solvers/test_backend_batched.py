"""Backend ``batched`` on a CPU: the results of the default to rounding, for all that solvers take."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from aista.losses import Sinkhorn, SinkhornDivergence, Unbalanced
from aista.losses.base import AlignmentContext
from aista.losses.ot import OTAlignment, OTAlignmentConfig
from aista.schema import Component
from aista.types import LayerStates
from tests.losses.clouds import clouds, masses

LENGTHS = [9, 0, 5, 1], [6, 3, 0, 4]
OPTIONS = {"epsilon": 0.2, "tolerance": 1e-9, "max_iterations": 2000}


def _outcome(solver, case, **geometry):
    leaves = case.leaves()
    result = solver(*leaves, **geometry)
    result.value.sum().backward()
    report = result.value, result.transport_cost, result.plan(), *result.potentials, leaves.x.grad, leaves.y.grad
    return [z.detach() for z in report], result


@pytest.mark.parametrize("lengths", [LENGTHS, LENGTHS[::-1], ([7, 7], [3, 3]), ([0], [2])])
@pytest.mark.parametrize("solver", [Sinkhorn, SinkhornDivergence, Unbalanced])
@pytest.mark.parametrize("geometry", [{}, {"cost": "euclidean", "position_weight": 0.3, "x_mass": "norm"}])
def test_results_and_gradients_are_the_defaults(solver, lengths, geometry):
    """Samples with an empty side among them; NaN and inf in the padding."""
    case = clouds(*lengths, dtype=torch.float64)
    results = [_outcome(solver(**OPTIONS, backend=backend), case, **geometry) for backend in ("batched", "auto")]
    for mine, right in zip(*(report for report, _ in results), strict=True):
        torch.testing.assert_close(mine, right, atol=1e-7, rtol=1e-6)
    assert all(result.converged.all() for _, result in results)


@pytest.mark.parametrize("lengths", [([40, 9], [20, 30]), ([9, 9], [30, 20])])
def test_the_newton_step_of_a_batch_is_that_of_its_samples(lengths):
    """On the shorter side of the batch, which is the longer one of a sample here."""
    case = clouds(*lengths, dim=16, dtype=torch.float64)
    options = {"epsilon": 0.1, "max_iterations": 8, "tolerance": 0.0}
    errors = {}
    for backend in ("batched", "scaling"):
        for polish in (False, True):
            _, result = _outcome(Sinkhorn(**options, polish=polish, backend=backend), case)
            errors[backend, polish] = result.marginal_error
    torch.testing.assert_close(errors["batched", False], errors["scaling", False])
    assert (errors["batched", True] < 0.1 * errors["batched", False]).all()


def test_the_linear_value_and_its_implicit_gradient():
    case = clouds(*LENGTHS, dtype=torch.float64)
    options = OPTIONS | {"value": "linear", "gradient": "implicit"}
    results = [_outcome(Sinkhorn(**options, backend=backend), case)[0] for backend in ("batched", "auto")]
    for mine, right in zip(*results, strict=True):
        torch.testing.assert_close(mine, right, atol=1e-7, rtol=1e-6)


def test_a_cost_of_ones_own_is_solved_all_the_same():
    case = clouds([5, 4], [3, 3], dtype=torch.float64)
    results = [_outcome(Sinkhorn(**OPTIONS, backend=name), case, cost=torch.cdist)[0] for name in ("batched", "auto")]
    for mine, right in zip(*results, strict=True):
        torch.testing.assert_close(mine, right, atol=1e-7, rtol=1e-6)


def test_unusable_masses_are_refused_where_they_can_be_read():
    case = clouds([5, 4], [3, 3])
    mass = masses(case.x_lengths, case.x.shape[1])
    mass[1, 2] = -0.5
    with pytest.raises(ValueError, match="x_mass of sample 1 cannot be scaled to sum to 1: masses must be finite"):
        Sinkhorn(backend="batched")(*case, x_mass=mass)


def test_a_bad_state_spoils_its_own_sample_only():
    case = clouds([5, 4], [3, 3])
    case.x[0, 2, 1] = float("nan")
    result = Sinkhorn(backend="batched")(*case, x_mass="norm")
    assert result.value.isnan().tolist() == [True, False]
    assert result.converged.tolist() == [False, True]


@pytest.mark.parametrize("guide", [None, Component("transport")])
def test_the_alignment_loss_takes_it(guide):
    case = clouds([9, 5], [6, 3])
    values = []
    for backend in ("batched", "auto"):
        solver = Component("sinkhorn", Sinkhorn(**OPTIONS | {"tolerance": 1e-5}, backend=backend))
        loss = OTAlignment(OTAlignmentConfig(solver=solver, guide=guide))
        states = LayerStates(case.x, case.x_lengths, case.y, case.y_lengths)
        values.append(loss(states, AlignmentContext()).per_utterance_B)
    torch.testing.assert_close(*values)


class _Count(TorchDispatchMode):
    """Counts operations of torch, views included."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.total += 1
        return function(*arguments, **(options or {}))


def test_operations_are_as_many_for_any_number_of_samples():
    """With the Newton step; the default takes more for each sample."""
    totals = {}
    for backend, num in (("batched", 4), ("batched", 32), ("scaling", 32)):
        case = clouds([20] * num, [10] * num).leaves()
        with _Count() as count:
            Sinkhorn(tolerance=0.0, max_iterations=6, backend=backend)(*case).value.sum().backward()
        totals[backend, num] = count.total
    assert totals["batched", 4] == totals["batched", 32] < totals["scaling", 32] / 4
