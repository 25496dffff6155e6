"""Tables, CSV and pictures of a probe's measures."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
import torch

from aista.report.probe_measures import (
    agreement_table,
    checkpoint_curves,
    checkpoint_table,
    geometry_table,
    measure_curves,
    measures_csv,
    word_tables,
)
from aista.selection.bootstrap import Estimate
from aista.selection.curve import ProbeCurve
from aista.selection.retrieval_probe import RetrievalProbe
from aista.types import LayerStates


def curve(seed: int = 0, resamples: int = 20) -> ProbeCurve:
    generator = torch.Generator().manual_seed(seed)
    probe = RetrievalProbe((0, 2), resamples=resamples)
    lengths = torch.full((8,), 3)
    layers = [torch.randn(2, 8, 3, 5, generator=generator) for _ in range(2)]
    probe.add_states([LayerStates(speech, lengths, text, lengths) for speech, text in layers])
    return probe.compute()


def test_the_csv_holds_every_measure_exactly() -> None:
    curves = {10: curve(0), 20: curve(1)}
    rows = list(csv.DictReader(io.StringIO(measures_csv(curves))))
    assert len(rows) == sum(len(probe.measures) for found in curves.values() for probe in found.layers)
    for row in rows:
        found = curves[int(row["step"])].estimates(row["measure"])[int(row["layer"])]
        assert float(row["value"]) == found.value
        assert (row["low"], row["high"]) == (("", "") if found.low is None else (repr(found.low), repr(found.high)))


def test_tables_show_values_with_intervals_where_there_are_some() -> None:
    found = curve()
    table = agreement_table(found)
    assert [row[0] for row in table.rows] == ["0", "2"]
    mrr = found.estimates("mrr")[2]
    assert table.rows[1][table.columns.index("mrr")] == f"{mrr.value:.3g} [{mrr.low:.3g}, {mrr.high:.3g}]"
    assert "ot_separation" not in table.columns, "transport was not measured"
    assert "[" not in "".join(cell for row in geometry_table(found).rows for cell in row)
    assert "[" not in "".join(cell for row in agreement_table(curve(resamples=0)).rows for cell in row)


def test_tables_of_words_show_what_was_measured() -> None:
    found = curve()
    assert word_tables(found) == ()
    layers = tuple(replace(probe, measures={"word_mrr": Estimate(0.25, 0.2, 0.3)}) for probe in found.layers)
    (table,) = word_tables(replace(found, layers=layers))
    assert table.columns == ("Layer", "word_mrr")
    assert table.rows == (("0", "0.25"), ("2", "0.25"))


def test_checkpoints_are_rows_and_what_is_missing_is_a_dash() -> None:
    late = curve(1)
    table = checkpoint_table({10: curve(), 20: replace(late, layers=late.layers[1:])}, "cka")
    assert table.columns == ("Step", "layer 0", "layer 2")
    assert table.rows[1][:2] == ("20", "-")


def test_figures_have_a_panel_for_what_was_measured() -> None:
    found = curve()
    titles = [axes.get_title(loc="left") for axes in measure_curves(found).axes]
    assert "Linear CKA" in titles
    assert "Transport cost" not in titles
    lines = [len(axes.get_lines()) for axes in checkpoint_curves({10: found, 20: curve(1)}).axes]
    assert len(lines) == 4
    with pytest.raises(ValueError, match="at least one curve"):
        checkpoint_curves({})


def test_a_curve_of_an_older_run_has_no_measures() -> None:
    old = curve()
    old = replace(old, layers=tuple(replace(probe, measures={}) for probe in old.layers))
    assert ProbeCurve.from_json(old.to_json()) == old
    assert "no measures recorded" in [text.get_text() for text in measure_curves(old).axes[0].texts]
