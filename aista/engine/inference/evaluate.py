"""Decodes a split with a trained run and scores it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from aista.data.loader import BatchLoader
from aista.engine.checkpoints import find_checkpoint
from aista.engine.encoder_cache.cached_encoder import with_encoder_states
from aista.engine.export.load import is_exported
from aista.engine.inference.shuffled_speech import measure_shuffled_speech
from aista.engine.inference.task_scores import Scorer, choose_row_task, split_chain
from aista.engine.inference.text_input import TextInput
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.engine.inputs import Split, whole_pass
from aista.engine.trackers import send_scores
from aista.errors import AistaError, RunError
from aista.files import remove_leftovers, require_writable
from aista.locks import locked
from aista.modules.llms.search import GenerationConfig
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths, searched_label, split_label, task_label, transcript_part_label
from aista.run_folder.sources import Source
from aista.schema import Component
from aista.scoring.base import Score
from aista.scoring.candidates import Candidate
from aista.scoring.hypotheses import HypothesisRow, sameness
from aista.scoring.length_sweep import LengthSweep, sweep_length_penalty
from aista.tasks.decoding import Decoded, Decoder

__all__ = ["evaluate"]

log = logging.getLogger("aista.evaluate")

_DecodedRow = tuple[HypothesisRow, Decoded]


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
    search: Mapping[str, Any] | None = None,
    metrics: Sequence[Component] = (),
    n_best: int = 0,
    length_penalties: Sequence[float] = (),
    row_task: str = "",
) -> Evaluation:
    """Translate a split and write hypotheses and scores into ``RUN/evaluation/LABEL``; trackers get the scores.

    The label is ``dev`` or ``test``, or ``STEM-HASH`` of a manifest; ``_transcript`` or ``_cascade-STEM-HASH`` is added
    where transcripts are translated, ``+task=TASK`` where rows have another task than the first of
    ``data.tasks``, ``+OPTION=VALUE`` for each search option that differs from the run's, and
    ``_step_N`` where the checkpoint is not the best one.

    Args:
        run_dir: Run folder, or a folder that ``aista export`` wrote.
        split: ``dev``, ``test``, or the path of a manifest.
        which: Checkpoint: ``best``, ``last`` or a step number.
        batch_size: Rows decoded together; 0 means the config's. Changes nothing but the speed.
        device: Device to decode on; empty means the GPU if there is one.
        base: Base weights by part, for an export of the trainable weights alone.
        verify: Compare the weights with their checksums first.
        shuffled_speech: Also measure the NLL of the references with another row's speech.
        text: Transcripts to translate in place of the speech.
        search: Options of ``GenerationConfig`` in place of the run's.
        metrics: Metrics in place of the run's. Existing hypotheses of this checkpoint and manifest are scored again,
            not decoded again, and scores of other metrics are kept.
        row_task: Task of the rows, among ``data.tasks``; empty: the first. For ``cot`` the translations are returned,
            and the transcripts are scored too, under a separate label (``+part=transcript``).
        n_best: Number of each search's hypotheses to write as an n-best list.
        length_penalties: Exponents under which the hypotheses of the search are also ranked and scored.

    Raises:
        AistaError: the search cannot give ``n_best`` hypotheses, or hypotheses to rank under other exponents.
        RunError: the folder cannot be written, holds results on another content of the split, or another process
            evaluates the split; the run translates no transcripts, or was not trained on the task.
        DataError: the split has faults, or transcripts are missing, also those that a metric needs.
        ConfigError: a metric cannot be built.
        ValueError: an option of the search is out of bounds.
    """
    paths = RunPaths(run_dir)
    require_writable(paths.evaluation_dir)
    run = open_run(run_dir, which, device=device, base=base, verify=verify)
    usual = run.experiment.sections.evaluation
    generation = replace(usual.generation, **(search or {}))
    chosen = choose_row_task(run.experiment, row_task, from_text=text is not None)
    if shuffled_speech and (text is not None or chosen == "mt"):
        raise RunError("--shuffled-speech needs speech as input, not transcripts; choose one of them")
    job = _Job(
        run=run,
        split=split,
        label=_label(run, split, text, generation, chosen),
        row_task=chosen,
        metrics=metrics,
        batch_size=batch_size or usual.batch_size,
        decoder=Decoder(run.experiment, run.task, generation, chooses_late=True),
        decodes=not metrics or shuffled_speech or n_best > 0 or len(length_penalties) > 0,
        shuffled_speech=shuffled_speech,
        text=text,
        n_best=n_best,
        length_penalties=length_penalties,
    )
    _check(job)
    with locked(paths.evaluation_lock(job.label), paths.scores_file(job.label).parent):
        evaluation = _evaluate(job, paths)
        evaluation.save(paths)
    send_scores(run_dir, run.experiment, evaluation)
    return evaluation


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Arguments of ``evaluate``; ``decodes``: decode even if there are hypotheses of the same source."""

    run: TrainedRun
    split: str
    label: str
    row_task: str
    metrics: Sequence[Component]
    batch_size: int
    decoder: Decoder
    decodes: bool
    shuffled_speech: bool
    text: TextInput | None
    n_best: int
    length_penalties: Sequence[float]


