"""Builds datasets and readers from an experiment's data section."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aista import registry
from aista.data.batching import SequentialBatches
from aista.data.data_config import DataConfig
from aista.data.dataset import SpeechTextDataset
from aista.data.inspection import Inspection, choose_policy, inspect
from aista.data.loader import BatchLoader
from aista.data.manifest import Manifest, read_manifest
from aista.data.manifest_rows import Rows
from aista.data.row_checks import Limit, RowChecks
from aista.data.shared_ids import describe_shared_ids
from aista.data.shuffling import shuffle_transcripts
from aista.data.subset import first_rows
from aista.data.task_rows import for_tasks, rows_alike
from aista.engine.transcripts import check_transcripts, check_words
from aista.errors import DataError
from aista.files import hash_file
from aista.run_folder.paths import SPLITS, split_label
from aista.run_folder.sources import Source
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.terminal import stage_bars
from aista.types import SpeechBatch

__all__ = [
    "Split",
    "has_references",
    "load_split",
    "load_training_splits",
    "probe_batches",
    "probe_split",
    "whole_pass",
]

log = logging.getLogger("aista.data")


@dataclass(frozen=True)
class Split:
    """The rows of a split that a task can use, ready to be loaded.

    Attributes:
        name: train, dev, test, or a manifest's path.
        dataset: The usable rows.
        inspections: Inspection of each of its manifests.
        on_bad_rows: Whether faulty rows are an error or dropped, as the config says.
        positions: ``[rows]`` positions of the LLM that each row takes in a batch; None where these have no limit.
    """

    name: str
    dataset: SpeechTextDataset
    inspections: tuple[Inspection, ...]
    on_bad_rows: Literal["error", "drop"]
    positions: NDArray[np.int64] | None = None

    @property
    def report(self) -> dict[str, Any]:
        """The inspections per manifest, as written to the run folder."""
        return {
            str(inspection.manifest): {**inspection.to_json(), "sha256": hash_file(inspection.manifest)}
            for inspection in self.inspections
        }

    @property
    def checks(self) -> RowChecks | None:
        """Checks to make when a row is read; None where all rows were examined."""
        return next((inspection.checks for inspection in self.inspections if inspection.checks is not None), None)

    @property
    def unknown_columns(self) -> tuple[str, ...]:
        """Columns of its manifests that are not read."""
        return tuple(name for inspection in self.inspections for name in inspection.unknown_columns)

    @property
    def label(self) -> str:
        """Label of result folders and files."""
        return split_label(self.name)

    def source(self, checkpoint: str) -> Source:
        """The source of a checkpoint's results on this split."""
        manifest = self.inspections[0].manifest.resolve()
        return Source(checkpoint=checkpoint, split=self.name, manifest=str(manifest), sha256=hash_file(manifest))

    def within(self, limits: Sequence[Limit]) -> Split:
        """The split without the rows that a model cannot take.

        Raises:
            DataError: there are such rows and they are an error, or none is left.
        """
        return self._narrowed(tuple(inspection.within(limits) for inspection in self.inspections))

    def batched_by(self, limit: Limit) -> Split:
        """The split without the rows that alone exceed a limit on a batch, and with the positions of the others.

        They are measured by what the manifest states of rows that were not examined.

        Raises:
            DataError: as ``within``.
        """
        measures = [limit.measure(inspection.kept, inspection.durations.tolist()) for inspection in self.inspections]
        pairs = zip(self.inspections, measures, strict=True)
        narrowed = self._narrowed(tuple(inspection.without([limit], [sizes]) for inspection, sizes in pairs))
        sizes = np.array([size for of_one in measures for size in of_one], dtype=np.int64)
        return replace(narrowed, positions=sizes[sizes <= limit.maximum])

    def _narrowed(self, inspections: tuple[Inspection, ...]) -> Split:
        rows = _usable(inspections, self.on_bad_rows)
        for before, after in zip(self.inspections, inspections, strict=True):
            if after.counts["bad"] > before.counts["bad"]:
                log.info("%s", after.summary())
        narrowed = replace(self, inspections=inspections)
        dataset = self.dataset if len(rows) == len(self.dataset) else self.dataset.with_rows(rows)
        return replace(narrowed, dataset=dataset.with_checks(narrowed.checks))


