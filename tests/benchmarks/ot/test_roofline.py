import dataclasses
import math

import pytest

from benchmarks.ot import roofline
from benchmarks.ot.measure import measure
from benchmarks.ot.roofline import copy_rate, least_seconds
from benchmarks.ot.rows.table import FLOOR, ROWS
from benchmarks.ot.workload import Workload, least_bytes


@pytest.fixture(autouse=True)
def _small_copies(monkeypatch):
    monkeypatch.setattr(roofline, "COPY_BYTES", 1 << 20)


def test_a_copy_reads_and_writes(monkeypatch):
    """Two bytes move for each that is copied; the median, and not the first copy, tells the rate."""
    seconds = iter([100.0, 2.0, 50.0, 1.0, 2.0, 1.0])

    def clock(step):
        step()
        return next(seconds)

    monkeypatch.setattr(roofline, "make_clock", lambda device: clock)
    assert copy_rate("cpu") == 2 * (1 << 20) / 2.0


def test_what_must_move_takes_as_long_as_a_copy_of_it(case):
    assert least_seconds(case, 1000.0) == least_bytes(case) / 1000.0


def test_the_column_is_the_share_of_the_memorys_rate(monkeypatch):
    monkeypatch.setattr("benchmarks.ot.measure.copy_rate", lambda device: 1e9)
    monkeypatch.setattr("benchmarks.ot.measure.extra_memory", lambda case_file, row, plugin: 1.0)
    rows = {FLOOR: ROWS[FLOOR], "part": dataclasses.replace(ROWS["sinkhorn"], whole=False)}
    floor, part = measure("tiny", Workload(3, 9, 5, 16), rows, 1, progress=lambda _: None)
    moved = 4 * (3 * 3 * (9 + 5) * 16 + 6 * 3 * 9 * 5)
    assert floor.copy_gb_per_s == part.copy_gb_per_s == 1.0
    assert floor.roofline == pytest.approx(moved / 1e9 / (floor.p50_ms / 1000))
    assert math.isnan(part.roofline)
