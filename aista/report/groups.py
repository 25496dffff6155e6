"""Scores of saved hypotheses by groups of utterances, defined by a column of the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from aista.data.id_table import some_of
from aista.errors import DataError
from aista.report.metric_inputs import evaluated_manifest
from aista.report.report_options import ComparisonOptions
from aista.report.tables import Table, difference_cells, label_of, text_of
from aista.run_folder.sources import Source
from aista.scoring.base import Metric
from aista.scoring.holm import holm
from aista.scoring.significance import Interval, SystemScore, paired_bootstrap
from aista.scoring.utterance_inputs import NO_INPUTS, UtteranceInputs

__all__ = ["GroupRow", "corrected", "group_rows", "group_table", "read_groups"]

MAX_GROUPS = 100


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One system on one group. None: the system is the baseline.

    Attributes:
        group: The value that the group's utterances share.
        num_utterances: Number of utterances in the group.
        system: Label.
        scores: Metric -> value.
        difference: In the first metric, from the baseline on the same group.
        interval: 95 % interval of that difference.
        p_value: Paired bootstrap.
        adjusted: After Holm's correction over all groups and systems.
    """

    group: str
    num_utterances: int
    system: str
    scores: Mapping[str, float]
    difference: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    adjusted: float | None = None


def read_groups(source: Source, column: str, ids: Sequence[str]) -> list[str]:
    """Read the value of any column for each of the ids from the manifest of an evaluation.

    Raises:
        DataError: the manifest is not known, has changed or lacks the column or an id, or there are too many groups.
    """
    table = evaluated_manifest(source, f"--by {column}")
    values = table.column(column)
    lacking = [id for id in ids if id not in values]
    if lacking:
        raise DataError(f"--by {column}: {table.path} lacks {some_of(lacking)}; evaluate again")
    groups = [values[id] or "(empty)" for id in ids]
    if len(set(groups)) > MAX_GROUPS:
        raise DataError(f"--by {column}: at most {MAX_GROUPS} groups, got {len(set(groups))}; choose another column")
    return groups


def group_rows(
    hypotheses: Mapping[str, Sequence[str]],
    references: Sequence[str],
    groups: Sequence[str],
    metrics: Sequence[Metric],
    options: ComparisonOptions,
    inputs: UtteranceInputs = NO_INPUTS,
) -> list[GroupRow]:
    """Score every system on every group, and compare it there with the first system by paired bootstrap.

    Holm's correction is over all groups and systems, because some of many groups is likely to differ by chance.

    Args:
        hypotheses: Label -> hypotheses, the baseline first; one system alone is scored.
        references: One per utterance.
        groups: The group of each utterance.
        metrics: The first decides differences and p-values.
        options: Options of the resampling.
        inputs: The translated inputs, for metrics that need them.

    Returns:
        A row per group, in alphabetical order, and system.

    Raises:
        DataError: a score is undefined on a group, which is named.
    """
    rows: list[tuple[str, int, str, dict[str, float], SystemScore | None]] = []
    for group in sorted(set(groups)):
        places = [index for index, value in enumerate(groups) if value == group]
        texts = {label: [outputs[index] for index in places] for label, outputs in hypotheses.items()}
        goals, spoken = [references[index] for index in places], inputs.at(places)
        try:
            scores = {
                label: {metric.name: metric.score(outputs, goals, spoken).value for metric in metrics}
                for label, outputs in texts.items()
            }
            results = _compare(texts, goals, spoken, metrics[0], options)
        except DataError as error:
            raise DataError(f"group {group!r} ({len(places)} utterances): {error}") from error
        rows += [(group, len(places), label, scores[label], results.get(label)) for label in texts]
    return corrected(
        GroupRow(
            group=group,
            num_utterances=size,
            system=label,
            scores=scores,
            difference=None if result is None else result.difference,
            interval=None if result is None else result.difference_interval,
            p_value=None if result is None else result.p_value,
        )
        for group, size, label, scores, result in rows
    )


def corrected(rows: Iterable[GroupRow]) -> list[GroupRow]:
    """The rows with Holm's correction over all of them."""
    rows = list(rows)
    adjusted = holm({str(index): row.p_value for index, row in enumerate(rows) if row.p_value is not None})
    return [replace(row, adjusted=adjusted.get(str(index))) for index, row in enumerate(rows)]


def _compare(
    texts: Mapping[str, Sequence[str]],
    references: Sequence[str],
    inputs: UtteranceInputs,
    metric: Metric,
    options: ComparisonOptions,
) -> dict[str, SystemScore]:
    """Label -> comparison with the first system; without the first."""
    (first, baseline), *others = texts.items()
    if not others:
        return {}
    comparison = paired_bootstrap(
        (first, baseline), dict(others), references, metric, inputs=inputs, samples=options.samples, seed=options.seed
    )
    return {label: comparison.system(label) for label, _ in others}


def group_table(rows: Sequence[GroupRow], column: str) -> Table:
    """A row per group and system; differences are in the first score that a row has."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    labels = [label_of(name) for name in names]
    first = list(dict.fromkeys(label_of(next(iter(row.scores))) for row in rows))
    columns = (column, "System", "Utterances", *labels, f"Δ {' or '.join(first)}", "95 % interval", "p", "Holm")
    cells = tuple(
        (
            row.group,
            row.system,
            str(row.num_utterances),
            *(text_of(row.scores.get(name), ".1f") for name in names),
            *difference_cells(row.difference, row.interval),
            text_of(row.p_value, ".3f"),
            text_of(row.adjusted, ".3f"),
        )
        for row in rows
    )
    return Table(f"By {column}", columns, cells, num_names=2)
