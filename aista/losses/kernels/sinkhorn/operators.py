"""The kernels as operators of torch, ``torch.ops.aista.*``: one launch each, one program per sample.

An operator says what it returns for tensors without values, so that ``torch.compile`` and fake tensors pass it. None is
differentiable by itself: the solvers know the gradient of their value.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, NamedTuple, cast

import torch
import triton
from torch import Tensor

from aista.losses.kernels.sinkhorn import epilogue, layout, onchip, reference, streaming

__all__ = ["Launch", "choose", "evaluate", "iterate", "lay_out", "plan_launches"]

ONCHIP_ELEMENTS = 16384  # 64 KiB in fp32, a quarter of an SM's registers
STREAMING_ELEMENTS = 8192  # of a tile; twice as many spill
EPILOGUE_ELEMENTS = 4096
ROW_MULTIPLE = 16  # entries: rows start where 16 bytes can be loaded at once


class Launch(NamedTuple):
    """A kernel, the rows and columns of its tile, and the warps of a program."""

    kernel: Any
    rows: int
    columns: int
    num_warps: int


def plan_launches(S: int, T: int) -> tuple[Launch, Launch]:
    """The launches that iterate and evaluate problems of a padded size."""
    rows, columns = _power_of_two(S), _power_of_two(T)
    elements = rows * columns
    if elements <= ONCHIP_ELEMENTS:
        solver = Launch(onchip.solve, rows, columns, min(max(elements // 1024, 4), 8))
    else:
        solver = Launch(streaming.solve, max(STREAMING_ELEMENTS // columns, 1), columns, 16)
    return solver, Launch(epilogue.evaluate, max(EPILOGUE_ELEMENTS // columns, 1), columns, 16)


def _laid_out(
    cost_NST: Tensor, x_lengths_N: Tensor, y_lengths_N: Tensor, epsilon: float, scale: str
) -> tuple[Tensor, Tensor]:
    N, S, T = cost_NST.shape
    stride = (T + ROW_MULTIPLE - 1) // ROW_MULTIPLE * ROW_MULTIPLE  # torch.compile misjudges T + -T % ROW_MULTIPLE
    return cost_NST.new_empty(N, S, stride), cost_NST.new_empty(N, dtype=torch.float32)


@torch.library.custom_op("aista::sinkhorn_lay_out", mutates_args=())
def lay_out(
    cost_NST: Tensor, x_lengths_N: Tensor, y_lengths_N: Tensor, epsilon: float, scale: str
) -> tuple[Tensor, Tensor]:
    """``[N, S, T rounded up]`` costs, 0 outside the content, and each sample's epsilon; see ``layout.lay_out``."""
    outputs = _laid_out(cost_NST, x_lengths_N, y_lengths_N, epsilon, scale)
    S, T = cost_NST.shape[1:]
    how = plan_launches(S, T)[1]._replace(kernel=layout.lay_out)
    _launch(how, cost_NST, x_lengths_N, y_lengths_N, *outputs, S, T, outputs[0].shape[2], epsilon, SCALE=scale)
    return outputs


