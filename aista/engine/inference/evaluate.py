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
from aista.engine.inference.text_input import TextInput
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.engine.inputs import Split, whole_pass
from aista.engine.trackers import send_scores
from aista.errors import AistaError, RunError
from aista.files import remove_leftovers, require_writable
from aista.locks import locked
from aista.modules.llms.search import GenerationConfig
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.paths import RunPaths, searched_label, split_label
from aista.run_folder.sources import Source
from aista.schema import Component
from aista.scoring.base import Metric, Score
from aista.scoring.candidates import Candidate
from aista.scoring.hypotheses import HypothesisRow, sameness
from aista.scoring.length_sweep import LengthSweep, sweep_length_penalty
from aista.scoring.utterance_inputs import UtteranceInputs
from aista.tasks.decoding import Decoded, Decoder
from aista.tasks.preflight import build_metrics

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
) -> Evaluation:
    """Translate a split and write hypotheses and scores into ``RUN/evaluation/LABEL``.

    The label is ``dev`` or ``test``, or ``STEM-HASH`` of a manifest; ``_transcript`` or ``_cascade-STEM-HASH`` is added
    where transcripts are translated, ``+OPTION=VALUE`` for each option of the search that is not the run's, and
    ``_step_N`` where the checkpoint is not the best one.

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
        search: Options of ``GenerationConfig`` in place of the run's.
        metrics: Metrics in place of the run's. Hypotheses of this checkpoint and manifest that are there are scored
            again, not decoded again, and scores of other metrics stay.
        n_best: How many of the texts that each search found are written beside the hypotheses.
        length_penalties: Exponents under which what the search found is ranked and scored, too.

    Raises:
        AistaError: the search does not find ``n_best`` texts, or none that can be ranked under other exponents.
        RunError: the folder cannot be written, holds results on another content of the split, or another process
            evaluates the split; the run translates no transcripts.
        DataError: the split has faults, or transcripts are missing, also those that a metric needs.
        ConfigError: a metric cannot be built.
        ValueError: an option of the search is out of bounds.
    """
    if text is not None and shuffled_speech:
        raise RunError("--shuffled-speech measures the speech, which transcripts replace; choose one of them")
    paths = RunPaths(run_dir)
    require_writable(paths.evaluation_dir)
    run = open_run(run_dir, which, device=device, base=base, verify=verify)
    usual = run.experiment.sections.evaluation
    generation = replace(usual.generation, **(search or {}))
    job = _Job(
        run=run,
        split=split,
        label=_label(run, split, text, generation),
        batch_size=batch_size or usual.batch_size,
        decoder=Decoder(run.experiment, run.task, generation),
        metrics=build_metrics(run.experiment, metrics),
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
    """What ``evaluate`` was asked for; ``decodes``: even if there are hypotheses of the same source."""

    run: TrainedRun
    split: str
    label: str
    batch_size: int
    decoder: Decoder
    metrics: Sequence[Metric]
    decodes: bool
    shuffled_speech: bool
    text: TextInput | None
    n_best: int
    length_penalties: Sequence[float]


def _check(job: _Job) -> None:
    """Raise AistaError where what is asked for cannot be."""
    run, decoder = job.run, job.decoder
    if job.text is not None and not run.task.translates_text:
        raise RunError(
            f"{run.path}: a run of the task {run.experiment.sections.task} translates no transcripts; leave out "
            "--from-transcript and --transcripts, or name a run of another task"
        )
    if job.n_best:
        decoder.require_n_best(job.n_best)
    if job.length_penalties and not run.task.searches:
        raise AistaError("--sweep: this run's task does not search, so nothing can be ranked anew; leave it out")
    if job.length_penalties and decoder.generation.mbr is not None:
        raise AistaError("--sweep: mbr chooses by its utility, not by the length penalty; add --mbr none")
    if job.length_penalties and job.split == "test":
        raise AistaError("--sweep: a length penalty that is chosen on test is fitted to it; add --split dev")


def _evaluate(job: _Job, paths: RunPaths) -> Evaluation:
    require_writable(paths.scores_file(job.label))
    remove_leftovers(paths.scores_file(job.label).parent, "*")
    run = job.run
    data = run.load_split(job.split, max_new_tokens=job.decoder.generation.max_new_tokens, scored=True)
    source = replace(data.source(run.checkpoint.name), input="" if job.text is None else str(job.text))
    old = _replaced(paths, job.label, source)
    spoken = _Spoken.of(data, job.metrics)  # before a cascade replaces its transcripts, and before hours of decoding
    if old is not None and old.source == source and not job.decodes:
        log.info("%s: hypotheses of %s are there; scored again, not decoded again", run.path, source)
        return replace(old, scores=_scores(job.metrics, old.rows, spoken, old))
    if job.text is None:
        data = with_encoder_states(data, run.experiment, run.model, run.device)
    else:
        data = job.text.replace_speech(data, run.task)
    loader = whole_pass(data, job.batch_size)
    speech = old.shuffled_speech if old is not None and old.source == source else None
    if job.shuffled_speech:
        speech = measure_shuffled_speech(run, loader).to_json()
    started = time.perf_counter()
    decoded = _decode(job, loader)
    seconds = time.perf_counter() - started
    decoded.sort(key=lambda pair: spoken.places[pair[0].id])
    rows = [row for row, _ in decoded]
    warning = sameness([row.hypothesis for row in rows], [row.reference for row in rows])
    if warning:
        log.warning("%s: %s", run.path, warning)
    same = old if old is not None and list(old.rows) == rows else None  # what was asked for before stays
    return Evaluation(
        label=job.label,
        source=source,
        note=run.experiment.sections.corpus_note,
        scores=_scores(job.metrics, rows, spoken, old),
        seconds=round(seconds, 3),
        rows=tuple(rows),
        shuffled_speech=speech,
        guarded_rows=sum(item.guarded for _, item in decoded) if job.decoder.generation.no_repeat_ngram else None,
        n_best=_n_best(job, decoded, same),
        length_sweep=_sweep(job, decoded, spoken, same),
    )


def _n_best(job: _Job, decoded: Sequence[_DecodedRow], same: Evaluation | None) -> Mapping[str, tuple[Candidate, ...]]:
    if job.n_best:
        return {row.id: item.candidates[: job.n_best] for row, item in decoded}
    return {} if same is None else same.n_best


def _sweep(job: _Job, decoded: Sequence[_DecodedRow], spoken: _Spoken, same: Evaluation | None) -> LengthSweep | None:
    if not job.length_penalties:
        return None if same is None else same.length_sweep
    rows, found = [row for row, _ in decoded], [item.candidates for _, item in decoded]

    def score(texts: Sequence[str]) -> list[Score]:
        return _score(job.metrics, [replace(row, hypothesis=t) for row, t in zip(rows, texts, strict=True)], spoken)

    return sweep_length_penalty(job.length_penalties, found, score, own=job.decoder.generation.length_penalty)


@dataclass(frozen=True)
class _Spoken:
    """What metrics may need of the utterances of a split, and where each is in it."""

    inputs: UtteranceInputs
    places: Mapping[str, int]

    @classmethod
    def of(cls, split: Split, metrics: Sequence[Metric]) -> _Spoken:
        """Raises DataError where a row lacks what a metric needs."""
        rows, base = split.dataset.rows, split.inspections[0].manifest.resolve().parent
        audio = [str(base / path) if path else "" for path in rows.texts("audio")]
        inputs = UtteranceInputs(rows.texts("src_text"), audio)
        for metric in metrics:
            inputs.of(metric.needs, len(rows), metric.name)
        return cls(inputs, {id: place for place, id in enumerate(rows.texts("id"))})

    def of_rows(self, rows: Sequence[HypothesisRow]) -> UtteranceInputs:
        """In the order of the hypotheses."""
        return self.inputs.at([self.places[row.id] for row in rows])


def _scores(
    metrics: Sequence[Metric], rows: Sequence[HypothesisRow], spoken: _Spoken, old: Evaluation | None
) -> tuple[Score, ...]:
    """The scores of the metrics, and after them those of other metrics that the same hypotheses had."""
    scores = _score(metrics, rows, spoken)
    names = {score.name for score in scores}
    kept = old.scores if old is not None and list(old.rows) == list(rows) else ()
    return tuple(scores + [score for score in kept if score.name not in names])


def _score(metrics: Sequence[Metric], rows: Sequence[HypothesisRow], spoken: _Spoken) -> list[Score]:
    hypotheses, references = [row.hypothesis for row in rows], [row.reference for row in rows]
    inputs = spoken.of_rows(rows)
    return [metric.score(hypotheses, references, inputs) for metric in metrics]


def _label(run: TrainedRun, split: str, text: TextInput | None, generation: GenerationConfig) -> str:
    """The split's, with all that is not as usual: the input, the search, the checkpoint."""
    label = split_label(split) if text is None else text.label(split_label(split))
    usual = vars(run.experiment.sections.evaluation.generation)
    label = searched_label(label, {name: value for name, value in vars(generation).items() if value != usual[name]})
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
def _decode(job: _Job, loader: BatchLoader) -> list[_DecodedRow]:
    run, rows = job.run, list[_DecodedRow]()
    for batch in track(loader, description="decoding", total=len(loader), transient=True):
        decoded = job.decoder.decode(run.model, batch.to(run.device), from_text=job.text is not None)
        cells = zip(batch.ids, batch.source_text, run.task.references(batch), decoded, strict=True)
        rows += [(HypothesisRow(id, source, reference, item.text), item) for id, source, reference, item in cells]
    return rows
