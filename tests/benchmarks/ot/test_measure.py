import dataclasses
import math
import os
import sys

import pytest
import torch

from aista.errors import DataError, RunError
from benchmarks.ot import check
from benchmarks.ot.check import Errors, measure_errors, solve_exactly
from benchmarks.ot.measure import check_rows, count_tasks, measure, time_rows
from benchmarks.ot.measurement import read_csv, write_csv
from benchmarks.ot.memory import extra_memory, save_case
from benchmarks.ot.rows import own
from benchmarks.ot.rows.base import Row
from benchmarks.ot.rows.table import FLOOR, ROWS
from benchmarks.ot.threads import limited_threads
from benchmarks.ot.workload import Workload, make_case

TINY = Workload(3, 9, 5, 16)


def silent(_):
    pass


def broken(change):
    """Our row with a spoilt result."""

    def prepare(case):
        step = own.entropic()(case)
        return lambda: change(step())

    return dataclasses.replace(ROWS["sinkhorn"], prepare=prepare)


SPOILT = {
    "value": lambda outcome: outcome._replace(value_B=outcome.value_B * 1.0001),
    "x gradient": lambda outcome: outcome._replace(x_grad_BSD=outcome.x_grad_BSD * 1.01),
    "y gradient": lambda outcome: outcome._replace(y_grad_BTD=outcome.y_grad_BTD * math.nan),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_wrong_result_of_ours_is_an_error(case, what):
    rows = {"sinkhorn": ROWS["sinkhorn"], "spoilt": broken(SPOILT[what])}
    with pytest.raises(RunError, match=rf"workload 'tiny': wrong results.*\n  spoilt: {what} is off by") as caught:
        check_rows("tiny", case, rows, progress=silent)
    assert caught.value.exit_code == 1
    assert "\n  sinkhorn:" not in str(caught.value)


def test_a_wrong_result_of_a_peer_is_reported(case):
    row = dataclasses.replace(broken(SPOILT["y gradient"]), ours=False)
    _, errors = check_rows("tiny", case, {"peer": row}, progress=silent)
    assert errors["peer"].y_gradient == math.inf
    assert errors["peer"].faults(row) == ["y gradient is off by inf, the bound is 1e-03"]


def test_a_row_that_raises_is_named(case):
    def prepare(case):
        raise AttributeError("no such solver")

    row = Row(summary="", prepare=prepare)
    with pytest.raises(RunError, match=r"row 'peer' \(torch .*\) failed on 'tiny': AttributeError: no such solver"):
        check_rows("tiny", case, {"peer": row}, progress=silent)


def test_errors_are_relative(case):
    exact = solve_exactly(case)
    errors = measure_errors(exact._replace(x_grad_BSD=exact.x_grad_BSD * 1.5, y_grad_BTD=None), exact)
    assert errors.value == 0
    assert errors.x_gradient == pytest.approx(0.5)
    assert math.isnan(errors.y_gradient)
    assert all(map(math.isnan, measure_errors(None, exact)))
    assert Errors().faults(ROWS[FLOOR]) == []


def test_a_reference_that_does_not_converge_is_no_reference(case, monkeypatch):
    monkeypatch.setattr(check, "MOST_ITERATIONS", 1)
    with pytest.raises(RunError, match="the float64 reference did not converge"):
        solve_exactly(case)


def test_rows_take_turns_in_a_rotating_order():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in "abc"}
    seconds = time_rows(steps, 3, progress=silent)
    assert "".join(calls) == "abc" + "bca" + "cab" + "abc"
    assert {name: len(values) for name, values in seconds.items()} == dict.fromkeys("abc", 3)


def test_measurements_survive_the_file(tmp_path):
    done = []
    rows = {name: ROWS[name] for name in (FLOOR, "sinkhorn")}
    measurements = measure("tiny", TINY, rows, 3, progress=done.append)
    assert len(done) == count_tasks(2, 3)
    floor, ours = measurements
    assert floor.ratio == 1
    assert ours.ratio > 1
    assert 0 < ours.p20_ms <= ours.p50_ms <= ours.p80_ms
    assert 0 < ours.roofline < floor.roofline
    assert ours.copy_gb_per_s == floor.copy_gb_per_s > 0
    assert (ours.workload, ours.row, ours.fault, ours.rounds) == ("tiny", "sinkhorn", "", 3)
    assert ours.torch == torch.__version__
    write_csv(measurements, tmp_path / "new" / "ratios.csv")
    again = read_csv(tmp_path / "new" / "ratios.csv")
    assert [item.row for item in again] == [FLOOR, "sinkhorn"]
    assert math.isnan(again[0].value_error)
    assert again[1].ratio == pytest.approx(ours.ratio, rel=1e-4)
    assert again[1].rounds == 3


def test_a_file_with_other_columns_is_named(tmp_path):
    (tmp_path / "other.csv").write_text("workload,row\ntiny,floor\n")
    with pytest.raises(DataError, match=r"other\.csv:2: not a line of benchmark results \(KeyError"):
        read_csv(tmp_path / "other.csv")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_is_what_the_step_adds(tmp_path):
    save_case(make_case(Workload(4, 1000, 1000, 8)), tmp_path / "case.pt")
    cost_mib = 4 * 1000 * 1000 * 4 / 2**20
    assert cost_mib < extra_memory(tmp_path / "case.pt", FLOOR, "") < 4 * cost_mib
    with pytest.raises(RunError, match="row 'none': the process that measures its memory failed"):
        extra_memory(tmp_path / "case.pt", "none", "")


@pytest.mark.skipif(sys.platform != "linux", reason="cores are held on Linux")
def test_threads_are_limited_and_restored(monkeypatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads(), os.sched_getaffinity(0)
    with limited_threads(1):
        assert torch.get_num_threads() == 1
        assert len(os.sched_getaffinity(0)) == 1
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert (torch.get_num_threads(), os.sched_getaffinity(0)) == before
    assert os.environ["MKL_NUM_THREADS"] == "7"
    assert "OMP_NUM_THREADS" not in os.environ
