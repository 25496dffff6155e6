"""Parts of a training split and their shares, from ``data.mix``; and reports of the rows read."""

from __future__ import annotations

import os
from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from aista.console import align_columns
from aista.data.mixture import Mixture, shares
from aista.engine.inputs import Split
from aista.errors import DataError
from aista.registry import nearest
from aista.tasks.experiment import Experiment

__all__ = ["MOST_NAMED", "mix", "plan_lines", "plan_record", "read_lines"]

MOST_NAMED = 50
"""Maximum number of parts with a line each in tables and a value in the metrics."""


def mix(split: Split, experiment: Experiment) -> Mixture | None:
    """The parts of a training split and their shares by ``data.mix``; None without it.

    Raises:
        DataError: there is one part alone, rows lack the column, a weight names no part, or a share cannot be had.
    """
    config = experiment.sections.data.mix
    if config is None:
        return None
    if config.by == "manifest":
        names = [_name(inspection.manifest, experiment) for inspection in split.inspections]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(
                f"data.mix: a manifest must be named once, got {repeated[0]} {names.count(repeated[0])} times in the "
                "data section; name it once and raise its share in data.mix.weights"
            )
        part = np.repeat(np.arange(len(names)), [len(inspection.kept) for inspection in split.inspections])
    else:
        names, part = _by_column(split, config.by)
    if len(names) == 1:
        raise DataError(
            f"data.mix: needs at least two parts, got one by {config.by}: {names[0]!r}; name further manifests in "
            "data.speech (data.text for tasks that read text alone), choose another data.mix.by, or remove data.mix"
        )
    weights = _weights(names, experiment)
    try:
        sizes = np.bincount(part).tolist()
        return Mixture(tuple(names), part, tuple(shares(sizes, weights, config.temperature)), experiment.sections.seed)
    except ValueError as error:
        raise DataError(f"data.mix: {error}") from error


def plan_lines(planned: Sequence[Mapping[str, Any]]) -> list[str]:
    """``plan_record`` as a table."""
    rows = [("part", "rows", "hours", "share", "", "an epoch reads", "hours", "share", "passes")]
    for record in planned:
        hours = [f"{record[name]:,.2f}" if name in record else "-" for name in ("hours", "epoch_hours")]
        of_all, of_epoch = (f"{record[name]:.2%}" for name in ("share", "epoch_share"))
        epoch_rows = f"{record['epoch_rows']:,.1f}"
        cells = (f"{record['rows']:,}", hours[0], of_all, "->", epoch_rows, hours[1], of_epoch)
        rows.append((record["part"], *cells, f"{record['passes']:.2f}"))
    return ["data.mix: what an epoch reads of each part", *_first(align_columns(rows))]


def plan_record(mixture: Mixture, split: Split) -> list[dict[str, Any]]:
    """Average rows per epoch of each part of a split, and hours of speech."""
    has_speech = split.dataset.feature is not None
    hours = np.bincount(mixture.part, split.dataset.rows.seconds()) / 3600 if has_speech else None
    records = []
    for number, name in enumerate(mixture.names):
        size, passes = int(mixture.sizes[number]), float(mixture.passes[number])
        record = {
            "part": name,
            "rows": size,
            "share": size / len(mixture.part),
            "epoch_rows": float(mixture.quotas[number]),
            "epoch_share": mixture.shares[number],
            "passes": passes,
        }
        if hours is not None:
            record |= {"hours": float(hours[number]), "epoch_hours": float(hours[number]) * passes}
        records.append(record)
    return records


def read_lines(mixture: Mixture, read: Mapping[str, int]) -> list[str]:
    """Table of rows read of each part, beside its planned share."""
    total = max(1, sum(read.values()))
    rows = [("part", "rows read", "share", "planned", "passes")]
    for name, size, share in zip(mixture.names, mixture.sizes.tolist(), mixture.shares, strict=True):
        count = read[name]
        rows.append((name, f"{count:,}", f"{count / total:.2%}", f"{share:.2%}", f"{count / size:.2f}"))
    return ["data.mix: rows of each part that were read", *_first(align_columns(rows))]


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - 1 - MOST_NAMED
    return [*lines[: MOST_NAMED + 1], *([f"... and {more:,} more parts"] if more > 0 else [])]


def _name(manifest: Path | str, experiment: Experiment) -> str:
    """A manifest's path from the folder that paths of the config start from, absolute where it lies outside.

    A run that is resumed from another folder, where all paths are absolute, so finds the names that it began with.
    """
    base = os.path.abspath(experiment.start or Path.cwd())
    path = os.path.abspath(os.path.join(base, manifest))
    name = os.path.relpath(path, base)
    return path if name.startswith(os.pardir) else name


def _by_column(split: Split, column: str) -> tuple[list[str], NDArray[np.int64]]:
    """The values of a column in order, and ``[rows]`` which of them each row has."""
    rows = split.dataset.rows
    empty = np.flatnonzero(~rows.is_filled(column))
    if len(empty):
        ends = list(accumulate(len(inspection.kept) for inspection in split.inspections))
        manifest, row = split.inspections[bisect(ends, int(empty[0]))].manifest, rows[int(empty[0])]
        raise DataError(
            f"data.mix.by: every row must have a value in the column {column}, got {len(empty):,} of {len(rows):,} "
            f"rows without one, the first in {manifest}:{row.line}: {row.id}; fill the column, or choose another part: "
            "manifest, src_lang, tgt_lang, speaker"
        )
    values = rows.column(column).combine_chunks()
    names = sorted(pc.unique(values).to_pylist())
    return names, pc.index_in(values, value_set=pc.cast(names, values.type)).to_numpy().astype(np.int64)


def _weights(names: Sequence[str], experiment: Experiment) -> list[float]:
    config = experiment.sections.data.mix
    assert config is not None
    weights: dict[str, float] = {}
    for key, weight in config.weights.items():
        name = _name(key, experiment) if config.by == "manifest" else key
        if name not in names:
            known = f"{', '.join(names[:MOST_NAMED])}{', ...' * (len(names) > MOST_NAMED)}"
            raise DataError(
                f"data.mix.weights: must name parts of the training data by {config.by}, got {key!r}"
                f"{nearest(name, names)}; parts: {known}"
            )
        if name in weights:
            raise DataError(f"data.mix.weights: a part must have one weight, got two for {name}; remove one")
        weights[name] = weight
    return [weights.get(name, 1.0) for name in names]
