"""One run of an ablation as a separate process: trains, evaluates, and writes an error to a file for the sweep.

python -m aista.runs.ablation.worker RUN --config FILE
    [--split SPLIT [--tasks TASK ...] [--shuffled-speech] [--from-transcript] [--probe SIZE --probe-name NAME]
    [--early-probe STEP --early-probe-name NAME]]
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from aista.console import say
from aista.data.row_tasks import usual_task
from aista.engine.claim import open_experiment
from aista.engine.inference.evaluate import evaluate
from aista.engine.inference.probe import probe
from aista.engine.inference.text_input import TextInput
from aista.engine.training.train import train
from aista.errors import AistaError
from aista.files import write_text
from aista.interrupts import Terminated, end_with_parent, sigterm_raised
from aista.locks import locked
from aista.run_folder.contents import RunFolder
from aista.run_folder.evaluations import is_scored
from aista.run_folder.failures import failure_text
from aista.run_folder.paths import RunPaths, row_task_label, split_label, transcript_label
from aista.runs.jobs import JobFiles
from aista.tasks.experiment import load_experiment
from aista.terminal import configure_logging

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Train, then score and probe ``--split`` (if it is given); returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--split", default="")
    parser.add_argument("--tasks", nargs="*", default=[""])
    parser.add_argument("--shuffled-speech", action="store_true")
    parser.add_argument("--from-transcript", action="store_true")
    parser.add_argument("--probe", type=int, default=0)
    parser.add_argument("--probe-name", default="")
    parser.add_argument("--early-probe", type=int, default=0)
    parser.add_argument("--early-probe-name", default="")
    args = parser.parse_args(arguments)
    configure_logging()
    files = JobFiles(args.config)
    try:
        with sigterm_raised():
            end_with_parent()
            with locked(files.lock, args.run, wait=True):
                _train_and_measure(args)
    except Terminated as end:
        say("terminated (SIGTERM)", sys.stderr)
        return end.exit_code
    except Exception as error:  # whatever it is, it becomes a row of the table
        traceback.print_exc()
        write_text(files.failure, f"{failure_text(error)}\n")
        return error.exit_code if isinstance(error, AistaError) else 1
    return 0


def _train_and_measure(args: argparse.Namespace) -> None:
    run = RunPaths(args.run)
    train(open_experiment(args.run) if run.is_run else load_experiment(args.config), args.run)
    for task in args.tasks if args.split else ():
        _score(run, args.split, task, shuffled_speech=args.shuffled_speech and task == args.tasks[0])
    if args.from_transcript and not is_scored(run, transcript_label(split_label(args.split))):
        evaluate(args.run, args.split, text=TextInput())
    if args.probe and not run.probe_file(args.probe_name).is_file():
        probe(args.run, args.split, size=args.probe, name=args.probe_name, resamples=0)
    early = args.early_probe_name
    if args.early_probe and not run.probe_file(early).is_file():
        probe(args.run, args.split, which=str(args.early_probe), name=early, resamples=0, gradients=True)


def _score(run: RunPaths, split: str, task: str, *, shuffled_speech: bool) -> None:
    """Make missing evaluations; a run that was not trained on the task is scored for its default task."""
    tasks = RunFolder(run.path).row_tasks()
    task = task if task in tasks else usual_task(tasks)
    if not is_scored(run, row_task_label(split_label(split), task, tasks), shuffled_speech=shuffled_speech):
        evaluate(run.path, split, shuffled_speech=shuffled_speech, row_task=task)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
