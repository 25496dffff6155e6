"""The path of accelerators through the public API: the padded batch at once, and the GPU kernels.

Without a GPU it runs in Triton's interpreter, if TRITON_INTERPRET=1 is set before Python starts.
"""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from torch import Tensor

from aista.losses import Sinkhorn, from_states
from benchmarks.ot.rows.base import Outcome, Prepare, Step, cosine_cost, differentiate
from benchmarks.ot.workload import EPSILON, ITERATIONS, Case

__all__ = ["DEVICES", "captured", "entropic", "iterations"]

DEVICES = ("cpu", "cuda") if os.environ.get("TRITON_INTERPRET") == "1" else ("cuda",)


def entropic(**options: Any) -> Prepare:
    """``Sinkhorn`` with its kernels named, on a problem that is built for the whole batch."""
    solver = Sinkhorn(epsilon=EPSILON, max_iterations=ITERATIONS, tolerance=0.0, backend="triton", **options)

    def prepare(case: Case) -> Step:
        def values(x: Tensor, y: Tensor) -> Tensor:
            return solver.solve(from_states(x, y, case.x_lengths_B, case.y_lengths_B, batched=True)).value

        def step() -> Outcome:
            return differentiate(case, values)

        return step

    return prepare


def iterations(case: Case) -> Step:
    """The launch that iterates, from costs at hand."""
    from aista.losses.kernels.sinkhorn import launch

    a, b = case.masses()
    lengths = case.x_lengths_B, case.y_lengths_B
    loaded = launch.load(cosine_cost(case.x_BSD, case.y_BTD), a, b, *lengths, EPSILON, "mean", (math.inf, math.inf))

    def step() -> None:
        launch.iterate(loaded, ITERATIONS, 0.0)

    return step


def captured(prepare: Prepare) -> Prepare:
    """The row as a CUDA graph: no time goes into launching its kernels one by one."""

    def prepare_graph(case: Case) -> Step:
        step, stream = prepare(case), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outcome = step()

        def replay() -> Outcome | None:
            graph.replay()
            return outcome

        return replay

    return prepare_graph
