import math

import pytest
import torch

from benchmarks.ot.check import measure_errors, solve_exactly
from benchmarks.ot.rows.table import FLOOR, ROWS
from benchmarks.ot.workload import WORKLOADS, Workload, make_case


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_right(case, name):
    row = ROWS[name]
    if not row.is_installed:
        pytest.skip(f"{row.distribution} is not installed")
    outcome = row.prepare(case)()
    if name == FLOOR:
        assert outcome is None
        return
    errors = measure_errors(outcome, solve_exactly(case))
    if name == "geomloss":  # its averaged updates are slow: the check must see that, and the rest must be right
        assert errors.value < 0.01
        assert 1e-4 < errors.x_gradient < 0.1
    else:
        assert not errors.faults(row)
    assert math.isnan(errors.y_gradient) == (name == "sinkhorn_detached")


@pytest.mark.parametrize("name", ROWS)
def test_a_step_can_be_repeated(case, name):
    row = ROWS[name]
    if not row.is_installed:
        pytest.skip(f"{row.distribution} is not installed")
    step = row.prepare(case)
    for once, again in zip(step() or (), step() or (), strict=True):
        torch.testing.assert_close(once, again, rtol=0, atol=0)


def test_the_reference_is_the_optimum(case):
    import ot

    x, y = case.x_BSD.double(), case.y_BTD.double()
    exact = solve_exactly(case)
    for n, (s, t) in enumerate(zip(case.x_lengths_B.tolist(), case.y_lengths_B.tolist(), strict=True)):
        cost = torch.from_numpy(ot.dist(x[n, :s].numpy(), y[n, :t].numpy(), metric="cosine"))
        epsilon = 0.1 * float(cost.mean())
        uniform = [torch.full((size,), 1 / size, dtype=torch.float64) for size in (s, t)]
        plan = ot.sinkhorn(*uniform, cost, epsilon, method="sinkhorn_log", numItermax=20000, stopThr=1e-12)
        value = (plan * cost).sum() + epsilon * torch.xlogy(plan, plan * s * t).sum()
        torch.testing.assert_close(exact.value_B[n], value, rtol=1e-8, atol=0)


def test_cases_have_the_stated_sizes_and_lengths():
    sizes = Workload(50, 12, 7, 3)
    case = make_case(sizes)
    assert case.x_BSD.shape == (50, 12, 3)
    assert case.y_BTD.shape == (50, 7, 3)
    for lengths, size in ((case.x_lengths_B, 12), (case.y_lengths_B, 7)):
        assert lengths[0] == size
        assert size // 3 <= int(lengths.min()) < size
        assert int(lengths.max()) == size
    torch.testing.assert_close(make_case(sizes).x_BSD, case.x_BSD, rtol=0, atol=0)
    assert not torch.equal(make_case(sizes, seed=1).x_BSD, case.x_BSD)
    assert all(sizes.B * sizes.S * sizes.T * sizes.D > 0 for sizes in WORKLOADS.values())


def test_masses_are_uniform_on_the_content(case):
    for mass, lengths in zip(case.masses(), case[2:], strict=True):
        torch.testing.assert_close(mass.sum(1), torch.ones(len(lengths)))
        assert ((mass > 0).sum(1) == lengths).all()
