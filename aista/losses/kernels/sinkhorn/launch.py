"""The Triton path of the Sinkhorn core: which kernel takes a problem, and its launch.

:func:`iterate` and :func:`evaluate` launch one kernel each, read nothing back and may be captured in a CUDA graph.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from aista.losses.kernels.sinkhorn import epilogue, onchip, reference, streaming
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem, Potentials

__all__ = [
    "Evaluation",
    "Launch",
    "Loaded",
    "evaluate",
    "iterate",
    "load",
    "load_problem",
    "plan_launches",
    "refusal",
    "solve",
]

MAX_COLUMNS = 4096  # a tile of the streaming kernel holds whole rows
ONCHIP_ELEMENTS = 16384  # 64 KiB in fp32, a quarter of an SM's registers
STREAMING_ELEMENTS = 8192  # of a tile; twice as many spill
EPILOGUE_ELEMENTS = 4096


class Loaded(NamedTuple):
    """Problems as the kernels take them; see :func:`load`."""

    cost_NST: Tensor
    a_NS: Tensor
    b_NT: Tensor
    lengths_N2: Tensor
    epsilon_N: Tensor
    rho: tuple[float, float]
    num_columns: int

    @property
    def size(self) -> tuple[int, int]:
        """Padded S and T."""
        return self.cost_NST.shape[1], self.num_columns

    @property
    def numbers(self) -> tuple[int | float, ...]:
        """Arguments of each kernel: S, T, the stride of a row, and the strengths."""
        return (*self.size, self.cost_NST.shape[2], *self.rho)


class Launch(NamedTuple):
    """A kernel, the rows and columns of its tile, and the warps of a program."""

    kernel: Any
    rows: int
    columns: int
    num_warps: int


class Evaluation(NamedTuple):
    """What potentials say about each sample.

    Attributes:
        value_N: The regularised value.
        transport_cost_N: ``<P, C>``.
        marginal_error_N: L1 distance of the marginals from where they must be, the worse side.
        a_derivative_NS: Derivative of the value by the masses; 0 in the padding.
        b_derivative_NT: Likewise.
        entry_NST: The plan, which is the derivative by the costs, or ``P / (a b^T)`` if asked for; 0 in the padding.
    """

    value_N: Tensor
    transport_cost_N: Tensor
    marginal_error_N: Tensor
    a_derivative_NS: Tensor
    b_derivative_NT: Tensor
    entry_NST: Tensor


def refusal(cost_NST: Tensor) -> str | None:
    """Why the kernels cannot take these costs, and the remedy; None if they can."""
    compiled = isinstance(streaming.solve, triton.JITFunction)
    if compiled and not cost_NST.is_cuda:
        late = " (it was set too late)" if os.environ.get("TRITON_INTERPRET") == "1" else ""
        return (
            f"it needs tensors on a GPU, got {cost_NST.device.type}; choose 'scaling', "
            f"or for tests set TRITON_INTERPRET=1 before triton is imported{late}"
        )
    if cost_NST.dtype == torch.float64:
        return "it computes in float32, got float64; choose 'scaling' or 'reference'"
    if cost_NST.shape[2] > MAX_COLUMNS:
        return f"it takes at most {MAX_COLUMNS} positions on the second side, got {cost_NST.shape[2]}; choose 'scaling'"
    return None


def solve(problem: EntropicProblem, max_iterations: int, tolerance: float) -> Potentials:
    """As :func:`aista.losses.kernels.sinkhorn.reference.solve`, on a GPU, in fp32.

    Iterates agree with the reference's to rounding. The second marginal is looked at, half an iteration
    earlier, so a sample may take ten iterations more. Other padding may change the last bits of a result.
    """
    return iterate(load_problem(problem), max_iterations, tolerance)


def load_problem(problem: EntropicProblem) -> Loaded:
    """As :func:`load`; copies the lengths to the device."""
    p = problem
    lengths_N2 = torch.tensor(p.lengths_N2, dtype=torch.int32).to(p.cost_NST.device)
    return load(p.cost_NST, p.a_NS, p.b_NT, lengths_N2, p.epsilon_N, (p.rho_x, p.rho_y))


def load(
    cost_NST: Tensor, a_NS: Tensor, b_NT: Tensor, lengths_N2: Tensor, epsilon_N: Tensor, rho: tuple[float, float]
) -> Loaded:
    """Contiguous tensors, the costs' rows padded to a multiple of 16 so that 16 bytes are loaded at once.

    Args:
        cost_NST: fp32, bf16 or fp16 costs; the content of the padding does not matter.
        a_NS: fp32 masses, as in :class:`EntropicProblem`.
        b_NT: Likewise.
        lengths_N2: int32, at least 1, on the same device.
        epsilon_N: fp32 regularisation.
        rho: Strengths of the penalties on the two marginals.
    """
    T = cost_NST.shape[2]
    rows = torch.nn.functional.pad(cost_NST, (0, -T % 16)) if T % 16 else cost_NST.contiguous()
    strengths = float(rho[0]), float(rho[1])  # a whole number would compile another kernel
    inputs = rows, a_NS.contiguous(), b_NT.contiguous(), lengths_N2.contiguous(), epsilon_N.contiguous()
    return Loaded(*inputs, strengths, T)


def plan_launches(S: int, T: int) -> tuple[Launch, Launch]:
    """How a padded size is iterated and evaluated."""
    rows, columns = _power_of_two(S), _power_of_two(T)
    elements = rows * columns
    if elements <= ONCHIP_ELEMENTS:
        solver = Launch(onchip.solve, rows, columns, min(max(elements // 1024, 4), 8))
    else:
        solver = Launch(streaming.solve, max(STREAMING_ELEMENTS // columns, 1), columns, 16)
    return solver, Launch(epilogue.evaluate, max(EPILOGUE_ELEMENTS // columns, 1), columns, 16)


def iterate(loaded: Loaded, max_iterations: int, tolerance: float) -> Potentials:
    """Potentials of all samples, undefined in the padding; a tolerance of 0 runs all iterations. One launch."""
    f_NS, g_NT = torch.empty_like(loaded.a_NS), torch.empty_like(loaded.b_NT)
    num_iterations_N = torch.empty(len(f_NS), dtype=torch.long, device=f_NS.device)
    _launch(
        plan_launches(*loaded.size)[0],
        *loaded[:5],
        *(f_NS, g_NT, num_iterations_N),
        *loaded.numbers,
        max_iterations,
        reference.SAFETY * tolerance if tolerance > 0 else -1.0,
        HELD_X=loaded.rho[0] == math.inf,
        CHECK_EVERY=reference.CHECK_EVERY,
    )
    return Potentials(f_NS, g_NT, num_iterations_N)


def evaluate(loaded: Loaded, potentials: Potentials, *, ratio: bool = False) -> Evaluation:
    """Value, report, derivatives and plan (or ratio) in one pass over the costs; one launch."""
    eps = loaded.epsilon_N
    scalars_N = torch.empty_like(eps), torch.empty_like(eps), torch.empty_like(eps)
    derivatives = torch.empty_like(loaded.a_NS), torch.empty_like(loaded.b_NT)
    entry_NST = torch.empty_like(loaded.cost_NST, dtype=torch.float32)
    _launch(
        plan_launches(*loaded.size)[1],
        *loaded[:5],
        *potentials[:2],
        *scalars_N,
        *derivatives,
        entry_NST,
        *loaded.numbers,
        RATIO=ratio,
    )
    return Evaluation(*scalars_N, *derivatives, entry_NST[:, :, : loaded.num_columns])


def _launch(how: Launch, cost_NST: Tensor, *arguments: Any, **constants: Any) -> None:
    """One program per sample, on the device that holds the costs."""
    with torch.cuda.device(cost_NST.device) if cost_NST.is_cuda else nullcontext():
        how.kernel[(cost_NST.shape[0],)](
            cost_NST, *arguments, **constants, BLOCK_S=how.rows, BLOCK_T=how.columns, num_warps=how.num_warps
        )


def _power_of_two(length: int) -> int:
    return max(16, int(triton.next_power_of_2(length)))
