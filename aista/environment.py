"""Provenance and resources of results: the commit of the source, the memory of process and machine."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["memory_bytes", "peak_mib", "source_commit"]


def source_commit() -> str | None:
    """The commit that this package runs from, ``-dirty`` where files differ from it; None outside a repository."""
    try:
        result = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def peak_mib() -> float:
    """Peak resident memory of this process in MiB, since it began to run its program; NaN on systems other than Linux.

    Not ``ru_maxrss``: a child starts with its parent's.
    """
    if sys.platform != "linux":
        return math.nan
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def memory_bytes() -> int:
    """The memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
