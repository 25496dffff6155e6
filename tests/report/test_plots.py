from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from aista.report.correlation import correlate
from aista.report.figure import printable, save_png, to_svg
from aista.report.plots import bootstrap_differences, layer_curves, seed_differences, transport_plan
from aista.report.scatter import retrieval_and_score
from aista.run_folder.probes import Plan
from aista.scoring.seeds import combine_seeds
from aista.scoring.significance import Comparison, paired_bootstrap
from aista.selection.curve import ProbeCurve
from tests.scoring.helpers import make
from tests.written_runs import hypothesis_rows, make_plan


def plan_of(positions: int, tokens: list[str], seconds: float | None = None) -> Plan:
    data = make_plan(positions, tokens)
    return Plan("u$1$", tuple(tokens), seconds, 1, {1: data["plan"]})


def comparison(error: float) -> Comparison:
    base, other = hypothesis_rows(0.3), hypothesis_rows(error)
    references = [row.reference for row in base]
    systems = {"AI-STA": [row.hypothesis for row in other]}
    return paired_bootstrap(("CE", [row.hypothesis for row in base]), systems, references, make("bleu"), samples=50)


def texts(svg: str) -> list[str]:
    """All text of an SVG; fails where it is no XML."""
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_layer_curves_draw_each_score_and_mark_layers(curve: Callable[..., ProbeCurve]) -> None:
    curves = {"CE only": curve(2.0), "AI-STA": curve(1.0)}
    figure = layer_curves(curves, selected=(1, 2))
    assert len(figure.axes) == 2
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["AI-STA"].get_ydata(), list(curves["AI-STA"].values("mrr").values()))
    np.testing.assert_allclose(lines["AI-STA"].get_xdata(), [0, 1, 2, 3, 4])
    assert f"chance ({curves['CE only'].chance.mrr:.3f})" in lines
    assert len(figure.axes[0].patches) == 2
    drawn = texts(to_svg(figure))
    assert {"CE only", "AI-STA", "random order", "aligned layers", "Recall@1"} <= set(drawn)
    with pytest.raises(ValueError, match="at least one curve"):
        layer_curves({})


def test_transport_plan_shows_shares_and_the_argmax_path() -> None:
    mass = ((0.25, 0.0), (0.15, 0.10), (0.0, 0.25), (0.05, 0.20))
    figure = transport_plan(Plan("u1", ("a", "b"), 0.5, 1, {1: mass}))
    axes = figure.axes[0]
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), np.array(mass).T * 4)
    dots = axes.lines[1]
    np.testing.assert_allclose(dots.get_xdata(), [0, 1, 2, 3])
    np.testing.assert_allclose(dots.get_ydata(), [0, 0, 1, 1])
    assert "seconds of audio" in texts(to_svg(figure))
    assert "seconds of audio" not in texts(to_svg(transport_plan(Plan("u1", ("a", "b"), None, 1, {1: mass}))))


def test_positions_without_mass_get_no_dot() -> None:
    figure = transport_plan(Plan("u1", ("a", "b"), None, 1, {1: ((0.5, 0.0), (0.0, 0.0), (0.0, 0.5))}))
    np.testing.assert_allclose(figure.axes[0].lines[1].get_xdata(), [0, 2])


def test_tokens_are_text_and_no_formula_or_markup() -> None:
    tokens = ["$5", "$6", "<b>", "\n", "猫", "&amp;", "\x00", "_x"]
    drawn = texts(to_svg(transport_plan(plan_of(20, tokens))))
    assert {"$5", "$6", "<b>", "\\n", "猫", "&amp;", "\\x00", "_x"} <= set(drawn)
    assert any("u$1$" in text for text in drawn)


@pytest.mark.parametrize(("positions", "count"), [(1, 1), (40, 15), (400, 3)])
def test_transport_plans_of_any_size(positions: int, count: int) -> None:
    figure = transport_plan(plan_of(positions, [f"t{index}" for index in range(count)], 0.04))
    assert {f"t{index}" for index in range(count)} <= set(texts(to_svg(figure)))
    assert figure.get_size_inches()[0] <= 16


