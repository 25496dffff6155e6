"""A run's experiment trackers: they receive the metrics of its folder, and their failures do not stop the run."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aista import registry
from aista.config import load_yaml
from aista.errors import AistaError, RunError
from aista.locks import locked
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.layer_choices import LayerChoice, read_choices
from aista.run_folder.metric_records import read_records
from aista.run_folder.parsing import read_object
from aista.run_folder.paths import RunPaths, step_of
from aista.run_folder.tracked_runs import TrackedRunId, keep_tracked_run, read_tracked_runs
from aista.tasks.experiment import Experiment
from aista.tracking.base import RunDescription, Status, TrackedRun, Tracker, without_credentials

__all__ = ["Link", "Trackers", "send_scores"]

log = logging.getLogger("aista.track")

FIRST_PAUSE = 60.0
"""Seconds until a tracker that failed is tried again; then twice as many each time."""

Send = Callable[[TrackedRun], None]
Record = Mapping[str, float | Sequence[float] | None]


class Link:
    """Connection to one tracker. Values that it does not accept are kept, and sent in order once it answers.

    Args:
        name: The tracker's, for messages.
        open: Opens its run.
        clock: Seconds.
    """

    def __init__(self, name: str, open: Callable[[], TrackedRun], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._open, self._clock = open, clock
        self._run: TrackedRun | None = None
        self._kept: list[Send] = []
        self._pause, self._next_try = 0.0, -math.inf
        self._reason = ""

    def send(self, *sends: Send) -> None:
        """Send values, or keep them while the tracker fails; retries are delayed, training is not."""
        self._kept += sends
        if self._clock() >= self._next_try:
            self._try()

    def _try(self) -> None:
        try:
            if self._run is None:
                self._run = self._open()
            while self._kept:
                self._kept[0](self._run)
                del self._kept[0]
        except Exception as error:  # whatever a service or its client does: the run goes on
            if not self._reason:
                log.warning("tracker %s: %s; the run goes on, and what is not sent is kept", self.name, _line(error))
            self._reason = _line(error)
            self._pause = 2 * self._pause or FIRST_PAUSE
            self._next_try = self._clock() + self._pause
        else:
            if self._reason:
                log.warning("tracker %s: answers again, and has all that was kept", self.name)
            self._reason, self._pause = "", 0.0

    def close(self, status: Status | None) -> None:
        """Try once more, report values that were not sent, and close the tracked run."""
        if self._kept or self._run is None:
            self._try()
        try:
            if self._run is not None:
                self._run.close(status)
        except Exception as error:  # as above
            log.warning("tracker %s: could not be closed: %s", self.name, _line(error))
        if self._kept:
            count = f"{len(self._kept)} record" + "s" * (len(self._kept) != 1)
            log.warning("tracker %s: %s not sent (%s); the run folder has them all", self.name, count, self._reason)


def _line(error: Exception) -> str:
    return without_credentials(" ".join(str(error).split())) or type(error).__name__


class Trackers:
    """The trackers of a run's config, which may be none.

    Args:
        run: The run folder.
        experiment: Its config.

    Raises:
        RunError: the file that says which tracked runs are the run's is damaged.
    """

    def __init__(self, run: RunPaths, experiment: Experiment) -> None:
        self._run = run
        specs = experiment.sections.trainer.tracking
        self._known = read_tracked_runs(run) if specs else {}
        self._trackers: dict[str, Tracker] = {
            spec.name: registry.build("tracker", spec, at=f"trainer.tracking[{index}]")
            for index, spec in enumerate(specs)
        }
        self._links: list[Link] = []

    def open(self, last_step: int) -> None:
        """Open the run at each tracker for a training that continues from ``last_step``; called by one process.

        A tracker that does not have the run yet gets its earlier records first.
        """
        self._open(last_step, goes_on=True)

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Add the scores of an evaluation outside training; a tracker without the run gets all of its records."""
        statuses: dict[str, Status | None] = {
            name: "finished" if self._id(name) is None else None for name in self._trackers
        }
        self._open(math.inf, goes_on=False)
        self.log_evaluation(evaluation)
        self._close(statuses)

    def _open(self, last_step: float, *, goes_on: bool) -> None:
        self._run.tracking_dir.mkdir(exist_ok=True)
        for name in self._trackers:
            is_new = self._id(name) is None
            step = int(last_step) if goes_on else 0
            link = Link(name, partial(self._open_one, name, self._config() if is_new or goes_on else None, step))
            self._links.append(link)
            link.send(*self._past(last_step) if is_new else ())

    def _config(self) -> dict[str, Any]:
        environment = read_object(self._run.environment_file, "aista train")
        return load_yaml(self._run.config_file) | {"environment": environment}

    def _past(self, last_step: float) -> Iterator[Send]:
        for split in ("train", "valid"):
            file = self._run.metrics_file(split)
            for record in read_records(file) if last_step and file.is_file() else ():
                if record["step"] <= last_step:
                    yield _values(split, record, int(record["step"]))
        if last_step and self._run.selection_file.is_file():
            yield from map(_layers, read_choices(self._run.selection_file))

    def _open_one(self, name: str, config: Mapping[str, Any] | None, last_step: int) -> TrackedRun:
        tracker, known = self._trackers[name], self._id(name)
        description = RunDescription(
            name=self._run.title,
            folder=self._run.tracking_dir,
            id="" if known is None else known.id,
            config=config,
            last_step=last_step,
        )
        opened = tracker.open(description)
        self._known[name] = TrackedRunId(tracker.place, opened.id, opened.link)
        if self._known[name] != known:
            keep_tracked_run(self._run, name, self._known[name])
        local = f"run {opened.id} in {tracker.place}" if opened.id else self._run.tracking_dir
        log.info("tracker %s: %s", name, opened.link or local)
        return opened

    def _id(self, name: str) -> TrackedRunId | None:
        """The tracker's record of this run, unless the config now names another place."""
        known = self._known.get(name)
        return known if known is not None and known.place == self._trackers[name].place else None

    def log(self, category: str, record: Record, step: int) -> None:
        """Send the values of a step under ``CATEGORY/NAME``; for a list, each with its index."""
        self._send(_values(category, record, step))

    def log_choice(self, choice: LayerChoice) -> None:
        """Send the layers that are aligned from a step on."""
        self._send(_layers(choice))

    def log_evaluation(self, evaluation: Evaluation) -> None:
        """Send the scores of an evaluation, at the step of its checkpoint, under the name of its results."""
        scores = {score.name: score.value for score in evaluation.scores}
        self.log(evaluation.label, scores, step_of(evaluation.source.checkpoint))

    def _send(self, send: Send) -> None:
        for link in self._links:
            link.send(send)

    def _close(self, statuses: Mapping[str, Status | None]) -> None:
        for link in self._links:
            link.close(statuses[link.name])
        self._links = []

    @contextmanager
    def following(self) -> Iterator[Trackers]:
        """Track a training that the block runs; at its end, send the scores in its folder."""
        status: Status = "failed"
        try:
            yield self
            status = "finished"
            for label in self._run.evaluated_splits() if self._links else ():
                self._log_folder(label)
        finally:
            self._close(dict.fromkeys(self._trackers, status))

    def _log_folder(self, label: str) -> None:
        try:
            self.log_evaluation(Evaluation.load(self._run, label))
        except AistaError as error:  # a damaged one is not a fault of this training
            log.warning("%s; its scores are not sent to trackers", error)


