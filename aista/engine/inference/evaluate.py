"""Decodes a split with a trained run and scores it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from aista.data.loader import BatchLoader
from aista.engine.checkpoints import find_checkpoint
from aista.engine.encoder_cache.cached_encoder import with_encoder_states
from aista.engine.export.load import is_exported
from aista.engine.inference.shuffled_speech import measure_shuffled_speech
from aista.engine.inference.text_input import TextInput
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.engine.inputs import whole_pass
from aista.errors import AistaError, RunError
from aista.files import remove_leftovers, require_writable
from aista.locks import locked
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths, split_label
from aista.run_folder.sources import Source
from aista.scoring.hypotheses import HypothesisRow, sameness
from aista.tasks.preflight import build_metrics

__all__ = ["evaluate"]

log = logging.getLogger("aista.evaluate")


def evaluate(
    run_dir: Path,
    split: str = "test",
    *,
    which: str = "best",
    batch_size: int = 0,
    device: str = "",
    base: Mapping[str, Path] | None = None,
    verify: bool = True,
    shuffled_speech: bool = False,
    text: TextInput | None = None,
) -> Evaluation:
    """Translate a split and write hypotheses and scores into ``RUN/evaluation/LABEL``.

    The label is ``dev`` or ``test``, or ``STEM-HASH`` of a manifest; ``_transcript`` or ``_cascade-STEM-HASH`` is added
    where transcripts are translated, and ``_step_N`` where the checkpoint is not the best one.

    Args:
        run_dir: Run folder, or a folder that ``aista export`` wrote.
        split: ``dev``, ``test``, or the path of a manifest.
        which: Checkpoint: ``best``, ``last`` or a step number.
        batch_size: Rows decoded together; 0 means the config's. Changes nothing but the speed.
        device: Where to decode; empty means the GPU if there is one.
        base: Base weights by part, for an export of the trainable weights alone.
        verify: Compare the weights with their checksums first.
        shuffled_speech: Also measure the NLL of the references with another row's speech.
        text: Transcripts to translate in place of the speech.

    Raises:
        RunError: the folder cannot be written, holds results on another content of the split, or another process
            evaluates the split; the run translates no transcripts.
        DataError: the split has faults, or transcripts are missing.
    """
    if text is not None and shuffled_speech:
        raise RunError("--shuffled-speech measures the speech, which transcripts replace; choose one of them")
    paths = RunPaths(run_dir)
    require_writable(paths.evaluation_dir)
    run = open_run(run_dir, which, device=device, base=base, verify=verify)
    if text is not None and not run.task.translates_text:
        raise RunError(
            f"{run_dir}: a run of the task {run.experiment.sections.task} translates no transcripts; leave out "
            "--from-transcript and --transcripts, or name a run of another task"
        )
    label = _label(run, split, text)
    with locked(paths.evaluation_lock(label), paths.scores_file(label).parent):
        return _evaluate(run, split, label, paths, batch_size, shuffled_speech=shuffled_speech, text=text)


def _evaluate(
    run: TrainedRun,
    split: str,
    label: str,
    paths: RunPaths,
    batch_size: int,
    *,
    shuffled_speech: bool,
    text: TextInput | None,
) -> Evaluation:
    require_writable(paths.scores_file(label))
    remove_leftovers(paths.scores_file(label).parent, "*")
    max_new_tokens = run.experiment.sections.evaluation.generation.max_new_tokens
    data = run.load_split(split, max_new_tokens=max_new_tokens, scored=True)
    source = replace(data.source(run.checkpoint.name), input="" if text is None else str(text))
    old = _replaced(paths, label, source)
    if text is None:
        data = with_encoder_states(data, run.experiment, run.model, run.device)
    else:
        data = text.replace_speech(data, run.task)
    loader = whole_pass(data, batch_size or run.experiment.sections.evaluation.batch_size)
    speech: Mapping[str, Any] | None = None
    if shuffled_speech:
        speech = measure_shuffled_speech(run, loader).to_json()
    elif old is not None and old.source == source:
        speech = old.shuffled_speech
    started = time.perf_counter()
    rows = _decode(run, loader, run.task.decode if text is None else run.task.decode_text)
    seconds = time.perf_counter() - started
    order = {id: index for index, id in enumerate(data.dataset.rows.texts("id"))}
    rows.sort(key=lambda row: order[row.id])
    hypotheses, references = [row.hypothesis for row in rows], [row.reference for row in rows]
    warning = sameness(hypotheses, references)
    if warning:
        log.warning("%s: %s", run.path, warning)
    scores = tuple(metric.score(hypotheses, references) for metric in build_metrics(run.experiment))
    evaluation = Evaluation(
        label=label,
        source=source,
        note=run.experiment.sections.corpus_note,
        scores=scores,
        seconds=round(seconds, 3),
        rows=tuple(rows),
        shuffled_speech=speech,
    )
    evaluation.save(paths)
    return evaluation


def _label(run: TrainedRun, split: str, text: TextInput | None) -> str:
    """The split's, with what is translated unless it is the speech, and the checkpoint unless it is the best one."""
    label = split_label(split) if text is None else text.label(split_label(split))
    is_best = is_exported(run.path) or run.checkpoint.step == find_checkpoint(run.path).step
    return label if is_best else f"{label}_{run.checkpoint.name}"


def _replaced(paths: RunPaths, label: str, source: Source) -> Evaluation | None:
    """What an evaluation of ``source`` replaces; None where nothing readable lies there."""
    if label not in paths.evaluated_splits():
        return None
    try:
        old = Evaluation.load(paths, label)
    except AistaError as error:
        log.warning("%s; it is replaced", error)
        return None
    place = paths.scores_file(label).parent
    source.require_same(old.source, place, checkpoint=False)
    if old.source != source:
        log.info("%s: the results of %s are replaced by those of %s", place, old.source, source)
    return old


@torch.inference_mode()
def _decode(run: TrainedRun, loader: BatchLoader, decode: Callable[..., list[str]]) -> list[HypothesisRow]:
    rows = []
    generation = run.experiment.sections.evaluation.generation
    for batch in track(loader, description="decoding", total=len(loader), transient=True):
        texts = decode(run.model, batch.to(run.device), generation)
        references = run.task.references(batch)
        rows += [HypothesisRow(*cells) for cells in zip(batch.ids, batch.source_text, references, texts, strict=True)]
    return rows
