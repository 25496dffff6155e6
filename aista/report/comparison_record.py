"""A comparison as plain data with full precision, and the notes below its table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aista.data.id_table import some_of
from aista.files import hash_file
from aista.report.groups import GroupRow
from aista.report.report_options import ComparisonOptions
from aista.report.summary import Summary
from aista.report.text_scores import of_references
from aista.run_folder.contents import RunFolder
from aista.run_folder.sources import differing_data
from aista.scoring.hypotheses import sameness
from aista.scoring.significance import SystemScore

__all__ = ["comparison_notes", "comparison_record"]


def comparison_record(
    summary: Summary,
    options: ComparisonOptions,
    *,
    subset: Path | None = None,
    column: str = "",
    groups: Sequence[GroupRow] = (),
    by_task: Sequence[GroupRow] = (),
) -> dict[str, Any]:
    """The record that ``aista compare --out`` writes.

    Args:
        summary: The comparison.
        options: Its options.
        subset: File of the ids that it is restricted to.
        column: The manifest's column that defines ``groups``.
        groups: The rows of ``group_rows``.
        by_task: The rows of ``read_task_groups``.
    """
    return {
        "options": asdict(options),
        "task": summary.test_set.task,
        "directions": list(summary.test_set.directions),
        "num_utterances": len(summary.rows),
        "subset": None if subset is None else {"file": str(subset.resolve()), "sha256": hash_file(subset)},
        "sources": {label: source.to_json() for label, source in summary.sources.items()},
        "signatures": summary.signatures,
        "scores": {system.name: dict(system.scores) for system in summary.systems},
        "differences": {
            comparison.metric: {
                system.name: _difference(system) for system in comparison.systems if system.p_value is not None
            }
            for comparison in summary.comparisons
        },
        "by_task": [asdict(row) for row in by_task],
        "by": column,
        "groups": [asdict(row) for row in groups],
    }


def comparison_notes(
    summary: Summary,
    folders: Mapping[str, RunFolder],
    only: Collection[str] | None = None,
) -> Iterator[str]:
    """Notes on a comparison: signatures, rows left out, sources of the hypotheses, and warnings.

    Warnings are for unknown ids of a subset (``only``), different data, unfinished training and equal hypotheses.
    """
    yield from (f"{name}: {signature}" for name, signature in summary.signatures.items())
    yield from of_references(summary.metrics, summary.references, summary.inputs)
    yield from summary.test_set.notes
    yield from (f"{label}: {source}" for label, source in summary.sources.items())
    unknown = sorted(set(only or ()) - {row.id for row in summary.rows})
    if unknown:
        yield (
            f"{len(unknown)} of {len(only or ())} ids of the subset are not among the evaluated utterances and were "
            f"ignored: {some_of(unknown, 5)}"
        )
    warning = differing_data(summary.sources)
    if warning:
        yield f"WARNING: {warning}"
    for label, folder in folders.items():
        if not folder.paths.is_complete:
            yield f"WARNING: {label}: its training is not complete"
    for label, hypotheses in summary.hypotheses.items():
        warning = sameness(hypotheses, summary.references)
        if warning:
            yield f"WARNING: {label}: {warning}"


def _difference(system: SystemScore) -> dict[str, Any]:
    interval = asdict(system.difference_interval)
    return {"difference": system.difference, "interval": interval, "p_value": system.p_value}
