import dataclasses
import math

import pytest

from aista.report.figure import save_png
from benchmarks.ot.chart import benchmark_table, floor_ratios, ratio_table
from benchmarks.ot.measurement import Measurement

FLOOR = Measurement(
    workload="tiny",
    row="floor",
    p20_ms=0.9,
    p50_ms=1.0,
    p80_ms=1.1,
    ratio=1.0,
    value_error=math.nan,
    x_gradient_error=math.nan,
    y_gradient_error=math.nan,
    memory_mib=3.0,
    roofline=0.25,
    copy_gb_per_s=1.5,
    fault="",
    rounds=5,
    threads=2,
    device="a processor",
    dtype="float32",
    library="torch 2",
    aista="1",
    torch="2",
    python="3",
    commit="",
)
WRONG = dataclasses.replace(
    FLOOR,
    row="peer",
    p50_ms=250.0,
    ratio=250.0,
    roofline=0.001,
    value_error=1e-5,
    x_gradient_error=0.03,
    y_gradient_error=0.02,
    fault="x gradient is off",
)


def test_the_table_marks_what_is_above_its_bound():
    table = benchmark_table([FLOOR, WRONG])
    assert table.title == "tiny: 5 rounds, 2 threads, a processor"
    assert table.rows == (
        ("floor", "1.00", "1", "25.0%", "-", "-", "-", "3"),
        ("peer!", "250.00", "250", "0.1%", "1e-05", "3e-02", "2e-02", "3"),
    )


def test_workloads_stand_side_by_side():
    table = ratio_table([FLOOR, WRONG, dataclasses.replace(FLOOR, workload="other")])
    assert table.columns == ("row", "tiny", "other")
    assert table.rows == (("floor", "1 (1 ms)", "1 (1 ms)"), ("peer", "250.00 (3e-02!)", "-"))


def test_the_figure_has_a_bar_and_its_error_for_every_row(tmp_path):
    figure = floor_ratios([FLOOR, WRONG, dataclasses.replace(FLOOR, workload="other")])
    tiny, other = figure.axes
    assert (tiny.get_title(loc="left"), other.get_title(loc="left")) == ("tiny", "other")
    assert [bar.get_width() for bar in tiny.patches] == [1, 250]
    assert [text.get_text() for text in tiny.texts] == ["1.00", "250.00, error 3e-02!"]
    assert tiny.get_xscale() == "log"
    save_png(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_a_figure_needs_measurements():
    with pytest.raises(ValueError, match="at least one measurement"):
        floor_ratios([])
