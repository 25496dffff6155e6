"""Sinkhorn on a sample that fits on the chip: costs are read once, then live in registers for the whole loop."""

import triton
import triton.language as tl

from aista.losses.kernels.sinkhorn.transform import (
    INF,
    LOG2E,
    content_lengths,
    damping,
    log2_or_minus_inf,
    log_of_sums,
    log_weight,
    residual,
    row_entries,
    row_potential,
    row_weight,
    scaled_costs,
    usable,
)


@triton.jit
def _column_log_sums(exponent_ST):
    peak_T = tl.max(exponent_ST, 0)
    shift_T = tl.where(peak_T == -INF, 0.0, peak_T)
    return shift_T + tl.log2(tl.sum(tl.exp2(exponent_ST - shift_T[None, :]), 0))


@triton.jit(do_not_specialize=["max_iterations"])
def solve(
    cost_NST, a_NS, b_NT, x_lengths_N, y_lengths_N, epsilon_N, f_NS, g_NT, num_iterations_N,
    S, T, stride, rho_x, rho_y, max_iterations, tolerance,
    BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr, HELD_X: tl.constexpr, CHECK_EVERY: tl.constexpr,
):  # fmt: skip
    """Potentials of sample ``program_id(0)``, which ``BLOCK_S x BLOCK_T`` holds whole; as ``streaming.solve``."""
    n = tl.program_id(0).to(tl.int64)
    s, t = content_lengths(x_lengths_N, y_lengths_N, n, S, T)
    epsilon = tl.load(epsilon_N + n)
    scale = LOG2E / epsilon
    damp_x, damp_y = damping(rho_x, epsilon), damping(rho_y, epsilon)
    cost_NST += n * S * stride
    row_S, column_T = tl.arange(0, BLOCK_S), tl.arange(0, BLOCK_T)
    scaled_ST = scaled_costs(cost_NST, row_S, s, t, stride, scale, BLOCK_T)
    b_T = tl.load(b_NT + n * T + column_T, mask=column_T < t, other=0.0)
    a_S = tl.load(a_NS + n * S + row_S, mask=row_S < s, other=0.0)
    log_b_T, held_T = log2_or_minus_inf(b_T), b_T > 0
    g_T = tl.zeros((BLOCK_T,), tl.float32)
    num_iterations = 0
    go = (num_iterations < max_iterations - 1) & (s > 0)
    while go:
        h_T = g_T + log_b_T
        peak_S, entry_ST, sum_S = row_entries(h_T[None, :] - scaled_ST)
        sums_T = tl.sum(row_weight(peak_S, sum_S, a_S, damp_x, HELD_X)[:, None] * entry_ST, 0)
        if usable(sums_T, held_T):
            lse_T = log_of_sums(sums_T, h_T, held_T)
        else:
            f_S = -damp_x * (peak_S + tl.log2(sum_S))
            lse_T = _column_log_sums(log_weight(f_S, log2_or_minus_inf(a_S))[:, None] - scaled_ST)
        num_iterations += 1
        go = num_iterations < max_iterations - 1
        if num_iterations % CHECK_EVERY == CHECK_EVERY - 1:
            go = go & (residual(lse_T, g_T, b_T, log_b_T, rho_y, epsilon) > tolerance)
        g_T = tl.where(held_T, -damp_y * lse_T, 0.0)
    f_S = row_potential((g_T + log_b_T)[None, :] - scaled_ST, damp_x)
    lse_T = _column_log_sums(log_weight(f_S, log2_or_minus_inf(a_S))[:, None] - scaled_ST)
    tl.store(f_NS + n * S + row_S, tl.where(row_S < s, f_S / scale, 0.0), mask=row_S < S)
    tl.store(g_NT + n * T + column_T, tl.where(column_T < t, -damp_y * lse_T / scale, 0.0), mask=column_T < T)
    tl.store(num_iterations_N + n, tl.where(s > 0, num_iterations + 1, 0))