def load_split(
    experiment: Experiment,
    task: Task,
    name: str,
    *,
    training: bool = False,
    scored: bool = False,
    row_task: str = "",
) -> Split:
    """Read and inspect the manifest of a split.

    Args:
        experiment: Its data section names the manifests.
        task: Decides which rows it can use; others are set aside and counted.
        name: ``train``, ``dev``, ``test``, or the path of a manifest.
        training: Add the further manifests (of speech, or of texts alone) and the augmentation; take
            ``data.train_rows`` rows and shuffle the transcripts where the config says so.
        scored: Translations are scored, so that each row must have one even if training needs none.
        row_task: Task of rows that are not trained on, among ``data.tasks``; empty: the first.

    Raises:
        DataError: the manifest is malformed or missing, has fewer rows than ``data.train_rows`` or bad ones
            and ``on_bad_rows`` is error, or leaves no usable row.
    """
    config = experiment.sections.data
    path = _path(config, name)
    tasks = config.tasks if training else (row_task or config.tasks[0],) if config.tasks else ()
    speech = config.speech if training and task.uses_audio else ()
    texts = config.text if training and ("mt" in tasks or not task.uses_audio) else ()
    manifests = [read_manifest(file) for file in (path, *speech, *texts)]
    if not config.tasks:
        usual = next(iter(task.row_tasks), "")
        manifests = [replace(one, rows=rows_alike(one.rows, one.path, usual=usual)) for one in manifests]
    if training:
        manifests = _chosen(manifests, experiment)
    needs_target = (task.scores_translations if scored else task.needs_translations) and "asr" not in tasks
    with_audio = [task.uses_audio and index <= len(speech) for index in range(len(manifests))]
    inspections = tuple(
        _inspect(manifest, config, task, needs_target=needs_target, training=training, with_audio=has_audio)
        for manifest, has_audio in zip(manifests, with_audio, strict=True)
    )
    if task.uses_audio:
        inspections = tuple(map(_texts_alone, inspections, with_audio))
    inspections = (inspections[0], *(_from_anywhere(one) for one in inspections[1:]))
    for line in describe_shared_ids([(inspection.manifest, inspection.kept) for inspection in inspections]):
        log.warning("%s", line)
    if config.tasks:
        inspections = for_tasks(inspections, tasks, config)
    rows = _usable(inspections, config.on_bad_rows)
    if task.needs_words:
        check_words(rows, path, training=training)
    dataset = _dataset(experiment, task, rows, path.parent, training)
    split = Split(name, dataset, inspections, config.on_bad_rows)
    return replace(split, dataset=dataset.with_checks(split.checks))


def load_training_splits(experiment: Experiment, task: Task) -> dict[str, Split]:
    """Load ``train`` unless it is a stream, and ``dev`` if the config has one; see ``load_split``.

    Raises:
        DataError: as ``load_split``, or a split lacks the transcripts that the task needs, or dev the translations
            that ``evaluation.score`` needs.
    """
    data = experiment.sections.data
    names = [name for name, is_named in (("train", data.stream is None), ("dev", data.dev is not None)) if is_named]
    splits = {name: load_split(experiment, task, name, training=name == "train") for name in names}
    for name, minimum in task.min_transcripts.items():
        if name in splits:
            first, unknown = splits[name].inspections[0], splits[name].unknown_columns
            check_transcripts(splits[name].dataset.rows, first.manifest, minimum=minimum, unknown_columns=unknown)
    score = experiment.sections.evaluation.score
    if "dev" in splits and score != "loss" and not has_references(splits["dev"], task):
        raise DataError(
            f"{splits['dev'].inspections[0].manifest}: no row of dev has a translation, which evaluation.score "
            f"{score!r} is computed from; set evaluation.score: loss, or name a dev set with translations"
        )
    return splits


def has_references(split: Split, task: Task) -> bool:
    """Whether hypotheses of any row can be scored."""
    return not task.scores_translations or bool(split.dataset.rows.is_filled("tgt_text").any())


def whole_pass(
    split: Split, batch_size: int, rank: int = 0, world_size: int = 1, *, num_workers: int = 0
) -> BatchLoader:
    """Every row once, short to long: for validation and evaluation."""
    batches = SequentialBatches(split.dataset.lengths(), batch_size=max(batch_size, world_size), world_size=world_size)
    return BatchLoader(split.dataset, batches, rank=rank, world_size=world_size, num_workers=num_workers, train=False)


