"""Trains several runs in parallel, each in its own process with a progress bar."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn

from aista.console import escaped
from aista.errors import RunError
from aista.interrupts import PARENT, SECONDS_TO_END
from aista.locks import is_locked
from aista.run_folder.metric_records import read_records
from aista.run_folder.paths import RunPaths
from aista.runs.devices import VISIBLE, visible_gpus
from aista.terminal import LABEL

__all__ = ["Job", "JobFiles", "default_parallel", "run_jobs"]

# glibc gives large blocks back to the system after each use; keeping those of small models saves about a tenth of a
# CPU step. Larger blocks, such as the logits of a pretrained vocabulary, must go back: their sizes differ from batch to
# batch, and memory that is not given back only grows.
_LARGEST_REUSED = str(128 * 2**20)
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": _LARGEST_REUSED, "MALLOC_MMAP_THRESHOLD_": _LARGEST_REUSED}


@dataclass(frozen=True)
class JobFiles:
    """Files of a job, beside its config."""

    config: Path

    @classmethod
    def of(cls, folder: Path) -> JobFiles:
        """The files of an ablation's run or pretraining stage."""
        return cls(folder.parent.parent / "jobs" / f"{folder.name}.yaml")

    @property
    def log(self) -> Path:
        """The job's messages."""
        return self.config.with_suffix(".log")

    @property
    def failure(self) -> Path:
        """The reason of its failure, in one line, if its command writes it."""
        return self.config.with_suffix(".failure")

    @property
    def lock(self) -> Path:
        """Locked by the process that works on the job, if its command does so."""
        return self.config.with_suffix(".lock")


@dataclass(frozen=True)
class Job:
    """A training in a separate process.

    Attributes:
        label: Shown beside its progress bar.
        folder: The run folder.
        files: The experiment's config, and the files beside it.
        num_steps: Length of the bar.
        command: Arguments of Python; empty means ``aista train folder --config config``.
        threads: Number of its compute threads.
    """

    label: str
    folder: Path
    files: JobFiles
    num_steps: int
    command: tuple[str, ...] = ()
    threads: int = 1

    def start(self, gpu: str = "") -> subprocess.Popen[bytes]:
        """Start, or resume from the run folder; it ends when this process does.

        Args:
            gpu: The only one that it sees; empty for all that this process sees.
        """
        arguments = self.command or ("-m", "aista", "train", str(self.folder), "--config", str(self.files.config))
        environment = _MALLOC | os.environ | {"OMP_NUM_THREADS": str(self.threads), PARENT: str(os.getpid())}
        if gpu:
            environment[VISIBLE] = gpu
        with self.files.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
            )

    def is_locked(self) -> bool:
        """Whether another process works on it or trains in its folder."""
        return is_locked(self.files.lock) or is_locked(RunPaths(self.folder).training_lock)

    def step(self) -> int:
        """The last recorded step."""
        file = RunPaths(self.folder).metrics_file("train")
        records = read_records(file) if file.is_file() else []
        return int(records[-1]["step"]) if records else 0


_Running = dict[int, tuple[Job, "subprocess.Popen[bytes]"]]  # by its place among those that run at a time


def run_jobs(
    jobs: Sequence[Job], console: Console, *, num_parallel: int = 0, keep_going: bool = False
) -> dict[Job, int]:
    """Run all jobs, first those that no other process works on, so that two calls with the same jobs share the work.

    Args:
        jobs: Jobs to run.
        console: For progress.
        num_parallel: Jobs at a time, which take the visible GPUs in turn; 0 means ``default_parallel``.
        keep_going: Continue with the other jobs where one fails.

    Returns:
        The failed jobs with their exit codes; empty unless ``keep_going``.

    Raises:
        RunError: a job failed and ``keep_going`` is off; the others are stopped, and the next call resumes them.
    """
    failed: dict[Job, int] = {}
    gpus = visible_gpus()
    waiting, running, places = list(jobs), _Running(), range(num_parallel or default_parallel())
    columns = (LABEL, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {job: progress.add_task(escaped(job.label), total=job.num_steps, start=False) for job in jobs}
        try:
            while waiting or running:
                for place in (place for place in places if waiting and place not in running):
                    job = next((job for job in waiting if not job.is_locked()), None)
                    if job is None:
                        break
                    waiting.remove(job)
                    running[place] = job, job.start(gpus[place % len(gpus)] if gpus else "")
                    progress.start_task(bars[job])
                time.sleep(0.5)
                failed |= _collect(running, progress, bars)
                if failed and not keep_going:
                    raise _failure(*failed.popitem())
        finally:
            _end([process for _, process in running.values()])
    return failed


def default_parallel() -> int:
    """Trainings at a time where nobody says how many: one for each GPU, or for each core where there is none."""
    return len(visible_gpus()) or os.cpu_count() or 1


def _end(processes: Collection[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _collect(running: _Running, progress: Progress, bars: dict[Job, TaskID]) -> dict[Job, int]:
    """Take out the jobs that have ended; returns those that failed."""
    failed = {}
    for place, (job, process) in list(running.items()):
        progress.update(bars[job], completed=job.step())
        code = process.poll()
        if code is None:
            continue
        del running[place]
        progress.stop_task(bars[job])
        if code != 0:
            failed[job] = code
    return failed


def _failure(job: Job, code: int) -> RunError:
    tail = "\n".join(job.files.log.read_text(encoding="utf-8").splitlines()[-15:])
    return RunError(f"{job.label}: training failed with exit code {code}; the end of {job.files.log}:\n{tail}")
