"""``aista data align``: word times of a manifest's transcripts, by CTC forced alignment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aista.data.inspection import Inspection, inspect
from aista.data.manifest import Manifest, Row, read_manifest
from aista.data.manifest_columns import moved_audio, write_columns
from aista.data.spelling import Spelling, spell
from aista.data.word_times import Times, format_word_times, parse_word_times
from aista.engine.inference.acoustic_model import AcousticModel, open_acoustic_model
from aista.engine.inference.aligned_row import AlignedRow, TokenSpan, time_words
from aista.engine.inference.alignment_report import AlignmentReport
from aista.engine.inputs import whole_pass
from aista.errors import DataError, RunError
from aista.files import require_writable
from aista.modules.ctc_alignment import align_tokens
from aista.scoring.boundary_error import boundary_errors
from aista.terminal import stage_bars
from aista.types import SpeechBatch, length_mask

__all__ = ["AlignmentOptions", "align_manifest"]


@dataclass(frozen=True)
class AlignmentOptions:
    """Options of aligning a manifest.

    Attributes:
        batch_size: Recordings encoded together. Encoded alone, a row's times are a function of its recording; beside
            others the last bits of its states may differ, which decides between paths that are equally probable.
        min_confidence: Words whose tokens have a lower mean posterior are left empty.
        shift: Seconds by which the model's peaks are late: tokens are moved to earlier times by it.
        existing: Rows that have word times already are an error, kept, or aligned anew.
        max_seconds: Longest recording; 0 takes the run's bound.
        overwrite: Whether the output may replace a file.
        compare: Manifest with the same rows, whose word times are the reference.
    """

    batch_size: int = 1
    min_confidence: float = 0.05
    shift: float = 0.0
    existing: Literal["refuse", "keep", "replace"] = "refuse"
    max_seconds: float = 0.0
    overwrite: bool = False
    compare: Path | None = None


def align_manifest(
    path: Path,
    out: Path,
    encoder: Path,
    options: AlignmentOptions,
    *,
    which: str = "best",
    device: str = "",
    base: Mapping[str, Path] | None = None,
    verify: bool = True,
) -> AlignmentReport:
    """Write a manifest with the column ``word_times`` filled, and return a report on the rows.

    Args:
        path: The manifest.
        out: The new manifest; its audio paths lead to the same files.
        encoder: The CTC model; see ``open_acoustic_model`` for it and for what else is said of it.
        options: Options of the alignment.
        which: Checkpoint of a run.
        device: Device to run the model on.
        base: Base weights of an export.
        verify: Compare weights with their checksums.

    Raises:
        DataError: ``out`` exists, rows have word times already, no word could be given a time, or, once ``out`` is
            written, no word has a time in the reference too.
        RunError: the model cannot be opened or puts out NaN, or ``out`` cannot be written.
    """
    started = time.perf_counter()
    manifest = read_manifest(path)
    _check_output(manifest, out, options)
    reference = None if options.compare is None else _read_reference(manifest, options.compare)
    require_writable(out)
    acoustic = open_acoustic_model(encoder, which, device=device, base=base, verify=verify)
    inspection = _inspect(manifest, acoustic, options)
    aligned = _align(acoustic, str(path), inspection, options) if inspection.kept else {}
    report = AlignmentReport(out, len(manifest.rows), inspection, aligned, options.min_confidence)
    kept = {row.id: row.word_times for row in manifest.rows if row.word_times and options.existing == "keep"}
    if not report.num_timed and not kept:
        raise DataError(f"{path}: no word got a time, and nothing was written; fix the causes:\n{report}")
    texts = [
        format_word_times(aligned[row.id].times) if row.id in aligned else kept.get(row.id, "") for row in manifest.rows
    ]
    write_columns(manifest, out, {"audio": moved_audio(manifest, out), "word_times": texts})
    report = replace(report, seconds=time.perf_counter() - started)
    if reference is None:
        return report
    try:
        errors = boundary_errors([(row.times, reference.get(id, [])) for id, row in aligned.items()])
    except DataError as error:
        raise DataError(f"--compare {options.compare}: {error}; the new manifest was written:\n{report}") from error
    return replace(report, errors=errors)


def _check_output(manifest: Manifest, out: Path, options: AlignmentOptions) -> None:
    if out.is_dir():
        raise DataError(f"{out}: must be the file of the new manifest, got a folder; name a file in it")
    if out.is_file() and not options.overwrite:
        raise DataError(f"{out}: exists already; name another file, or add --overwrite")
    filled = [row.id for row in manifest.rows if row.word_times]
    if filled and options.existing == "refuse":
        raise DataError(
            f"{manifest.path}: {len(filled)} of {len(manifest.rows)} rows have word_times already, e.g. {filled[0]}; "
            "--existing keep leaves these as they are, --existing replace aligns them anew"
        )


def _read_reference(manifest: Manifest, path: Path) -> dict[str, Sequence[Times]]:
    """Id -> the reference's times of each word."""
    transcripts = {row.id: row.src_text for row in manifest.rows}
    reference = dict[str, Sequence[Times]]()
    for row in read_manifest(path).rows:
        if row.word_times and row.id in transcripts:
            if row.src_text != transcripts[row.id]:
                raise DataError(
                    f"{path}:{row.line}: {row.id} has another src_text than in {manifest.path}; compare word times of "
                    "the same transcripts"
                )
            reference[row.id] = parse_word_times(row.word_times)
    if not any(any(times) for times in reference.values()):
        raise DataError(
            f"{path}: holds no word_times of a row of {manifest.path}; name a manifest with the same ids and with times"
        )
    return reference


