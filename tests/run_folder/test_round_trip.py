"""What is written into a run folder is what is read from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aista.run_folder.evaluations import Evaluation
from aista.run_folder.layer_choices import LayerChoice, read_choices, write_choices
from aista.run_folder.paths import RunPaths
from aista.run_folder.probes import Plan, Probe
from aista.run_folder.sources import Source
from aista.scoring.base import Score
from aista.scoring.candidates import Candidate
from aista.selection.base import SelectedLayers
from tests.written_runs import hypothesis_rows, make_curve

SOURCE = Source(checkpoint="step_20", split="data/other.tsv", manifest="/data/other.tsv", sha256="5e")


def test_an_evaluation(tmp_path: Path) -> None:
    rows = tuple(hypothesis_rows(0.3))
    written = Evaluation(
        label="other",
        source=SOURCE,
        note="synthetic",
        scores=(Score("bleu", 12.5, "nrefs:1", True), Score("wer", 80.0, "norm:basic", False)),
        seconds=1.25,
        guarded_rows=3,
        n_best={"u1": (Candidate("a", -0.5, -1.0, 2), Candidate("b", -0.75, -3.0, 4)), "u2": ()},
        rows=rows,
    )
    run = RunPaths(tmp_path)
    written.save(run)
    assert run.evaluated_splits() == ["other"]
    assert Evaluation.load(run, "other") == written


def test_a_probe(tmp_path: Path) -> None:
    written = Probe("final", SOURCE, 20, make_curve(1.0, resamples=10))
    written.save(RunPaths(tmp_path))
    assert Probe.load(RunPaths(tmp_path), "final") == written


def test_a_plan_at_the_layer_that_is_shown(tmp_path: Path) -> None:
    masses = ((0.25, 0.25), (0.5, 0.0))
    written = Plan("u1", ("a", "b"), 0.08, 2, {1: ((1.0, 0.0), (0.0, 0.0)), 2: masses})
    written.save(RunPaths(tmp_path), "final")
    assert Plan.load(RunPaths(tmp_path), "final") == replace(written, layers={2: masses})


def test_choices_of_layers(tmp_path: Path) -> None:
    written = [
        LayerChoice(step, "scheduled", SelectedLayers((layer,), (1.0,), "reason"), curve)
        for step, layer, curve in ((10, 1, make_curve(2.0)), (20, 3, None))
    ]
    file = RunPaths(tmp_path).selection_file
    write_choices(file, written, with_history=True)
    assert read_choices(file) == written
    assert read_choices(file, before=20) == written[:1]
    write_choices(file, written, with_history=False)
    assert read_choices(file) == written[-1:]
