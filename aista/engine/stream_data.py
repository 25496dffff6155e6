"""Batches from an experiment's ``data.stream``; only the first shards are inspected before the first step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from aista import registry
from aista.data.batching import LengthBatches
from aista.data.dataset import SpeechTextDataset
from aista.data.manifest import Row
from aista.data.manifest_rows import Rows
from aista.data.row_checks import Finding, Limit, RowChecks, audio_findings
from aista.data.streams.base import Shard, ShardFolder
from aista.data.streams.shard_windows import Window, WindowReader
from aista.data.streams.stream_loader import StreamLoader
from aista.data.streams.tally import Tally
from aista.engine.batch_plan import batch_positions, length_batches
from aista.engine.transcripts import check_transcripts, check_words
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment

__all__ = ["TrainingStream", "open_stream"]

log = logging.getLogger("aista.data")


@dataclass(frozen=True)
class TrainingStream:
    """The shards that a task is trained on.

    Attributes:
        experiment: Its data section names them.
        task: Decides which rows it can use.
        stream: Their layout.
        shards: All of them.
        dataset: Turns rows into examples; holds none.
        checks: The rules for its rows.
        positions: Limits a batch, and so each row, in positions of the LLM; None does not.
    """

    experiment: Experiment
    task: Task
    stream: ShardFolder
    shards: tuple[Shard, ...]
    dataset: SpeechTextDataset
    checks: RowChecks
    positions: Limit | None = None

    @property
    def report(self) -> dict[str, Any]:
        """Facts known at the start, as written to the run folder."""
        return {str(self.stream.path): {"shards": len(self.shards), "fingerprint": self.reader().fingerprint}}

    def within(self, model: nn.Module) -> TrainingStream:
        """The stream without rows that exceed the limits of a model or batch; these are reported when read."""
        checks = replace(self.checks, limits=tuple(self.task.limits(model)))
        return replace(self, checks=checks, positions=batch_positions(self.experiment, self.task, model))

    def reader(self) -> WindowReader:
        """Reads its rows, a window at a time."""
        return WindowReader(
            self.stream,
            self.shards,
            check=self._faults,
            reject=self.task.reject,
            batches=self._batches,
            seed=self.experiment.sections.seed,
            with_audio=self.task.uses_audio,
        )

    def first_window(self) -> Window:
        """The first shards of the first epoch; their bad rows are an error where none is allowed."""
        window = self.reader().read(0, 0, 1)
        self._tally(names=False).require_none(window.bad)
        return window

    def loader(self, rank: int, world_size: int) -> StreamLoader:
        """A process' share of the batches."""
        workers = self.experiment.sections.data.num_workers
        tally = self._tally(names=rank == 0)
        return StreamLoader(
            self.reader(),
            self.dataset.with_checks(self.checks),
            tally,
            rank=rank,
            world_size=world_size,
            num_workers=workers,
        )

    def _batches(self, rows: Sequence[Row], world_size: int) -> LengthBatches:
        lengths = self.dataset.with_rows(rows).lengths()
        positions = None if self.positions is None else self.positions.measure(rows, [row.seconds for row in rows])
        with_audio = self.task.uses_audio
        return length_batches(
            lengths, self.experiment, with_audio=with_audio, world_size=world_size, positions=positions
        )

    def _tally(self, *, names: bool) -> Tally:
        data = self.experiment.sections.data
        return Tally(self.stream.path, data.on_bad_rows, data.max_bad_rows, names=names)

    def _faults(self, rows: Sequence[Row]) -> list[str]:
        """Checks of each row's columns; the rest is checked when the row is read."""
        config = self.checks.config
        faults = []
        for row in rows:
            found = self.checks.of_columns(row) + self.checks.of_languages(row)
            found += audio_findings(row, None, config) if self.checks.with_audio else []
            found += _task_findings(row)
            if self.positions is not None and not found:
                found += self.positions.findings([row], [row.seconds])
            faults.append("; ".join(f"{kind}: {message}" for kind, message in found))
        return faults


def _task_findings(row: Row) -> list[Finding]:
    if row.task in ("", "st"):
        return []
    rule = "task must be empty or st, since all rows of a stream are used alike"
    return [("task", f"{rule}, got {row.task!r}; set data.train to the manifest, with data.tasks")]


def open_stream(experiment: Experiment, task: Task) -> TrainingStream | None:
    """The stream that the config names, None without one. Reads its first shards.

    Raises:
        DataError: a shard is missing or cut short, no row of the first ones can be used, or they lack the transcripts
            or word times that the task needs.
    """
    data, seed = experiment.sections.data, experiment.sections.seed
    if data.stream is None:
        return None
    stream: ShardFolder = registry.build("stream", data.stream, at="data.stream")
    augmentation = None
    if task.feature is not None and data.augmentation is not None:
        augmentation = registry.build("augmentation", data.augmentation, at="data.augmentation")
    dataset = SpeechTextDataset(
        (), stream.path, task.feature, task.tokenizer, augmentation, seed=seed, words=task.needs_words
    )
    checks = RowChecks(data, with_audio=task.uses_audio, needs_target=task.needs_translations, tokenizer=task.tokenizer)
    shards = stream.shards(with_audio=task.uses_audio)
    opened = TrainingStream(experiment, task, stream, shards, dataset, checks)
    window = opened.first_window()
    rows, prompts = Rows.of(window.rows), task.prompts
    if prompts is not None and prompts.vary:
        prompts.learn(rows, data.source_language, data.target_language)
        opened = replace(opened, dataset=dataset.with_prompts(prompts.of_row, wordings=True))
    minimum = task.min_transcripts.get("train", 0)
    if minimum:
        check_transcripts(rows, stream.path, minimum=minimum, unknown_columns=())
    if task.needs_words:
        check_words(rows, stream.path, training=True)
    log.info(
        "%s: %d shards; the first %d rows, %d of them bad", stream.path, len(shards), window.num_met, len(window.bad)
    )
    return opened