def test_bootstrap_differences() -> None:
    compared = comparison(0.1)
    figure = bootstrap_differences(compared)
    assert len(figure.axes) == 1
    system = compared.system("AI-STA")
    title = figure.axes[0].get_title(loc="left")
    assert title.startswith(f"AI-STA: {system.difference:+.2f} [")
    assert title.endswith(f"p = {system.p_value:.3f}")
    assert any("right of 0 = better" in text for text in texts(to_svg(figure)))


def test_bootstrap_of_equal_systems_draws() -> None:
    assert any("p = 1.000" in text for text in texts(to_svg(bootstrap_differences(comparison(0.3)))))


def test_svg_is_deterministic_and_self_contained() -> None:
    first, second = (to_svg(transport_plan(plan_of(8, ["a", "b"]))) for _ in range(2))
    assert first == second
    assert first.startswith("<svg")
    assert "<!DOCTYPE" not in first


def test_png_is_written_whole(tmp_path: Path) -> None:
    save_png(transport_plan(plan_of(8, ["a", "b"])), tmp_path / "plan.png", dpi=60)
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.png"]


def test_matplotlib_s_settings_are_left_alone(curve: Callable[..., ProbeCurve]) -> None:
    before = dict(matplotlib.rcParams)
    figure = layer_curves({"a": curve(1.0)})
    to_svg(figure)
    assert dict(matplotlib.rcParams) == before
    assert isinstance(figure, Figure)


def test_printable() -> None:
    assert printable("a\tb\x1b é 猫") == "a\\tb\\x1b é 猫"


def test_seed_differences_draw_each_seed_the_mean_and_both_intervals() -> None:
    several = combine_seeds({seed: comparison(error).system("AI-STA") for seed, error in ((1, 0.1), (2, 0.2))})
    one = combine_seeds({1: comparison(0.4).system("AI-STA")})
    figure = seed_differences({"AI-STA": several, "a $single$ seed": one}, "bleu", "CE only")
    (axes,) = figure.axes
    lines = {str(line.get_label()): line for line in axes.lines}
    np.testing.assert_allclose(lines["a seed"].get_xdata(), several.differences)
    np.testing.assert_allclose(lines["mean"].get_xdata(), [several.difference])
    assert several.seed_test is not None
    interval = several.seed_test.interval
    np.testing.assert_allclose(lines["seeds, 95 %"].get_xdata(), [interval.low, interval.high])
    np.testing.assert_allclose(lines["segments"].get_xdata(), [several.interval.low, several.interval.high])
    assert len(axes.lines) == 4 + 3 + 1  # one seed has no interval over seeds; the line at 0
    drawn = texts(to_svg(figure))
    assert {"AI-STA", "a $single$ seed", "difference in BLEU from CE only"} <= set(drawn)
    with pytest.raises(ValueError, match="at least one comparison"):
        seed_differences({}, "bleu", "CE only")


def test_retrieval_and_score_draws_a_panel_per_layer_and_a_look_per_row() -> None:
    curves = {
        "CE only, seed 1": {0: 0.1, 1: 0.2},
        "CE only, seed 2": {0: 0.2, 1: 0.1},
        "AI-STA, seed 1": {0: 0.9, 1: 0.8},
    }
    scores = {"CE only, seed 1": 10.0, "CE only, seed 2": 12.0, "AI-STA, seed 1": 20.0}
    found = correlate(curves, scores)
    figure = retrieval_and_score(found, "bleu")
    assert len(figure.axes) == 2
    lines = {str(line.get_label()): line for line in figure.axes[1].lines}
    np.testing.assert_allclose(lines["CE only"].get_xydata(), [[0.2, 10.0], [0.1, 12.0]])
    np.testing.assert_allclose(lines["AI-STA"].get_xydata(), [[0.8, 20.0]])
    assert figure.axes[0].get_title(loc="left") == f"layer 0 (r = {found[0].pearson:+.2f})"
    with pytest.raises(ValueError, match="at least one layer"):
        retrieval_and_score([], "bleu")
