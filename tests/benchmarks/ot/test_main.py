import dataclasses
from unittest.mock import ANY

import pytest
import torch

from benchmarks.ot import __main__ as command
from benchmarks.ot.measurement import read_csv
from benchmarks.ot.rows import table
from benchmarks.ot.workload import WORKLOADS, Workload


@pytest.fixture
def bench(capsys):
    """Run the command; returns its exit code, standard output and standard error."""

    def bench(*arguments):
        try:
            code = command.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return bench


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(WORKLOADS, "tiny", Workload(3, 9, 5, 16))


def test_tables_file_and_figure(bench, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "benchmarks.ot.measure.extra_memory", lambda case_file, row, plugin: 1.0
    )  # in processes of its own
    arguments = ("--workload", "tiny", "--rows", "sinkhorn", "pot_loop", "--rounds", "2", "--out", tmp_path)
    code, out, err = bench(*arguments)
    assert (code, err) == (0, "")
    assert "tiny: 2 rounds, 1 thread" in out
    measurements = read_csv(tmp_path / "ot_cpu.csv")
    assert [(item.workload, item.row) for item in measurements] == [
        ("tiny", "floor"),
        ("tiny", "sinkhorn"),
        ("tiny", "pot_loop"),
    ]
    assert all(item.p50_ms > 0 and item.device and item.library for item in measurements)
    assert (tmp_path / "ot_cpu_table.md").read_text().startswith("| row | tiny |\n|---|---:|\n| floor | 1 (")
    assert (tmp_path / "ot_cpu.png").read_bytes().startswith(b"\x89PNG")


def test_a_broken_row_of_ours_fails(bench, tiny, tmp_path, monkeypatch):
    row = dataclasses.replace(table.ROWS["sinkhorn_unpolished"], gradient_bound=1e-12)
    monkeypatch.setitem(table.ROWS, "sinkhorn_unpolished", row)
    code, _, err = bench("--workload", "tiny", "--rows", "sinkhorn_unpolished", "--out", tmp_path)
    assert code == 1
    assert err.startswith(
        "benchmarks.ot: workload 'tiny': wrong results, so nothing was timed\n  sinkhorn_unpolished: x grad"
    )
    assert not (tmp_path / "ot_cpu.csv").exists()


def test_a_dry_run_lists_everything_and_what_is_missing(bench, monkeypatch):
    absent = dataclasses.replace(table.ROWS["ott_jax"], module="no_such_module")
    monkeypatch.setitem(table.ROWS, "ott_jax", absent)
    code, out, err = bench("--dry-run")
    assert (code, err) == (0, "")
    assert "  xl          8, 1500, 128, 1024\n" in out
    assert "skipped: ott_jax (ott-jax is not installed; pip install 'aista[peers]')\n" in out
    assert "skipped: sinkhorn_graph (needs a GPU)\n" in out
    for name in table.RACE:
        assert name in out
    assert "ipot" not in out
    assert "  ipot " in bench("--dry-run", "--rows", "ipot")[1]


def test_unknown_names(bench):
    code, out, err = bench("--workload", "smal")
    assert (code, out) == (2, "")
    assert err.startswith("benchmarks.ot: unknown workload 'smal' (did you mean 'small'?); known: quickstart, small, ")
    code, out, err = bench("--rows", "ott")
    assert (code, out) == (2, "")
    assert err.startswith("benchmarks.ot: unknown row 'ott' (did you mean 'ott_jax'?); known: floor, ")


@pytest.mark.parametrize(
    ("option", "value"), [("--rounds", "0"), ("--threads", "0"), ("--layers", "0"), ("--rounds", "two")]
)
def test_counts_must_be_positive(bench, option, value):
    code, _, err = bench(option, value)
    assert code == 2
    assert f"argument {option}: must be a whole number of at least 1, got '{value}'" in err


def test_threads_are_bounded_by_the_cores(bench, monkeypatch):
    monkeypatch.setattr(command.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    code, _, err = bench("--threads", "3")
    assert code == 2
    assert "argument --threads: must be at most the number of usable cores, 2, got 3" in err


def test_a_check_alone_writes_nothing(bench, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (
        "--check",
        "--workload",
        "tiny",
        "--layers",
        "1",
        "2",
        "--dtype",
        "bfloat16",
        "--rows",
        "sinkhorn",
        "ipot",
    )
    code, out, err = bench(*arguments)
    assert (code, err) == (0, "")
    assert "tiny, sinkhorn: value " in out
    assert "tiny, 2 layers, sinkhorn: value " in out
    assert "tiny, 2 layers, ipot: not compared\n" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(bench):
    assert bench("--device", "cuda", "--check") == (2, ANY, "benchmarks.ot: --device cuda: torch finds no GPU here\n")