def _inspect(manifest: Manifest, acoustic: AcousticModel, options: AlignmentOptions) -> Inspection:
    """The rows that can be aligned, and the reasons for the others."""

    def reject(row: Row) -> str:
        if not row.src_text:
            return "no transcript"
        if not row.audio:
            return "no audio"
        return "word times kept" if row.word_times and options.existing == "keep" else ""

    longest = options.max_seconds or acoustic.data.max_seconds
    shortest = min(acoustic.data.min_seconds, longest)
    data = replace(acoustic.data, min_seconds=shortest, max_seconds=longest, max_batch_seconds=0.0)
    with stage_bars() as progress:
        inspection = inspect(
            manifest,
            data,
            needs_target=False,
            reject=reject,
            progress=partial(progress, f"checking {manifest.path}"),
        )
    return inspection.within(acoustic.limits)


def _align(
    acoustic: AcousticModel, name: str, inspection: Inspection, options: AlignmentOptions
) -> dict[str, AlignedRow]:
    """Id -> words of the rows that the model can read."""
    rows = {row.id: row for row in inspection.kept}
    aligned = dict[str, AlignedRow]()
    with stage_bars() as progress:
        for batch in whole_pass(acoustic.load(name, inspection), options.batch_size):
            spellings = [spell(rows[id].src_text, acoustic.tokenizer) for id in batch.ids]
            for id, spelling, (spans, num_frames) in zip(
                batch.ids, spellings, _spans(acoustic, batch, spellings), strict=True
            ):
                seconds = rows[id].seconds
                aligned[id] = time_words(
                    spelling,
                    spans,
                    frame_seconds=acoustic.feature.covered_seconds(seconds) / num_frames,
                    seconds=seconds,
                    min_confidence=options.min_confidence,
                    shift=options.shift,
                )
            progress("aligning", len(aligned), len(rows))
    return aligned


def _spans(
    acoustic: AcousticModel, batch: SpeechBatch, spellings: Sequence[Spelling]
) -> Iterator[tuple[list[TokenSpan] | None, int]]:
    """Spans of the tokens of each row (None without a valid path), and its number of frames."""
    batch = batch.to(acoustic.device)
    log_probs_BSV, lengths = acoustic.model.log_probs(batch.audio, batch.audio_lengths, encoded=batch.encoded)
    _require_numbers(log_probs_BSV, lengths, batch.ids)
    tokens = [torch.tensor(spelling.ids, dtype=torch.int64) for spelling in spellings]
    tokens_BT, counts = pad_sequence(tokens, batch_first=True), [len(ids) for ids in tokens]
    lengths = lengths.cpu()  # the best path takes many small steps, for which a GPU is of no use
    aligned = align_tokens(log_probs_BSV.cpu(), lengths, tokens_BT, torch.tensor(counts))
    columns = [values.tolist() for values in (aligned.first, aligned.end, aligned.posterior)]
    for row, (count, frames) in enumerate(zip(counts, lengths.tolist(), strict=True)):
        has_path = bool(aligned.score[row].isfinite())
        spans = [TokenSpan(*(column[row][token] for column in columns)) for token in range(count)]
        yield spans if has_path else None, frames


def _require_numbers(log_probs: Tensor, lengths: Tensor, ids: Sequence[str]) -> None:
    """Raise an error for NaN posteriors, which would otherwise look like rows with too few frames."""
    bad_B = (log_probs.isnan().any(2) & length_mask(lengths, log_probs.size(1))).any(1)
    broken = [id for id, bad in zip(ids, bad_B.tolist(), strict=True) if bad]
    if broken:
        raise RunError(
            f"--encoder: the model's outputs must be numbers, got NaN for {broken[0]}; restore its weights, or choose "
            "another checkpoint"
        )
