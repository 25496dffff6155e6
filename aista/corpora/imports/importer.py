"""``aista data import``: converts rows of any source to manifests, measures audio, makes splits without overlap."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path

from aista.corpora.imports.audio_store import AUDIO_FOLDER, AudioStore, SegmentError
from aista.corpora.imports.collected_rows import CollectedRows
from aista.corpora.imports.import_folder import ImportFolder
from aista.corpora.imports.import_report import ImportReport, Reasons, SplitSize
from aista.corpora.imports.row_spool import MeasuredFiles, RowSpool
from aista.corpora.imports.source_rows import ImportOptions, OpenedPart, RawRow, open_parts
from aista.data.audio_file import EmptyAudioError, MissingAudioError
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row
from aista.data.manifest_writer import ManifestWriter
from aista.data.word_times import check_word_times
from aista.errors import DataError

__all__ = ["import_corpus"]

Progress = Callable[[str, int, int], None]
_WINDOW = 256  # rows whose audio is looked at together
_FAULTS = {
    MissingAudioError: "audio file is missing",
    EmptyAudioError: "audio is empty or silent",
    SegmentError: "segment is not within its recording",
}


def import_corpus(out: Path, sources: Sequence[str], options: ImportOptions, progress: Progress) -> ImportReport:
    """Import sources into a new folder: a manifest for each split, stored audio, and a report.

    Memory grows by about half a kilobyte a row. An import that was interrupted leaves no manifest that is not whole;
    the same command goes on, and decodes nothing again.

    Args:
        out: The folder to make.
        sources: Each a path or name, or ``SPLIT=`` and one.
        options: Options of the import.
        progress: Called as ``progress(stage, done, total)``.

    Raises:
        AistaError: a source cannot be read, has no such column, names an id twice, or no row is left for a split; or
            ``out`` holds something else.
    """
    parts = open_parts(sources, options)
    folder = ImportFolder(out)
    request = {"sources": list(sources), **asdict(options)}
    with folder.filling(request, overwrite=options.overwrite), ExitStack() as stack:
        spool = stack.enter_context(closing(RowSpool(folder.spool)))
        measured = stack.enter_context(closing(MeasuredFiles(folder.measured, out)))
        collected, dropped, noted = CollectedRows(spool), Reasons(), Reasons()
        for part in parts:
            _collect(part, parts, collected, measured, out, (dropped, noted), progress)
        _require_rows(parts, collected, dropped)
        names, codes, how = collected.split(options.shares)
        sizes, stored = _write(out, collected, names, codes.tolist(), progress)
        report = ImportReport(
            out,
            tuple(map(str, parts)),
            sizes,
            how,
            dropped,
            noted,
            collected.num_duplicates(),
            collected.num_repeated_audio(),
            collected.overlaps(names, codes),
            collected.languages,
        )
        folder.finish(request, report.to_json(), str(report), stored)
    return report


def _collect(
    part: OpenedPart,
    parts: Sequence[OpenedPart],
    collected: CollectedRows,
    measured: MeasuredFiles,
    out: Path,
    reasons: tuple[Reasons, Reasons],
    progress: Progress,
) -> None:
    """Read a part's rows, check their audio in threads, and keep the usable ones."""
    dropped, noted = reasons
    store = AudioStore(out, part.part.folders)
    totals = [other.part.total for other in parts]
    rows = part.rows()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while window := list(islice(rows, _WINDOW)):
            ids = ["" if raw.fault else collected.name(raw) for raw in window]
            for raw, outcome in zip(window, pool.map(partial(_row, store, measured), window, ids), strict=True):
                if isinstance(outcome, str):
                    dropped.add(outcome, raw.place)
                    continue
                row, note = outcome
                collected.add(row, raw)
                for text in filter(None, (note, raw.note)):
                    noted.add(text, raw.place)
            collected.done += len(window)
            measured.flush()
            progress("rows", collected.done, max(collected.done, sum(total or 0 for total in totals)))


def _row(store: AudioStore, measured: MeasuredFiles, raw: RawRow, id: str) -> tuple[Row, str] | str:
    """The manifest's row with notes, or the reason why there is none."""
    if raw.fault:
        return raw.fault
    texts = raw.texts
    row = Row(
        id,
        audio="",
        n_frames=0,
        tgt_text=texts.get("tgt_text", ""),
        speaker=texts.get("speaker", ""),
        src_text=texts.get("src_text", ""),
        src_lang=texts["src_lang"],
        tgt_lang=texts["tgt_lang"],
        word_times=texts.get("word_times", ""),
        task=texts.get("task", ""),
    )
    if raw.recording is not None:
        try:
            row = replace(row, audio=store.place(raw.recording, id.removesuffix(raw.suffix)))
            info = measured.probe(row.audio)
        except DataError as error:
            return _FAULTS.get(type(error), "audio cannot be decoded")
        row = replace(row, n_frames=round(info.seconds * MANIFEST_SAMPLE_RATE))
    if not row.word_times:
        return row, ""
    try:
        check_word_times(row.word_times, row.src_text, row.seconds)
    except ValueError:
        return replace(row, word_times=""), "word_times do not fit the transcript or the audio: left empty"
    return row, ""


def _require_rows(parts: Sequence[OpenedPart], collected: CollectedRows, dropped: Reasons) -> None:
    reasons = "; ".join(dropped.lines()) or "there was none"
    if not collected.done or not collected.count:
        raise DataError(f"{', '.join(part.part.name for part in parts)}: no row can be used: {reasons}")
    empty = sorted({part.split for part in parts if part.split} - set(collected.names))
    if empty:
        names = ", ".join(part.part.name for part in parts if part.split in empty)
        raise DataError(f"{names}: no row of {', '.join(empty)} can be used: {reasons}; mend it, or leave it out")


def _write(
    out: Path, collected: CollectedRows, names: Sequence[str], codes: Sequence[int], progress: Progress
) -> tuple[dict[str, SplitSize], set[str]]:
    """Write the manifests. Returns the size of each, and which stored audio they name."""
    sizes = {name: SplitSize() for name in names}
    stored: set[str] = set()
    with ExitStack() as stack:
        writers = [stack.enter_context(ManifestWriter(out / f"{name}.tsv", collected.columns)) for name in names]
        for done, (row, code) in enumerate(zip(_rows(collected), codes, strict=True), 1):
            writers[code].write(row)
            _count(sizes[names[code]], row)
            if row.audio.startswith(f"{AUDIO_FOLDER}/"):
                stored.add(row.audio)
            if done % _WINDOW == 0 or done == collected.count:
                progress("writing", done, collected.count)
    return sizes, stored


def _rows(collected: CollectedRows) -> Iterator[Row]:
    return (row for row, _ in collected.spool.rows())


def _count(size: SplitSize, row: Row) -> None:
    size.rows += 1
    size.seconds += row.seconds
    size.longest = max(size.longest, row.seconds)
    size.without_transcript += not row.src_text
    size.without_translation += not row.tgt_text
