"""Expands rows of a manifest to one row per task."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aista.data.data_config import DataConfig
from aista.data.inspection import Inspection
from aista.data.manifest_rows import Rows
from aista.data.row_tasks import TASKS
from aista.errors import DataError

__all__ = ["for_tasks", "rows_alike", "rows_of_tasks"]

log = logging.getLogger("aista.data")


def for_tasks(inspections: Sequence[Inspection], tasks: Sequence[str], config: DataConfig) -> tuple[Inspection, ...]:
    """Expand the rows of each manifest by tasks, see ``rows_of_tasks``, and log their numbers.

    Raises:
        DataError: a row names another task, or no row can be used for one.
    """
    made = tuple(rows_of_tasks(one, tasks, config.cot_marker, known=config.tasks) for one in inspections)
    counts = {name: sum(inspection.task_rows[name] for inspection in made) for name in tasks}
    log.info("data.tasks: %s", ", ".join(f"{count:,} rows {name}" for name, count in counts.items()))
    for name, count in counts.items():
        if not count:
            raise DataError(
                f"{inspections[0].manifest}: no row can be used for the task {name} (data.tasks), which needs "
                f"{', '.join(TASKS[name].needs)}; fill these columns, or remove {name} from data.tasks"
            )
    return made


def rows_of_tasks(inspection: Inspection, tasks: Sequence[str], marker: str, *, known: Sequence[str]) -> Inspection:
    """The kept rows as each task reads and writes them, one task after the other; counted in ``task_rows``.

    A row makes a row of each task that it has the fields for, under its own id; if its column ``task`` names one, of
    that alone. The column holds the row's task then, and ``tgt_text`` and ``tgt_lang`` are what is written: in ``asr``
    the transcript, in ``cot`` transcript, marker and translation.

    Args:
        inspection: Inspection of the manifest.
        tasks: Names in ``TASKS``.
        marker: Stands between the two texts of ``cot``, with a space on each side.
        known: Tasks that rows may name; those of them that are not among ``tasks`` are left out and counted.

    Raises:
        DataError: a row names an unknown task, or one that is not known, or a transcript for ``cot`` holds the marker.
    """
    rows = inspection.kept
    _check_names(inspection, known)
    if "cot" in tasks:
        _check_marker(inspection, marker)
    parts: list[Rows] = []
    places: list[NDArray[np.int64]] = []
    used = np.zeros(len(rows), dtype=bool)
    for name in tasks:
        named = rows.column("task")
        mask = pc.is_in(named, pa.array(["", name], pa.string())).to_numpy()
        for field in TASKS[name].needs:
            mask = mask & rows.is_filled(field)
        used |= mask
        places.append(_once(rows, np.flatnonzero(mask), name))
        parts.append(_as_task(rows.take(places[-1]), name, marker))
    unused = len(rows) - int(used.sum())
    reason = f"for none of the tasks {', '.join(tasks)}: a text is missing, or the column task names another"
    return replace(
        inspection,
        kept=Rows.joined(parts),
        durations=np.concatenate([_durations(inspection, *pair) for pair in zip(tasks, places, strict=True)]),
        set_aside=inspection.set_aside | ({reason: unused} if unused else {}),
        task_rows={name: len(part) for name, part in zip(tasks, parts, strict=True)},
    )


def rows_alike(rows: Rows, manifest: Path, *, usual: str) -> Rows:
    """The rows with the column ``task`` ignored, for a run with a single task.

    Args:
        rows: Rows of the manifest.
        manifest: For messages.
        usual: The task that they are all for; empty where the run has another use for rows than these tasks.

    Raises:
        DataError: a row names another task than the usual.
    """
    found = set(pc.unique(rows.column("task")).to_pylist())
    names = found - {"", usual}
    if usual and names:
        count = int(pc.sum(pc.is_in(rows.column("task"), pa.array(sorted(names), pa.string()))).as_py())
        row = next(row for row in rows if row.task in names)
        raise DataError(
            f"{manifest}:{row.line}: {row.id}: task must be empty or {usual} where data.tasks is empty, got "
            f"{row.task!r} (such are {count:,} of {len(rows):,} rows); name them in data.tasks, or empty "
            "the column"
        )
    return rows if found <= {""} else rows.with_texts(task=pa.repeat(pa.scalar("", pa.string()), len(rows)))


def _once(rows: Rows, places: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """The indices of a task's rows, without duplicates in input and output."""
    task = TASKS[name]
    if task.target == "tgt_text":
        return places
    columns = [rows.column(field).take(pa.array(places)).combine_chunks() for field in (*task.needs, "src_lang")]
    codes = np.stack([pc.dictionary_encode(column).indices.to_numpy() for column in columns], axis=1)
    first = np.sort(np.unique(codes, axis=0, return_index=True)[1])
    if repeated := len(places) - len(first):
        log.info(
            "data.tasks: %s: left out %s rows of a recording and transcript that another has", name, f"{repeated:,}"
        )
    return places[first]


def _durations(inspection: Inspection, name: str, places: NDArray[np.int64]) -> NDArray[np.float64]:
    return inspection.durations[places] if "audio" in TASKS[name].needs else np.zeros(len(places))


def _check_names(inspection: Inspection, known: Sequence[str]) -> None:
    for name in sorted(set(pc.unique(inspection.kept.column("task")).to_pylist()) - {"", *known}):
        row = next(row for row in inspection.kept if row.task == name)
        place = f"{inspection.manifest}:{row.line}: {row.id}"
        if name not in TASKS:
            raise DataError(f"{place}: task must be one of {', '.join(TASKS)} or empty, got {name!r}; correct it")
        raise DataError(
            f"{place}: task must be one of data.tasks [{', '.join(known)}], got {name!r}; add it there, or remove "
            "the row"
        )


def _check_marker(inspection: Inspection, marker: str) -> None:
    """Refuse transcripts with the marker in them: outputs are split at the first one."""
    rows = inspection.kept
    for_cot = pc.is_in(rows.column("task"), pa.array(["", "cot"], pa.string()))
    held = pc.and_(pc.match_substring(rows.column("src_text"), marker), for_cot).to_numpy()
    if held.any():
        row = rows[int(np.flatnonzero(held)[0])]
        raise DataError(
            f"{inspection.manifest}:{row.line}: {row.id}: src_text must not hold data.cot_marker {marker!r}, which "
            f"ends the transcript in the task cot, got it in {int(held.sum()):,} of {len(rows):,} rows; choose another "
            "marker, or correct the transcripts"
        )


def _as_task(rows: Rows, name: str, marker: str) -> Rows:
    rows = rows.with_texts(task=pa.repeat(pa.scalar(name, pa.string()), len(rows)))
    if TASKS[name].target == "src_text":
        rows = rows.with_texts(tgt_text=rows.column("src_text"), tgt_lang=rows.column("src_lang"))
    if name == "cot":
        both = pc.binary_join_element_wise(rows.column("src_text"), rows.column("tgt_text"), f" {marker} ")
        rows = rows.with_texts(tgt_text=both)
    if "audio" not in TASKS[name].needs:
        nothing = pa.repeat(pa.scalar("", pa.string()), len(rows))
        rows = rows.with_texts(audio=nothing, word_times=nothing).with_frames(np.zeros(len(rows), np.int64))
    return rows
