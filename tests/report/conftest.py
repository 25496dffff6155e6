"""Run folders as the engine writes them, without an engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from aista.data.manifest import Row, write_manifest
from aista.report.gather import gather, with_clips
from aista.report.render import write_report
from aista.report.report_options import ReportOptions
from aista.run_folder.contents import RunFolder
from aista.run_folder.probes import Plan
from aista.scoring.hypotheses import HypothesisRow, write_hypotheses
from aista.selection.curve import ProbeCurve
from tests.report.chromium import EVIL, Visit, chromium
from tests.scoring.helpers import just, make
from tests.written_runs import hypothesis_rows, make_curve, make_plan, write_run

RUNS = {"CE <b>only</b>": 0.4, "AI-STA": 0.15, "third": 0.3}


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """An aligned run."""
    return write_run(tmp_path / "aligned", error=0.2, noise=1.0, aligned=True)


@pytest.fixture
def baseline_path(tmp_path: Path) -> Path:
    """A CE-only run."""
    return write_run(tmp_path / "ce_only")


@pytest.fixture
def curve() -> Callable[..., ProbeCurve]:
    """Makes probe curves."""
    return make_curve


def write_folders(folder: Path) -> dict[str, RunFolder]:
    """Three runs with one hostile utterance, and the manifest with sound for the first five."""
    rows = []
    for number in range(5):
        wave = 0.4 * np.sin(2 * np.pi * (300 + 100 * number) * np.arange(16_000) / 16_000)
        soundfile.write(str(folder / f"u{number}.wav"), wave, 16_000)
        rows.append(Row(f"u{number}", f"u{number}.wav", 16_000, "t"))
    write_manifest(folder / "test.tsv", rows)
    runs = {}
    for number, (label, error) in enumerate(RUNS.items()):
        path = write_run(folder / f"run{number}", error=error, noise=1 + 3 * error, aligned=label == "AI-STA")
        (path / "config.yaml").write_text(f"seed: {number}\ndata: {{test: {folder / 'test.tsv'}}}\nnote: '<script>'\n")
        texts = [row for row in hypothesis_rows(error) if row.id != "u4"]
        hostile = HypothesisRow("u4", EVIL, f"{EVIL} reference", f"{EVIL} hypothesis {number}")
        write_hypotheses(path / "evaluation/test/hypotheses.tsv", [*texts, hostile])
        runs[label] = RunFolder(path)
    return runs


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    runs = write_folders(folder)
    report = gather(runs, just(make("bleu"), make("chrf")), make("chrf"), ReportOptions(samples=60), title=EVIL)
    layers = {layer: make_plan(positions=30 + layer)["plan"] for layer in range(3)}
    plan = Plan("u4", tuple(make_plan()["tokens"]), make_plan()["seconds_per_position"], 1, layers)
    report = dataclasses.replace(report, plans=[*report.plans, ("AI-STA", plan)])
    return write_report(folder / "report.html", with_clips(report, runs, max_clips=3, max_mib=1))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser: Any, file: Path) -> Iterator[Visit]:
    found = Visit(browser, file)
    yield found
    assert found.complaints == []
    assert found.requests == []
    found.page.close()
