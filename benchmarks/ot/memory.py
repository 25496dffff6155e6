"""Peak memory that a solver's step adds; on the CPU measured in a separate process.

python -m benchmarks.ot.memory CASE_FILE ROW [PLUGIN]
"""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import torch

from aista.environment import peak_mib
from aista.errors import RunError
from benchmarks.ot.rows.base import Step
from benchmarks.ot.rows.plugin import plugin_rows
from benchmarks.ot.rows.table import ROWS
from benchmarks.ot.workload import Case, Workload, make_case

__all__ = ["extra_gpu_memory", "extra_memory", "save_case"]

WARM_UP = Workload(2, 5, 4, 8)


def extra_memory(case_file: Path, row: str, plugin: str) -> float:
    """MiB by which two steps raise the process's peak; NaN on systems other than Linux.

    ``plugin`` is the file that the row comes from, empty for a row of the table.

    Raises:
        RunError: the process failed.
    """
    if sys.platform != "linux":
        return math.nan
    command = [sys.executable, "-m", "benchmarks.ot.memory", str(case_file.resolve()), row]
    command += [str(Path(plugin).resolve())] if plugin else []
    result = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    if result.returncode:
        raise RunError(f"row {row!r}: the process that measures its memory failed:\n{result.stderr[-2000:]}")
    return float(result.stdout.splitlines()[-1])


def extra_gpu_memory(step: Step, device: str) -> float:
    """MiB that the step allocates in addition; a CUDA graph's own pool is already allocated."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def save_case(case: Case, file: Path) -> None:
    """Write the case to a file, so that making it does not affect the peak of the measured process."""
    torch.save(tuple(case), file)


def _measure(case_file: str, name: str, *plugins: str) -> float:
    row = (ROWS | plugin_rows(plugins))[name]
    row.start(make_case(WARM_UP))()  # loads what libraries load at first use
    step = row.start(Case(*torch.load(case_file)))
    with suppress(OSError):  # forget the peak of a compilation; where that is refused, a small step may hide below it
        Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    for _ in range(2):
        step()
    return peak_mib() - before


if __name__ == "__main__":
    print(_measure(*sys.argv[1:]))
