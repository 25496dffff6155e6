"""Trains several runs side by side, one thread each, with a progress bar for every one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from aista.errors import RunError
from aista.records import read_records

__all__ = ["Job", "run_jobs"]

# glibc gives large blocks back to the system after each use; keeping them saves about a tenth of a CPU step.
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


@dataclass(frozen=True)
class Job:
    """``aista train folder --config config``, shown as ``label``; ``num_steps`` is the bar's length."""

    label: str
    folder: Path
    config: Path
    num_steps: int

    @property
    def log(self) -> Path:
        """Where the job's messages go."""
        return self.config.with_suffix(".log")

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on where the run folder stands."""
        command = [sys.executable, "-m", "aista", "train", str(self.folder), "--config", str(self.config)]
        environment = _MALLOC | os.environ | {"OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)

    def step(self) -> int:
        """The last recorded step."""
        file = self.folder / "metrics" / "train.jsonl"
        records = read_records(file) if file.is_file() else []
        return int(records[-1]["step"]) if records else 0


def run_jobs(jobs: Sequence[Job], console: Console) -> None:
    """Run all jobs, as many at a time as there are cores.

    Raises:
        RunError: a job failed; the others are stopped and go on at the next call.
    """
    waiting, running = list(jobs), dict[Job, subprocess.Popen[bytes]]()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {job: progress.add_task(job.label, total=job.num_steps, start=False) for job in jobs}
        try:
            while waiting or running:
                while waiting and len(running) < (os.cpu_count() or 1):
                    job = waiting.pop(0)
                    running[job] = job.start()
                    progress.start_task(bars[job])
                time.sleep(0.5)
                _collect(running, progress, bars)
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()


def _collect(running: dict[Job, subprocess.Popen[bytes]], progress: Progress, bars: dict[Job, TaskID]) -> None:
    for job, process in list(running.items()):
        progress.update(bars[job], completed=job.step())
        code = process.poll()
        if code is None:
            continue
        del running[job]
        if code != 0:
            tail = "\n".join(job.log.read_text(encoding="utf-8").splitlines()[-15:])
            raise RunError(f"{job.label}: training failed with exit code {code}; the end of {job.log}:\n{tail}")
        progress.stop_task(bars[job])