def _check(job: _Job) -> None:
    """Raise AistaError for arguments that the run does not support."""
    run, decoder = job.run, job.decoder
    if job.text is not None and not run.task.translates_text:
        raise RunError(
            f"{run.path}: a run of the task {run.experiment.sections.task} translates no transcripts; leave out "
            "--from-transcript and --transcripts, or name a run of another task"
        )
    if job.n_best:
        decoder.require_n_best(job.n_best)
    if job.length_penalties and not run.task.searches:
        raise AistaError("--sweep: this run's task does not search, so there is nothing to rerank; leave it out")
    if job.length_penalties and decoder.generation.mbr is not None:
        raise AistaError("--sweep: has no effect with mbr, which chooses by utility; add --mbr none")
    if job.length_penalties and job.split == "test":
        raise AistaError("--sweep: a length penalty that is chosen on test is fitted to it; add --split dev")


def _evaluate(job: _Job, paths: RunPaths) -> Evaluation:
    require_writable(paths.scores_file(job.label))
    remove_leftovers(paths.scores_file(job.label).parent, "*")
    run = job.run
    longest = job.decoder.generation.max_new_tokens
    data = run.load_split(job.split, max_new_tokens=longest, scored=True, row_task=job.row_task)
    scorer = _scorer(job, data)  # before a cascade replaces the transcripts that metrics may need
    source = replace(data.source(run.checkpoint.name), input="" if job.text is None else str(job.text))
    old = _replaced(paths, job.label, source)
    if old is not None and old.source == source and not job.decodes:
        log.info("%s: hypotheses of %s are there; scored again, not decoded again", run.path, source)
        return _scored(old, scorer, old)
    data = _read(job, data)
    loader = whole_pass(data, job.batch_size)
    speech = old.shuffled_speech if old is not None and old.source == source else None
    if job.shuffled_speech:
        speech = measure_shuffled_speech(run, loader).to_json()
    started = time.perf_counter()
    decoded = _decode(job, loader, scorer)
    seconds = time.perf_counter() - started
    decoded.sort(key=lambda pair: scorer.places[pair[0].id])
    rows = scorer.with_languages([row for row, _ in decoded])
    same = old if old is not None and list(old.rows) == rows else None  # what was asked for before stays
    evaluation = Evaluation(
        label=job.label,
        source=source,
        note=run.experiment.sections.corpus_note,
        scores=(),
        seconds=round(seconds, 3),
        rows=tuple(rows),
        shuffled_speech=speech,
        guarded_rows=sum(item.guarded for _, item in decoded) if job.decoder.generation.no_repeat_ngram else None,
        n_best=_n_best(job, decoded, same),
        length_sweep=_sweep(job, decoded, scorer, same),
    )
    if job.row_task == "cot":
        evaluation = _save_transcripts(job, paths, evaluation, data)
    return _scored(evaluation, scorer, old)


def _scorer(job: _Job, data: Split) -> Scorer:
    """Build the scorer of the split, and check everything that would otherwise fail after hours of decoding."""
    scorer = Scorer(job.run.experiment, job.metrics, job.row_task, data)
    job.decoder.prepare(scorer.target_languages(scorer.places), scorer.inputs, len(data.dataset.rows))
    if job.row_task == "cot" and job.decoder.needs:
        raise AistaError("--mbr: outputs of cot are two texts in one; choose a metric of texts only, such as chrf")
    return scorer


def _read(job: _Job, data: Split) -> Split:
    """The rows as the model takes them: encoder states from the cache, or texts alone."""
    if job.text is not None:
        return job.text.replace_speech(data, job.run.task)
    if job.row_task == "mt":
        return replace(data, dataset=data.dataset.texts_alone())
    return with_encoder_states(data, job.run.experiment, job.run.model, job.run.device)


def _scored(evaluation: Evaluation, scorer: Scorer, old: Evaluation | None) -> Evaluation:
    """The evaluation with its scores, followed by earlier scores of other metrics for the same hypotheses."""
    scores, directions = scorer.score(evaluation.rows)
    if old is not None and old.rows == evaluation.rows:
        scores, directions = (
            _joined(scores, old.scores),
            {name: _joined(found, old.directions.get(name, ())) for name, found in directions.items()},
        )
    return replace(evaluation, scores=scores, directions=directions)


