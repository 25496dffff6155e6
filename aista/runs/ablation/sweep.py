"""The sweep of an ablation: reuses finished runs, resumes stopped ones, and reports failed ones as rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from aista.config import dump_yaml
from aista.console import say
from aista.engine.claim import holds
from aista.errors import ConfigError, Fault
from aista.files import require_writable, write_json, write_text
from aista.report.printed_tables import print_table
from aista.run_folder.contents import RunFolder
from aista.run_folder.evaluations import is_scored
from aista.run_folder.paths import RunPaths, row_task_label, transcript_label
from aista.run_folder.run_names import ABLATION_RUNS, link_by_name, named_folder
from aista.runs.ablation.outputs import write_outputs
from aista.runs.ablation.plan import MODELS, Ablation, PlannedRun, PlannedStage
from aista.runs.ablation.results import Outcome
from aista.runs.jobs import Job, JobFiles, run_jobs
from aista.tasks.experiment import Experiment
from aista.tasks.preflight import build_direction_metrics, preflight
from aista.terminal import result_console

__all__ = ["Sweep"]

SHOWN_CHANGE = 110


@dataclass(frozen=True)
class Sweep:
    """Runs an ablation in a folder; a second call does only what is missing.

    Layout: ``runs/HASH``, ``pretraining/NAME-HASH``, ``jobs/HASH.{yaml,log,failure}``, ``runs.json`` (folder of
    each run), ``seed_N/ROW`` (links to the runs), ``models.json`` (commits of models on the hub) and the tables.

    Attributes:
        ablation: The checked file, loaded for the same ``out``.
        out: Folder of the ablation.
        num_jobs: Runs at a time on this machine.
        cluster: submitit's parameters to run on a cluster instead; None runs here.
        console: For progress and table.
    """

    ablation: Ablation
    out: Path
    num_jobs: int
    cluster: Mapping[str, Any] | None = None
    console: Console = field(default_factory=result_console)

    def folder(self, run: PlannedRun) -> Path:
        """The run folder."""
        return self.out / "runs" / run.id

    def show_plan(self) -> None:
        """Print every run with its state and its difference from the base config."""
        seen: dict[str, str] = {}
        for run in self.ablation.runs:
            state = self._state(run)
            same = f", the same training as {seen[run.id]}" if run.id in seen else ""
            self._say(f"{run.label}  [{state}{same}]  {named_folder(self.out, run.name, run.seed)}")
            seen.setdefault(run.id, run.label)
            for change in run.changes or ("as the base",):
                shown = change if len(change) <= SHOWN_CHANGE else f"{change[: SHOWN_CHANGE - 3]}..."
                self._say(f"    {shown}")

    def check(self) -> None:
        """Preflight of every run: files, tokenizer, layers, metrics.

        Raises:
            ConfigError: every fault, with the first run that has it.
        """
        faults: dict[tuple[str, str], Fault] = {}
        first_seed = self.ablation.runs[0].seed
        for run in self.ablation.runs:
            if run.seed != first_seed:
                continue  # its files, tokenizer and layers are those of the first seed
            try:
                preflight(run.unstaged)
            except ConfigError as error:
                for fault in error.faults:
                    place = f"run {run.label}: {fault.path}"
                    faults.setdefault((fault.path, fault.problem), Fault(place, fault.problem, fault.remedy))
        if faults:
            raise ConfigError(list(faults.values()), str(self.ablation.source))

    def run(self) -> bool:
        """Train and score what is missing, write and print the table; returns whether no run failed."""
        require_writable(self.out)
        self.check()
        if self.ablation.commits:
            write_json(self.out / MODELS, dict(self.ablation.commits))
        runs = {run.id: run for run in reversed(self.ablation.runs)}  # of equal runs, the first gives the label
        runs = dict(reversed(runs.items()))
        todo = {id: run for id, run in runs.items() if self._state(run) != "done"}  # raises for a folder of another one
        write_json(self.out / ABLATION_RUNS, [self._record(run) for run in self.ablation.runs])
        self._link_by_name()
        for run in self.ablation.runs:
            if run.id not in todo:
                self._say(f"{run.label} (reused)")
        try:
            self._train(list(todo.values()))
        except KeyboardInterrupt:
            self._say_what_is_kept(list(todo.values()))
            raise
        return self._write_table()

    def _train(self, runs: Sequence[PlannedRun]) -> None:
        self._train_stages({stage.folder: stage for run in runs for stage in run.stages})
        # seed by seed: a sweep that is stopped leaves whole seeds to compare
        seeds = list(dict.fromkeys(run.seed for run in self.ablation.runs))
        ready = [run for run in runs if all(RunPaths(stage.folder).is_complete for stage in run.stages)]
        ready.sort(key=lambda run: seeds.index(run.seed))
        self._work(self._job(run.label, self.folder(run), run.experiment, *self._scoring(run)) for run in ready)

    def _say_what_is_kept(self, runs: Sequence[PlannedRun]) -> None:
        """After an interrupt: what was begun, and where it goes on."""
        if self.cluster is not None:
            self._say("stopped waiting: submitted jobs go on; repeat the command to wait for them and get the table")
            return
        left = [run for run in runs if self._state(run) != "done"]
        total = len({run.id for run in self.ablation.runs})
        self._say(f"stopped with {total - len(left)} of {total} trainings done; repeat the command to go on:")
        labels = {stage.folder: f"pretraining {stage.name}" for run in left for stage in run.stages}
        for folder, label in (labels | {self.folder(run): run.label for run in left}).items():
            paths = RunPaths(folder)
            step = max(paths.checkpoint_steps(), default=0)
            if paths.is_run and not paths.is_complete:
                self._say(f"    {label} resumes from {f'step {step}' if step else 'its start: it has no checkpoint'}")

    def _link_by_name(self) -> None:
        try:
            link_by_name(self.out, ((run.name, run.seed, self.folder(run)) for run in self.ablation.runs))
        except OSError as error:
            self._say(f"no links to the runs by name ({error}); {ABLATION_RUNS} says which is which")

    def _train_stages(self, stages: Mapping[Path, PlannedStage]) -> None:
        """Train missing stages; a stage waits for those that it starts from, and is left out if one of them fails."""
        todo = {
            folder: stage
            for folder, stage in stages.items()
            if not (holds(folder, stage.experiment) and RunPaths(folder).is_complete)
        }
        while ready := [stage for stage in todo.values() if self._can_start(stage, stages)]:
            self._work(self._job(f"pretraining {stage.name}", stage.folder, stage.experiment) for stage in ready)
            todo = {folder: stage for folder, stage in todo.items() if stage not in ready}

    @staticmethod
    def _can_start(stage: PlannedStage, stages: Mapping[Path, PlannedStage]) -> bool:
        return all(RunPaths(folder).is_complete for folder in stage.starts_from & stages.keys())

    def _state(self, run: PlannedRun) -> str:
        folder = self.folder(run)
        if not RunPaths(folder).is_run:
            return "failed, to do" if JobFiles.of(folder).failure.is_file() else "to do"
        holds(folder, run.experiment)  # raises where it holds another
        if RunPaths(folder).is_complete and self._has_results(run):
            return "done"
        return "failed, to resume" if JobFiles.of(folder).failure.is_file() else "to resume"

    def _has_results(self, run: PlannedRun) -> bool:
        """Whether the run has all results that it needs."""
        config, paths = self.ablation.config, RunPaths(self.folder(run))
        probes = [config.probe_name] if config.probe else []
        if self._is_probed_early(run):
            probes.append(config.early_probe_name)
        of_run = run.experiment.sections.data.tasks
        first, *others = (row_task_label(config.label, task, of_run) for task in self.ablation.tasks)
        return (
            is_scored(paths, first, shuffled_speech=config.shuffled_speech)
            and all(is_scored(paths, label) for label in others)
            and (not config.from_transcript or is_scored(paths, transcript_label(config.label)))
            and all(paths.probe_file(probe).is_file() for probe in probes)
        )

    def _is_probed_early(self, run: PlannedRun) -> bool:
        """Whether the run is the baseline, whose early checkpoint is probed."""
        baseline = {other.id for other in self.ablation.runs if other.name == self.ablation.baseline}
        return self.ablation.config.early_probe > 0 and run.id in baseline

    def _scoring(self, run: PlannedRun) -> tuple[str, ...]:
        """The worker's arguments of scoring and probing."""
        config = self.ablation.config
        probe = ("--probe", str(config.probe), "--probe-name", config.probe_name) if config.probe else ()
        early = ("--early-probe", str(config.early_probe), "--early-probe-name", config.early_probe_name)
        flags = {"--shuffled-speech": config.shuffled_speech, "--from-transcript": config.from_transcript}
        asked = (flag for flag, is_set in flags.items() if is_set)
        scored = ("--split", config.split, "--tasks", *self.ablation.tasks)
        return (*scored, *asked, *probe, *(early if self._is_probed_early(run) else ()))

    def _job(self, label: str, folder: Path, experiment: Experiment, *scoring: str) -> Job:
        files = JobFiles.of(folder)
        write_text(files.config, dump_yaml(experiment.to_plain()))
        files.failure.unlink(missing_ok=True)
        command = ("-m", "aista.runs.ablation.worker", str(folder), "--config", str(files.config), *scoring)
        return Job(label, folder, files, experiment.sections.trainer.max_steps, command, _threads(self.num_jobs))

    def _work(self, jobs: Iterable[Job]) -> None:
        waiting = list(jobs)
        if not waiting:
            return
        if self.cluster is None:
            failed: Mapping[Job, int] = run_jobs(waiting, self.console, num_parallel=self.num_jobs, keep_going=True)
        else:
            from aista.runs.slurm import run_on_cluster

            failed = run_on_cluster(waiting, self.console, folder=self.out / "slurm", options=self.cluster)
        for job, code in failed.items():
            if not job.files.failure.is_file():  # killed before it could write the reason
                write_text(job.files.failure, f"ended with exit code {code}\n")

    def _write_table(self) -> bool:
        outcomes = [self._outcome(run) for run in self.ablation.runs]
        metrics = partial(build_direction_metrics, self.ablation.runs[0].unstaged)
        table, files = write_outputs(self.out, outcomes, metrics, self.ablation)
        print_table(self.console, table)
        failed = [outcome.failure for outcome in outcomes if outcome.error]
        for failure in failed:
            self._say(f"failed: {failure}")
        self._say(f"written: {self.out}/{', '.join(files)}")
        return not failed

    def _outcome(self, run: PlannedRun) -> Outcome:
        folder = self.folder(run)
        if self._state(run) == "done":
            return Outcome(run.name, run.seed, run.id, RunFolder(folder), "")
        places = [*(stage.folder for stage in run.stages if not RunPaths(stage.folder).is_complete), folder]
        for place in places:
            files = JobFiles.of(place)
            if files.failure.is_file():
                error = f"{files.failure.read_text(encoding='utf-8').strip()} (log: {files.log})"
                return Outcome(run.name, run.seed, run.id, None, error)
        return Outcome(run.name, run.seed, run.id, None, "did not run")

    def _say(self, line: str) -> None:
        say(line, self.console.file)

    def _record(self, run: PlannedRun) -> dict[str, Any]:
        folder = str(self.folder(run).relative_to(self.out))
        return {"name": run.name, "seed": run.seed, "folder": folder, "changes": list(run.changes)}


def _threads(num_jobs: int) -> int:
    """Threads of each run: ``OMP_NUM_THREADS`` where the caller set it, else the cores divided among the jobs."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else max(1, (os.cpu_count() or 1) // num_jobs)
