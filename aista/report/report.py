"""The data of a report; ``aista.report.render`` makes the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aista.report.clips import Clip
from aista.report.correlation import Correlation
from aista.report.tables import SystemRow, Table
from aista.report.utterances import Browser
from aista.run_folder.probes import Plan
from aista.run_folder.sources import Source
from aista.scoring.significance import Comparison
from aista.selection.curve import ProbeCurve

__all__ = ["Corpus", "Report", "RunCurve", "TrainingRun"]


@dataclass(frozen=True)
class Corpus:
    """Training and test data. ``synthetic`` puts a label on the head of the page."""

    description: str
    synthetic: bool
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingRun:
    """Metrics of one run as ``RunFolder.metrics`` reads them; each may be empty."""

    train: Sequence[Mapping[str, float]]
    valid: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class RunCurve:
    """A probe curve of a run; ``before``: measured for the layer selection, before alignment."""

    label: str
    run: str
    curve: ProbeCurve
    before: bool = False


@dataclass(frozen=True, kw_only=True)
class Report:
    """The contents of a report; sections without content are left out.

    Attributes:
        title: Headline of the page.
        runs: Labels, the baseline first.
        corpus: Description of the data, if known.
        command: The command that makes this report again.
        missing: Parts that could not be shown, and why.
        systems: Rows of the headline table, the baseline first.
        comparison: Its bootstrap, for the figure of differences.
        headline: Task and directions of these in words; empty where there is only one.
        by_task: Scores by task and direction.
        saved: Scores as the evaluation wrote them, of runs outside the comparison.
        signatures: Score name -> signature.
        sources: Run label -> checkpoint and split that were evaluated.
        curves: Probe curves.
        selected: The aligned layers, marked in the curves.
        selections: Run label -> aligned layers and the reason of the choice.
        correlations: MRR against the first score over runs, per layer.
        training: Label -> training metrics.
        plans: Run label and transport plans of an utterance.
        browser: The test utterances.
        clips: Their audio, within the budget.
        audio_note: The budget, in words.
        configs: Label -> resolved config as YAML.
        data: Label -> facts about the manifests.
        environments: Label -> versions, commit, device.
    """

    title: str
    runs: Sequence[str] = ()
    corpus: Corpus | None = None
    command: str = ""
    missing: Sequence[str] = ()
    systems: Sequence[SystemRow] = ()
    comparison: Comparison | None = None
    headline: str = ""
    by_task: Table | None = None
    saved: Table | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    curves: Sequence[RunCurve] = ()
    selected: Sequence[int] = ()
    selections: Mapping[str, str] = field(default_factory=dict)
    correlations: Sequence[Correlation] = ()
    training: Mapping[str, TrainingRun] = field(default_factory=dict)
    plans: Sequence[tuple[str, Plan]] = ()
    browser: Browser | None = None
    clips: Sequence[Clip] = ()
    audio_note: str = ""
    configs: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