def send_scores(run_dir: Path, experiment: Experiment, evaluation: Evaluation) -> None:
    """Add the scores of an evaluation to the runs that trackers have of a run.

    While the run is trained, they are not sent: its training sends all that are there at its end.
    """
    run = RunPaths(run_dir)
    if not experiment.sections.trainer.tracking or not run.is_run:  # an export is not the run
        return
    try:
        with locked(run.training_lock, run_dir):
            Trackers(run, experiment).add_evaluation(evaluation)
    except RunError as error:
        log.warning("the scores of %s are not sent to trackers: %s", evaluation.label, error)


def _values(category: str, record: Record, step: int) -> Send:
    values = {f"{category}/{name}": value for name, value in _numbers(record)}
    return lambda run: run.log(values, step)


def _layers(choice: LayerChoice) -> Send:
    weights = zip(choice.layers, choice.selected.weights, strict=True)
    layers = ", ".join(f"{layer} (weight {weight:.3g})" for layer, weight in weights)
    text = f"after step {choice.step}: {layers}; {choice.reason}"
    return lambda run: run.note("layers", text, choice.step)


def _numbers(record: Record) -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, Sequence):
            yield from ((f"{name}/{index}" if len(value) > 1 else name, item) for index, item in enumerate(value))
        elif name != "step":
            yield name, math.nan if value is None else value
