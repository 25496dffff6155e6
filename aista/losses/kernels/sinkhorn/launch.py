"""The Triton path of the Sinkhorn core: choice of the kernel for a problem, and its launch.

Each function launches one kernel, reads nothing back and may be captured in a CUDA graph. The launches are operators
(``torch.ops.aista.*``, ``operators.py``): ``torch.compile`` traces through them, and fake tensors pass them.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from aista.losses.kernels.sinkhorn import operators, streaming
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem, Potentials

__all__ = [
    "Evaluation",
    "Loaded",
    "better",
    "evaluate",
    "iterate",
    "load",
    "load_problem",
    "refusal",
    "solve",
]

MAX_COLUMNS = 4096  # a tile of the streaming kernel holds whole rows


class Loaded(NamedTuple):
    """Problems as the kernels take them; see :func:`load`."""

    cost_NST: Tensor
    a_NS: Tensor
    b_NT: Tensor
    x_lengths_N: Tensor
    y_lengths_N: Tensor
    epsilon_N: Tensor
    rho: tuple[float, float]


class Evaluation(NamedTuple):
    """Values, errors and derivatives of each sample at its potentials.

    Attributes:
        value_N: The regularised value; 0 where a side is empty, NaN where a length is beyond the padded size.
        transport_cost_N: ``<P, C>``.
        marginal_error_N: L1 distance of the marginals from where they must be, the worse side.
        converged_N: Whether that is at most the tolerance, and the value finite.
        a_derivative_NS: Derivative of the value by the masses; 0 in the padding.
        b_derivative_NT: Likewise.
        entry_NST: The plan, which is the derivative by the costs, or what ``entry`` asked for; 0 in the padding.
    """

    value_N: Tensor
    transport_cost_N: Tensor
    marginal_error_N: Tensor
    converged_N: Tensor
    a_derivative_NS: Tensor
    b_derivative_NT: Tensor
    entry_NST: Tensor


def refusal(cost_NST: Tensor) -> str | None:
    """Reason why the kernels cannot run on these costs, with the remedy; None if they can."""
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
    s, t = torch.tensor(p.lengths_N2, dtype=torch.long, device=p.cost_NST.device).reshape(-1, 2).unbind(1)
    return load(p.cost_NST, p.a_NS, p.b_NT, s, t, p.epsilon_N, "absolute", (p.rho_x, p.rho_y))


def load(
    cost_NST: Tensor,
    a_NS: Tensor,
    b_NT: Tensor,
    x_lengths_N: Tensor,
    y_lengths_N: Tensor,
    epsilon: float | Tensor,
    scale: str,
    rho: tuple[float, float],
) -> Loaded:
    """Contiguous tensors, the costs' rows padded to a multiple of 16 so that 16 bytes are loaded at once.

    Args:
        cost_NST: fp32, bf16 or fp16 costs; the content of the padding does not matter.
        a_NS: fp32 masses, as in :class:`EntropicProblem`.
        b_NT: Likewise.
        x_lengths_N: int64, on the same device. A sample with an empty side is solved by nothing.
        y_lengths_N: Likewise.
        epsilon: Regularisation, times what ``scale`` says; or ``[N]`` as it is.
        scale: ``mean`` or ``max`` of each sample's ``|C|``, or ``absolute``: 1.
        rho: Strengths of the penalties on the two marginals.
    """
    lengths = x_lengths_N.contiguous(), y_lengths_N.contiguous()
    relative = (1.0, "absolute") if isinstance(epsilon, Tensor) else (epsilon, scale)
    laid_NST, epsilon_N = operators.lay_out(cost_NST.contiguous(), *lengths, *relative)
    if isinstance(epsilon, Tensor):
        epsilon_N = epsilon.contiguous()
    # A whole number would compile another kernel.
    return Loaded(laid_NST, a_NS.contiguous(), b_NT.contiguous(), *lengths, epsilon_N, (float(rho[0]), float(rho[1])))


def iterate(loaded: Loaded, max_iterations: int, tolerance: float) -> Potentials:
    """Potentials of all samples, 0 in the padding; a tolerance of 0 runs all iterations."""
    return Potentials(*operators.iterate(*loaded[:6], *loaded.rho, max_iterations, tolerance))


def evaluate(loaded: Loaded, potentials: Potentials, tolerance: float = 0.0, *, entry: str = "plan") -> Evaluation:
    """Value, report, derivatives and an entry for each pair, in one pass over the costs.

    ``entry`` is ``plan``; ``ratio``: ``P / (a b^T)``; or ``rows``: the plan's rows scaled to sum 1, where
    ``a_derivative_NS`` is what their sums were, over ``a``, and 1 where nothing.
    """
    f, g, _ = potentials
    found = Evaluation(*operators.evaluate(*loaded[:6], f, g, *loaded.rho, tolerance, entry))
    return found._replace(entry_NST=found.entry_NST[:, :, : loaded.b_NT.shape[1]])


def better(loaded: Loaded, potentials: Potentials, error_N: Tensor, f_NS: Tensor, g_NT: Tensor) -> Potentials:
    """The potentials, or ``f`` and ``g`` for the samples in which their marginal error is below ``error``."""
    f, g, num_iterations_N = potentials
    others = f_NS.contiguous(), g_NT.contiguous()
    chosen_f_NS, chosen_g_NT = operators.choose(*loaded[:6], f, g, error_N, *others, *loaded.rho)
    return Potentials(chosen_f_NS, chosen_g_NT, num_iterations_N)
