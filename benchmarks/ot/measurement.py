"""One line of the results, and the CSV file that holds them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from aista.errors import DataError
from aista.files import replacing

__all__ = ["Measurement", "read_csv", "write_csv"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A row on a workload. NaN (an empty cell in the file) where a row has no such figure.

    Attributes:
        workload: Its name.
        row: Its name.
        p20_ms: 20th percentile of the rounds.
        p50_ms: Median.
        p80_ms: 80th percentile.
        ratio: Median over rounds of the time over the floor's in the same round.
        value_error: Relative L2 error against float64.
        x_gradient_error: Likewise, speech side.
        y_gradient_error: Likewise, text side.
        memory_mib: Peak memory that a step adds.
        roofline: Share of the memory's rate at which the median step moves what any step must (``roofline.py``).
        copy_gb_per_s: That rate: what a copy reads and writes on this device, measured just before.
        fault: Errors above their bounds, in words; empty if there are none.
        rounds: Number of timed rounds.
        threads: Number of allowed threads.
        device: The processor or GPU.
        dtype: Dtype of the states; other libraries get them in fp32.
        library: The row's library and version.
        aista: Version of this package.
        torch: Version.
        python: Version.
        commit: Commit of this package's source, if known.
    """

    workload: str
    row: str
    p20_ms: float
    p50_ms: float
    p80_ms: float
    ratio: float
    value_error: float
    x_gradient_error: float
    y_gradient_error: float
    memory_mib: float
    roofline: float
    copy_gb_per_s: float
    fault: str
    rounds: int
    threads: int
    device: str
    dtype: str
    library: str
    aista: str
    torch: str
    python: str
    commit: str


def write_csv(measurements: Iterable[Measurement], file: Path) -> None:
    """Write all, atomically, making the folder if need be."""
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Measurement)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in asdict(item).items()} for item in measurements)


def read_csv(file: Path) -> list[Measurement]:
    """Read the file of :func:`write_csv`.

    Raises:
        DataError: a line does not have its columns; the message names it.
    """
    measurements = []
    with file.open(encoding="utf-8", newline="") as stream:
        for number, cells in enumerate(csv.DictReader(stream), start=2):
            try:
                values = {field.name: _PARSE[str(field.type)](cells[field.name]) for field in fields(Measurement)}
                measurements.append(Measurement(**values))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{file}:{number}: not a line of benchmark results ({error!r})") from error
    return measurements


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5g}"
    return str(value)


_PARSE: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": lambda text: float(text or "nan")}
