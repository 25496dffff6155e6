"""The GPU kernels alone: matrix products by torch, the rest two launches, which a CUDA graph can hold.

Without a GPU they run in Triton's interpreter, if TRITON_INTERPRET=1 is set before Python starts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks.ot.rows.base import Outcome, Prepare, Step, sample_epsilon
from benchmarks.ot.workload import ITERATIONS, Case

if TYPE_CHECKING:
    from aista.losses.kernels.sinkhorn.launch import Loaded

__all__ = ["DEVICES", "captured", "iterations", "prepare"]

DEVICES = ("cpu", "cuda") if os.environ.get("TRITON_INTERPRET") == "1" else ("cuda",)


def prepare(case: Case) -> Step:
    """Value and both gradients, nothing kept for a backward pass."""
    from aista.losses.kernels.sinkhorn import launch

    load = _loader(case)

    def step() -> Outcome:
        inverse_x, inverse_y = _inverse_norm(case.x_BSD), _inverse_norm(case.y_BTD)
        loaded = load(inverse_x, inverse_y)
        result = launch.evaluate(loaded, launch.iterate(loaded, ITERATIONS, 0.0))
        plan = result.entry_NST
        by_x = _through(plan, case.x_BSD, case.y_BTD, inverse_x, inverse_y)
        by_y = _through(plan.mT, case.y_BTD, case.x_BSD, inverse_y, inverse_x)
        return Outcome(result.value_N, by_x, by_y)

    return step


def iterations(case: Case) -> Step:
    """The launch that iterates, from costs at hand."""
    from aista.losses.kernels.sinkhorn import launch

    loaded = _loader(case)(_inverse_norm(case.x_BSD), _inverse_norm(case.y_BTD))

    def step() -> None:
        launch.iterate(loaded, ITERATIONS, 0.0)

    return step


def captured(prepare: Prepare) -> Prepare:
    """The row as a CUDA graph: no time goes into launching its kernels one by one."""

    def prepare_graph(case: Case) -> Step:
        step, stream = prepare(case), torch.cuda.Stream()
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


def _loader(case: Case) -> Callable[[Tensor, Tensor], Loaded]:
    """A function of the inverse norms: the costs as the kernels take them."""
    from aista.losses.kernels.sinkhorn import launch

    (a, b), lengths = case.masses(), torch.stack([case.x_lengths_B, case.y_lengths_B], 1).int()

    def load(inverse_x: Tensor, inverse_y: Tensor) -> Loaded:
        cost = 1 - _product(case.x_BSD, case.y_BTD.mT) * inverse_x * inverse_y.mT
        return launch.load(cost, a, b, lengths, sample_epsilon(cost, a, b), (math.inf, math.inf))

    return load


def _inverse_norm(z: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(z, dim=-1, keepdim=True, dtype=torch.float32)
    return norm.reciprocal()


def _product(x: Tensor, y: Tensor) -> Tensor:
    """``x y`` in fp32, also from bf16 factors."""
    if x.is_cuda and x.dtype != torch.float32:
        return torch.bmm(x, y, out_dtype=torch.float32)
    return torch.bmm(x.float(), y.float())


def _through(plan: Tensor, own: Tensor, other: Tensor, inverse: Tensor, other_inverse: Tensor) -> Tensor:
    """The gradient of ``<P, C>`` by one side's states."""
    pull, unit = _product((plan * other_inverse.mT).to(own.dtype), other), own * inverse
    return ((unit * (unit * pull).sum(-1, keepdim=True) - pull) * inverse).to(own.dtype)
