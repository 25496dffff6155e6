"""The quickstart: corpus, shared pretraining, CE-only baseline and AI-STA, scores, probes, report."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from aista import registry
from aista.config import dump_yaml
from aista.console import say
from aista.corpora.quickstart import QuickstartCorpus
from aista.engine.claim import holds
from aista.engine.inference.evaluate import evaluate
from aista.engine.inference.probe import probe
from aista.files import require_writable, write_text
from aista.report.printed_tables import print_table
from aista.report.render import write_report
from aista.report.report import Corpus
from aista.report.report_options import ComparisonOptions, ReportOptions
from aista.report.summary import Summary, summarise
from aista.report.tables import Table, headline_table, label_of, retrieval_table, to_markdown
from aista.run_folder.contents import RunFolder
from aista.run_folder.paths import RunPaths
from aista.runs.jobs import Job, JobFiles, run_jobs
from aista.runs.report_assembly import make_report
from aista.schema import Component
from aista.selection.curve import ProbeCurve
from aista.tasks.experiment import Experiment, load_experiment
from aista.tasks.preflight import build_direction_metrics
from aista.terminal import result_console, stage_bars

__all__ = ["SYSTEMS", "Quickstart"]

SYSTEMS = {"CE only": ("ce_only", ["alignment=[]"]), "AI-STA": ("aista", [])}


@dataclass(frozen=True)
class Quickstart:
    """Runs the workflow in a folder; finished steps are reused.

    Attributes:
        out: Folder of the runs and the report.
        data: Folder of the corpus.
        config: Experiment file; its manifests are replaced by those of the corpus in ``data``.
        corpus: Options of the corpus.
    """

    out: Path
    data: Path
    config: Path
    corpus: QuickstartCorpus
    console: Console = field(default_factory=result_console)

    def run(self, seeds: Sequence[int]) -> None:
        """Run all steps for every seed, write a report for the first, and a table over several seeds."""
        started = time.monotonic()
        require_writable(self.out)
        self._prepare_corpus()
        shared = self._pretrain()
        self._train_systems(seeds, shared)
        summaries = {seed: self._score(seed) for seed in seeds}
        first = seeds[0]
        path = self._report(first, summaries[first], seeds)
        self._print(first, summaries[first])
        if len(seeds) > 1:
            table = seed_table(summaries)
            write_text(self.out / "seeds.md", to_markdown(table))
            print_table(self.console, table)
        say(f"report: {path}   ({time.monotonic() - started:.0f} s)", self.console.file)

    def _prepare_corpus(self) -> None:
        dataset = registry.build("dataset", Component("quickstart", self.corpus))
        with stage_bars(self.console) as progress:
            report = dataset.prepare(self.data, progress=progress)
        say(f"synthetic corpus in {self.data}{' (reused)' if report.reused else ''}", self.console.file)

    def _experiment(self, overrides: Sequence[str]) -> Experiment:
        paths = [f"data.{split}={self.data / split}.tsv" for split in ("train", "dev", "test")]
        paths += [f"tokenizer.config.path={self.data / 'spm.model'}", f"data.text=[{self.data / 'text.tsv'}]"]
        return load_experiment(self.config, [*paths, *overrides])

    def _pretrain(self) -> list[str]:
        """Train the stages once; returns the overrides with which every run starts from them."""
        experiment = self._experiment([])
        stages = experiment.sections.pretraining
        self._train(
            (f"{stage.name}: {stage.task}", RunPaths(self.out).stage(stage.name).path, experiment.stage(stage))
            for stage in stages
        )
        return [f"initialize.{stage.part}={RunPaths(self.out).stage(stage.name).path}" for stage in stages]

    def _train_systems(self, seeds: Sequence[int], shared: Sequence[str]) -> None:
        self._train(
            (f"{label}, seed {seed}", self._folder(seed, name), self._experiment([*shared, f"seed={seed}", *changes]))
            for seed in seeds
            for label, (name, changes) in SYSTEMS.items()
        )

    def _train(self, runs: Iterable[tuple[str, Path, Experiment]]) -> None:
        """Train each (label, folder, experiment) in parallel, except finished ones."""
        jobs = []
        for label, folder, experiment in runs:
            if holds(folder, experiment) and RunPaths(folder).is_complete:
                say(f"{label} (reused)", self.console.file)
            else:
                jobs.append(self._job(label, folder, experiment))
        run_jobs(jobs, self.console)

    def _job(self, label: str, folder: Path, experiment: Experiment) -> Job:
        file = self.out / "configs" / f"{folder.relative_to(self.out).as_posix().replace('/', '_')}.yaml"
        write_text(file, dump_yaml(experiment.to_plain()))
        return Job(label, folder, JobFiles(file), experiment.sections.trainer.max_steps)

    def _score(self, seed: int) -> Summary:
        for name, _ in SYSTEMS.values():
            folder = self._folder(seed, name)
            if not RunPaths(folder).scores_file("test").is_file():
                evaluate(folder, "test")
            if not RunPaths(folder).plan_file("test").is_file():
                probe(folder, "test", name="test")
        metrics = partial(build_direction_metrics, self._experiment([]))
        return summarise(self._folders(seed), metrics, ComparisonOptions())

    def _folder(self, seed: int, name: str) -> Path:
        return self.out / f"seed_{seed}" / name

    def _folders(self, seed: int) -> dict[str, RunFolder]:
        return {label: RunFolder(self._folder(seed, name)) for label, (name, _) in SYSTEMS.items()}

    def _curves(self, seed: int) -> dict[str, ProbeCurve]:
        folders = self._folders(seed)
        selection = folders["AI-STA"].selection()
        curves = {label: folder.probe("test").curve for label, folder in folders.items()}
        if selection is None or selection.curve is None:
            return curves
        return {f"before alignment (step {selection.step})": selection.curve, **curves}

    def _print(self, seed: int, summary: Summary) -> None:
        print_table(self.console, headline_table(summary.systems, "Test set of the synthetic corpus"))
        print_table(self.console, retrieval_table(self._curves(seed)))

    def _report(self, seed: int, summary: Summary, seeds: Sequence[int]) -> Path:
        corpus = Corpus(
            "English-French sentences from a grammar of a few hundred words, spoken by espeak-ng. "
            "Synthetic: it shows the workflow, it says nothing about real speech.",
            synthetic=True,
            facts={
                "training utterances": str(_num_rows(self.data / "train.tsv")),
                "test utterances": str(len(summary.rows)),
                "seeds trained": ", ".join(map(str, seeds)),
            },
        )
        report = make_report(
            self._folders(seed),
            ReportOptions(),
            title="aista quickstart: does inner alignment help?",
            corpus=corpus,
            command="aista quickstart",
        )
        return write_report(self.out / "report.html", report)


def seed_table(summaries: dict[int, Summary]) -> Table:
    """Score of every system per seed, and the mean and standard deviation of their difference."""
    labels = [system.name for system in next(iter(summaries.values())).systems]
    metric = next(iter(summaries.values())).comparisons[0].metric
    scores = {seed: {s.name: s.scores[metric] for s in summary.systems} for seed, summary in summaries.items()}
    differences = [row[labels[-1]] - row[labels[0]] for row in scores.values()]
    rows = [
        (str(seed), *(f"{row[label]:.1f}" for label in labels), f"{row[labels[-1]] - row[labels[0]]:+.1f}")
        for seed, row in scores.items()
    ]
    means = (f"{statistics.mean(row[label] for row in scores.values()):.1f}" for label in labels)
    spread = f"{statistics.mean(differences):+.1f} (sd {statistics.stdev(differences):.1f})"
    rows.append(("mean", *means, spread))
    return Table(f"{label_of(metric)} over {len(scores)} seeds", ("Seed", *labels, "Difference"), tuple(rows))


def _num_rows(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) - 1
