import dataclasses
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks.ot.check import measure_errors, solve_exactly
from benchmarks.ot.rows.table import FLOOR, ROWS
from benchmarks.ot.workload import WORKLOADS, Workload, least_bytes, make_case

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_right(case, name):
    row = ROWS[name]
    if obstacle := row.obstacle("cpu"):
        pytest.skip(obstacle)
    outcome = row.start(case)()
    if not row.checked:
        assert (outcome is None) == (name == FLOOR)
        return
    errors = measure_errors(outcome, solve_exactly(case))
    if name == "geomloss":  # its averaged updates are slow: the check must see that, and the rest must be right
        assert errors.value < 0.01
        assert 1e-4 < errors.x_gradient < 0.1
    elif name == "pot_batch_last_step":  # as the check must see, too
        assert errors.x_gradient > 0.1
    else:
        assert not errors.faults(row)
    assert math.isnan(errors.y_gradient) == (name == "sinkhorn_detached")


@pytest.mark.parametrize("name", ROWS)
def test_a_step_can_be_repeated(case, name):
    row = ROWS[name]
    if obstacle := row.obstacle("cpu"):
        pytest.skip(obstacle)
    step = row.start(case)
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


def test_a_case_elsewhere_has_the_same_lengths_and_masses(case):
    low = case.to("cpu", torch.bfloat16)
    assert low.x_BSD.dtype == low.y_BTD.dtype == torch.bfloat16
    torch.testing.assert_close(low.masses(), case.masses(), rtol=0, atol=0)
    assert least_bytes(low) == 3 * 2 * 3 * (9 + 5) * 16 + 6 * 4 * 3 * 9 * 5
    assert least_bytes(case) > least_bytes(low)


def test_only_rows_that_take_them_get_low_precision(case):
    low = case.to("cpu", torch.bfloat16)
    assert ROWS["sinkhorn"].start(low)().x_grad_BSD.dtype == torch.bfloat16
    assert ROWS["unrolled"].start(low)().x_grad_BSD.dtype == torch.float32


def test_rows_say_why_they_cannot_run():
    assert ROWS["sinkhorn"].obstacle("cuda") == ""
    assert ROWS["pot_loop"].obstacle("cuda") == "runs on cpu only"
    assert ROWS["floor_graph"].obstacle("cpu") in ("needs a GPU", "triton is not installed; pip install 'triton'")
    absent = dataclasses.replace(ROWS["geomloss"], module="no_such_module")
    assert absent.obstacle("cpu") == "geomloss is not installed; pip install 'aista[peers]'"


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.slow
def test_the_path_of_accelerators_passes_the_check_in_the_interpreter():
    """In a process of its own: the interpreter must be chosen before triton is imported."""
    program = """
from dataclasses import replace
from benchmarks.ot.__main__ import main
from benchmarks.ot.rows.table import ROWS
from benchmarks.ot.workload import WORKLOADS, Workload
WORKLOADS["tiny"] = Workload(3, 9, 5, 16)
row = ROWS["batched"]
for bound in (1e-2, 1e-9):
    ROWS["batched"] = replace(row, gradient_bound=bound)
    print("code", main(["--check", "--workload", "tiny", "--rows", "batched"]))
"""
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert [line for line in run.stdout.splitlines() if line.startswith("code")] == ["code 0", "code 1"], run.stderr
    assert run.stdout.count("tiny, batched: value ") == 1
    assert run.stderr.count("wrong results, so nothing was timed") == 1
