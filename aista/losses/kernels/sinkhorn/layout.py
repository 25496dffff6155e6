"""Lays costs out as the other kernels read them, and measures the epsilon that is relative to them; one launch."""

import triton
import triton.language as tl

from aista.losses.kernels.sinkhorn.transform import content_lengths


@triton.jit
def lay_out(
    cost_NST, x_lengths_N, y_lengths_N, laid_NST, epsilon_N, S, T, stride, epsilon,
    BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr, SCALE: tl.constexpr,
):  # fmt: skip
    """Rows ``stride`` apart, 0 outside the content; ``epsilon`` times the mean or maximum of ``|C|``, or as it is."""
    n = tl.program_id(0).to(tl.int64)
    s, t = content_lengths(x_lengths_N, y_lengths_N, n, S, T)
    cost_NST += n * S * T
    laid_NST += n * S * stride
    column_T = tl.arange(0, BLOCK_T)
    total_RT = tl.zeros((BLOCK_S, BLOCK_T), tl.float32)
    first = 0
    while first < S:
        row_R = first + tl.arange(0, BLOCK_S)
        inside = (row_R < s)[:, None] & (column_T < t)[None, :]
        cost_RT = tl.load(cost_NST + row_R[:, None] * T + column_T[None, :], mask=inside, other=0.0)
        written = (row_R < S)[:, None] & (column_T < stride)[None, :]
        tl.store(laid_NST + row_R[:, None] * stride + column_T[None, :], cost_RT, mask=written)
        size_RT = tl.abs(cost_RT.to(tl.float32))
        total_RT = total_RT + size_RT if SCALE == "mean" else tl.maximum(total_RT, size_RT)
        first += BLOCK_S
    scale = 1.0
    if SCALE == "mean":
        scale = tl.sum(tl.sum(total_RT, 1), 0) / tl.maximum(s * t, 1)
    elif SCALE == "max":
        scale = tl.max(tl.max(total_RT, 1), 0)
    # Where every cost is 0 any regularisation will do.
    tl.store(epsilon_N + n, epsilon * tl.where(scale == 0, 1.0, scale))