def _potentials(cost_NST: Tensor, a_NS: Tensor, b_NT: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(a_NS), torch.empty_like(b_NT)


def _iterated(cost_NST: Tensor, a_NS: Tensor, b_NT: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return *_potentials(cost_NST, a_NS, b_NT), a_NS.new_empty(a_NS.shape[0], dtype=torch.long)


@torch.library.custom_op("aista::sinkhorn_iterate", mutates_args=())
def iterate(
    cost_NST: Tensor,
    a_NS: Tensor,
    b_NT: Tensor,
    x_lengths_N: Tensor,
    y_lengths_N: Tensor,
    epsilon_N: Tensor,
    rho_x: float,
    rho_y: float,
    max_iterations: int,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Both potentials and the number of iterations; see ``onchip.solve`` and ``streaming.solve``."""
    known = cost_NST, a_NS, b_NT, x_lengths_N, y_lengths_N, epsilon_N
    outputs, sizes = _iterated(*known), _sizes(*known)
    limits = max_iterations, reference.SAFETY * tolerance if tolerance > 0 else -1.0
    constants = {"HELD_X": rho_x == math.inf, "CHECK_EVERY": reference.CHECK_EVERY}
    _launch(plan_launches(*sizes[:2])[0], *known, *outputs, *sizes, rho_x, rho_y, *limits, **constants)
    return outputs


def _evaluated(cost_NST: Tensor, a_NS: Tensor, b_NT: Tensor, *_: Any) -> tuple[Tensor, ...]:
    scalars = [a_NS.new_empty(a_NS.shape[0]) for _ in range(3)]
    converged = a_NS.new_empty(a_NS.shape[0], dtype=torch.bool)
    entries = torch.empty_like(cost_NST, dtype=torch.float32)
    return *scalars, converged, *_potentials(cost_NST, a_NS, b_NT), entries


@torch.library.custom_op("aista::sinkhorn_evaluate", mutates_args=())
def evaluate(
    cost_NST: Tensor,
    a_NS: Tensor,
    b_NT: Tensor,
    x_lengths_N: Tensor,
    y_lengths_N: Tensor,
    epsilon_N: Tensor,
    f_NS: Tensor,
    g_NT: Tensor,
    rho_x: float,
    rho_y: float,
    tolerance: float,
    entry: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Value, ``<P, C>``, error, convergence, derivatives and entries; see ``epilogue.evaluate``."""
    known = cost_NST, a_NS, b_NT, x_lengths_N, y_lengths_N, epsilon_N, f_NS, g_NT
    outputs, sizes = _evaluated(*known), _sizes(*known)
    _launch(plan_launches(*sizes[:2])[1], *known, *outputs, *sizes, rho_x, rho_y, tolerance, ENTRY=entry)
    return cast(tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], outputs)


@torch.library.custom_op("aista::sinkhorn_choose", mutates_args=())
def choose(
    cost_NST: Tensor,
    a_NS: Tensor,
    b_NT: Tensor,
    x_lengths_N: Tensor,
    y_lengths_N: Tensor,
    epsilon_N: Tensor,
    f_NS: Tensor,
    g_NT: Tensor,
    error_N: Tensor,
    other_f_NS: Tensor,
    other_g_NT: Tensor,
    rho_x: float,
    rho_y: float,
) -> tuple[Tensor, Tensor]:
    """The better of two pairs of potentials for each sample; see ``epilogue.choose``."""
    known = cost_NST, a_NS, b_NT, x_lengths_N, y_lengths_N, epsilon_N
    outputs, sizes = _potentials(*known), _sizes(*known)
    how = plan_launches(*sizes[:2])[1]._replace(kernel=epilogue.choose)
    _launch(how, *known, f_NS, g_NT, error_N, other_f_NS, other_g_NT, *outputs, *sizes, rho_x, rho_y)
    return outputs


lay_out.register_fake(_laid_out)
iterate.register_fake(_iterated)
evaluate.register_fake(_evaluated)
choose.register_fake(_potentials)


def _sizes(cost_NST: Tensor, a_NS: Tensor, b_NT: Tensor, *_: Any) -> tuple[int, int, int]:
    """Padded S and T, and the stride of a row of costs."""
    return a_NS.shape[1], b_NT.shape[1], cost_NST.shape[2]


def _launch(how: Launch, *arguments: Any, **constants: Any) -> None:
    """One program per sample, on the device that holds the costs."""
    cost_NST = arguments[0]
    if not len(cost_NST):
        return
    with torch.cuda.device(cost_NST.device) if cost_NST.is_cuda else nullcontext():
        how.kernel[(len(cost_NST),)](
            *arguments, **constants, BLOCK_S=how.rows, BLOCK_T=how.columns, num_warps=how.num_warps
        )


def _power_of_two(length: int) -> int:
    return max(16, int(triton.next_power_of_2(length)))