def probe_split(split: Split, size: int) -> Split:
    """The first ``size`` rows with a transcript, with word times if available."""
    rows = split.dataset.rows.where(split.dataset.rows.is_filled("src_text"))[:size]
    return replace(split, dataset=split.dataset.with_rows(rows).with_words())


def probe_batches(split: Split, size: int, batch_size: int, device: str) -> Iterator[SpeechBatch]:
    """The rows of ``probe_split``, short to long, on ``device``; the same ones on every process."""
    dataset = probe_split(split, size).dataset
    rows = sorted(range(len(dataset)), key=dataset.lengths().__getitem__)
    for start in range(0, len(rows), batch_size):
        yield dataset.batch(rows[start : start + batch_size], epoch=0).to(device)


def _usable(inspections: Sequence[Inspection], on_bad_rows: Literal["error", "drop"]) -> Rows:
    return Rows.joined([inspection.require(on_bad_rows) for inspection in inspections])


def _texts_alone(inspection: Inspection, has_audio: bool) -> Inspection:
    """The rows without unexamined audio."""
    if has_audio:
        return inspection
    return replace(inspection, kept=inspection.kept.with_texts(audio=[""] * len(inspection.kept)))


def _from_anywhere(inspection: Inspection) -> Inspection:
    """With the audio's absolute paths, for a dataset whose first manifest is elsewhere."""
    folder = inspection.manifest.parent.resolve()
    specs = [str(folder / audio) if audio else "" for audio in inspection.kept.texts("audio")]
    return replace(inspection, kept=inspection.kept.with_texts(audio=specs))


def _path(config: DataConfig, name: str) -> Path:
    path = getattr(config, name) if name in SPLITS else Path(name)
    if path is None:
        raise DataError(f"data.{name}: the config names no {name} manifest; add one, or name a file")
    return Path(path)


def _chosen(manifests: Sequence[Manifest], experiment: Experiment) -> list[Manifest]:
    """The training rows of the first and of further manifests."""
    config, (speech, *more) = experiment.sections.data, manifests
    if config.train_rows:
        try:
            speech = replace(speech, rows=first_rows(speech.rows, config.train_rows))
        except ValueError as error:
            raise DataError(f"data.train_rows: {error}; 0 takes all of {speech.path}") from error
        log.info("%s: %d of its rows (data.train_rows)", speech.path, config.train_rows)
    chosen = [speech, *more]
    if not config.shuffle_transcripts:
        return chosen
    for manifest in chosen:
        log.info("%s: transcripts shuffled between rows (data.shuffle_transcripts)", manifest.path)
    seed = experiment.sections.seed
    return [replace(manifest, rows=shuffle_transcripts(manifest.rows, seed)) for manifest in chosen]


def _inspect(
    manifest: Manifest, config: DataConfig, task: Task, *, needs_target: bool, training: bool, with_audio: bool
) -> Inspection:
    with stage_bars() as progress:
        inspection = inspect(
            manifest,
            config,
            with_audio=with_audio,
            needs_target=needs_target,
            reject=None if type(task).reject is Task.reject else task.reject,
            tokenizer=task.tokenizer,
            policy=choose_policy(config, len(manifest.rows), training=training),
            progress=partial(progress, f"checking {manifest.path}"),
        )
    for line in inspection.summary().splitlines():
        log.info("%s", line)
    return inspection


def _dataset(experiment: Experiment, task: Task, rows: Rows, base: Path, training: bool) -> SpeechTextDataset:
    config = experiment.sections.data
    augmentation = None
    if training and task.feature is not None and config.augmentation is not None:
        augmentation = registry.build("augmentation", config.augmentation, at="data.augmentation")
    dataset = SpeechTextDataset(
        rows,
        base,
        task.feature,
        task.tokenizer,
        augmentation,
        seed=experiment.sections.seed,
        words=task.needs_words,
        cache=config.cache_features,
    )
    prompts = task.prompts
    if prompts is None or not (prompts.vary or config.tasks):
        return dataset
    prompts.learn(rows, config.source_language, config.target_language)
    if not prompts.vary:
        return dataset
    return dataset.with_prompts(prompts.of_row, wordings=training)
