"""Where the checks of the Triton kernels run, and what they share: on a GPU, or in Triton's interpreter.

``test_launch.py`` runs the files ``*_checks.py`` with TRITON_INTERPRET=1, which must be set before triton is imported.
On a GPU machine: ``pytest tests/losses/kernels/sinkhorn/*_checks.py``.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace

import pytest

__all__ = ["DEVICE", "INF", "INTERPRETED", "MARKS", "on_device", "sums"]

INF = math.inf
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"

MARKS = [
    pytest.mark.usefixtures("poisoned_memory"),
    # The kernels let sums overflow and look at them afterwards; numpy, which interprets, would warn.
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def on_device(problem):
    """The problem with its tensors on the device."""
    tensors = {name: getattr(problem, name).to(DEVICE) for name in ("cost_NST", "a_NS", "b_NT", "epsilon_N")}
    return replace(problem, **tensors)


def sums(problem, potentials):
    """``f + g`` of each sample: unique, unlike ``f`` and ``g`` alone."""
    f, g = potentials.f_NS.cpu().double(), potentials.g_NT.cpu().double()
    return [f[n, :s, None] + g[n, None, :t] for n, (s, t) in enumerate(problem.lengths_N2)]
