"""Metrics that read the source get it in comparisons: of speech, of cascades, of groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aista.errors import DataError
from aista.files import hash_file
from aista.report.groups import group_rows
from aista.report.metric_inputs import evaluated_inputs
from aista.report.report_options import ComparisonOptions
from aista.report.summary import summarise, summarise_one
from aista.run_folder.contents import RunFolder
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.sources import Source
from aista.scoring.hypotheses import HypothesisRow, write_hypotheses
from tests.scoring.copied import Copied, Heard
from tests.scoring.helpers import just, make
from tests.written_runs import write_run

IDS = ["u0", "u1", "u2", "u3"]
SOURCES = ["a", "b", "c", "d"]
OPTIONS = ComparisonOptions(samples=50)


def runs(folder: Path) -> dict[str, RunFolder]:
    """Two runs whose hypotheses are the sources in capitals, of the second all and of the first half."""
    for name, texts in (("half", ["A", "B", "x", "y"]), ("whole", ["A", "B", "C", "D"])):
        write_run(folder / name)
        rows = [HypothesisRow(*cells) for cells in zip(IDS, SOURCES, ["r"] * 4, texts, strict=True)]
        write_hypotheses(folder / name / "evaluation/test/hypotheses.tsv", rows)
    return {name: RunFolder(folder / name) for name in ("half", "whole")}


def test_a_comparison_scores_with_the_sources(tmp_path: Path) -> None:
    folders, metrics = runs(tmp_path), [Copied()]
    summary = summarise(folders, just(*metrics), OPTIONS)
    assert [row.scores["copied"] for row in summary.systems] == [50, 100]
    assert summarise_one("half", folders["half"], just(*metrics), OPTIONS, only={"u1", "u2"}).systems[0].scores == {
        "copied": 50
    }
    groups = group_rows(summary.hypotheses, ["r"] * 4, ["x", "x", "y", "y"], metrics, OPTIONS, summary.inputs)
    assert [(row.group, row.system, row.scores["copied"]) for row in groups] == [
        ("x", "half", 100),
        ("x", "whole", 100),
        ("y", "half", 0),
        ("y", "whole", 100),
    ]


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Of a cascade, whose manifest is there."""
    manifest = tmp_path / "test.tsv"
    lines = [f"{id}\t{text}.wav\t{text}\n" for id, text in zip(IDS, SOURCES, strict=True)]
    manifest.write_text("id\taudio\tsrc_text\n" + "".join(lines))
    source = Source(
        checkpoint="best",
        split="test",
        manifest=str(manifest),
        sha256=hash_file(manifest),
        input="/somewhere/asr.tsv",
    )
    rows = tuple(HypothesisRow(id, "misheard", "r", "h") for id in IDS)
    return Evaluation(label="test", source=source, note="", scores=(), seconds=1.0, rows=rows)


def test_a_cascade_is_judged_by_what_was_said(evaluation: Evaluation) -> None:
    inputs = evaluated_inputs({"cascade": evaluation}, IDS[::-1], [Copied()])
    assert (inputs.source, inputs.audio) == (SOURCES[::-1], None)
    rows = tuple(replace(row, src_text=row.id) for row in evaluation.rows)
    speech = replace(evaluation, source=replace(evaluation.source, input=""), rows=rows)
    assert evaluated_inputs({"cascade": evaluation, "speech": speech}, IDS, [Copied()]).source == IDS


def test_audio_is_found_from_the_manifest(evaluation: Evaluation) -> None:
    inputs = evaluated_inputs({"cascade": evaluation}, IDS, [Copied(), Heard()])
    folder = Path(evaluation.source.manifest).parent
    assert inputs.audio == [str(folder / f"{text}.wav") for text in SOURCES]


def test_nothing_is_read_that_no_metric_needs(evaluation: Evaluation) -> None:
    Path(evaluation.source.manifest).unlink()
    inputs = evaluated_inputs({"cascade": evaluation}, IDS, [make("chrf")])
    assert (inputs.source, inputs.audio) == (None, None)
    with pytest.raises(
        DataError, match=r"a metric that needs the source of utterances: needs the manifest .* restore it"
    ):
        evaluated_inputs({"cascade": evaluation}, IDS, [Copied()])