def _n_best(job: _Job, decoded: Sequence[_DecodedRow], same: Evaluation | None) -> Mapping[str, tuple[Candidate, ...]]:
    if job.n_best:
        return {row.id: item.candidates[: job.n_best] for row, item in decoded}
    return {} if same is None else same.n_best


def _sweep(job: _Job, decoded: Sequence[_DecodedRow], scorer: Scorer, same: Evaluation | None) -> LengthSweep | None:
    if not job.length_penalties:
        return None if same is None else same.length_sweep
    rows, found = [row for row, _ in decoded], [item.candidates for _, item in decoded]
    marker = job.run.experiment.sections.data.cot_marker

    def score(texts: Sequence[str]) -> list[Score]:
        outputs = [replace(row, hypothesis=text) for row, text in zip(rows, texts, strict=True)]
        if job.row_task == "cot":
            outputs = split_chain(outputs, marker)[1]
        scores, _ = scorer.score(outputs)
        return list(scores)

    return sweep_length_penalty(job.length_penalties, found, score, own=job.decoder.generation.length_penalty)


def _joined(scores: tuple[Score, ...], others: tuple[Score, ...]) -> tuple[Score, ...]:
    names = {score.name for score in scores}
    return scores + tuple(score for score in others if score.name not in names)


def _save_transcripts(job: _Job, paths: RunPaths, evaluation: Evaluation, split: Split) -> Evaluation:
    """Write the transcripts of ``cot`` under a separate label; returns the evaluation of the translations."""
    marker = job.run.experiment.sections.data.cot_marker
    if without := sum(marker not in row.hypothesis for row in evaluation.rows):
        place, total = evaluation.label, len(evaluation.rows)
        log.warning(
            "%s: %d of %d outputs lack the marker %r: their translation is empty", place, without, total, marker
        )
    transcripts, translations = split_chain(evaluation.rows, marker)
    rows = split.dataset.rows
    split = replace(split, dataset=split.dataset.with_rows(rows.with_texts(tgt_lang=rows.column("src_lang"))))
    scorer = Scorer(job.run.experiment, (), "asr", split)
    said = replace(evaluation, label=transcript_part_label(evaluation.label), rows=tuple(transcripts))
    said = _scored(said, scorer, None)
    said.save(paths)
    scores = "  ".join(map(str, said.scores))
    log.info("%s: transcripts: %s; in %s", paths.path, scores, paths.scores_file(said.label).parent)
    return replace(evaluation, rows=tuple(translations))


def _label(run: TrainedRun, split: str, text: TextInput | None, generation: GenerationConfig, row_task: str) -> str:
    """The label of the results: the split's, with any non-default input, row task, search and checkpoint."""
    label = split_label(split) if text is None else text.label(split_label(split))
    if text is None and row_task != next(iter(run.experiment.sections.data.tasks), ""):
        label = task_label(label, row_task)
    usual = vars(run.experiment.sections.evaluation.generation)
    label = searched_label(label, {name: value for name, value in vars(generation).items() if value != usual[name]})
    is_best = is_exported(run.path) or run.checkpoint.step == find_checkpoint(run.path).step
    return label if is_best else f"{label}_{run.checkpoint.name}"


def _replaced(paths: RunPaths, label: str, source: Source) -> Evaluation | None:
    """The existing evaluation that one of ``source`` replaces; None where there is no readable one."""
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
def _decode(job: _Job, loader: BatchLoader, scorer: Scorer) -> list[_DecodedRow]:
    run, rows = job.run, list[_DecodedRow]()
    for batch in track(loader, description="decoding", total=len(loader), transient=True):
        languages, from_text = scorer.target_languages(batch.ids), job.text is not None
        decoded = job.decoder.decode(run.model, batch.to(run.device), from_text=from_text, languages=languages)
        cells = zip(batch.ids, batch.source_text, run.task.references(batch), decoded, strict=True)
        rows += [(HypothesisRow(id, source, reference, item.text), item) for id, source, reference, item in cells]
    ids = [row.id for row, _ in rows]
    inputs = scorer.inputs.at([scorer.places[id] for id in ids])
    chosen = job.decoder.choose([item for _, item in rows], inputs, scorer.target_languages(ids))
    rows = [(replace(row, hypothesis=item.text), item) for (row, _), item in zip(rows, chosen, strict=True)]
    if warning := sameness([row.hypothesis for row, _ in rows], [row.reference for row, _ in rows]):
        log.warning("%s: %s", run.path, warning)
    return rows
