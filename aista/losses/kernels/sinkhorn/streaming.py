"""Sinkhorn that reads the costs once per iteration; one program per sample runs the whole loop.

For any size: what does not fit on the chip comes from the L2 cache. README.md derives the one pass.
"""

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
def _exp_sweep(
    cost_NST, a_NS, h_T, s, t, stride, scale, damp_x,
    BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr, HELD_X: tl.constexpr,
):  # fmt: skip
    """One pass: the rows' potentials from ``h = g + log2 b``, and at once the columns' masses of that plan."""
    sums_RT = tl.zeros((BLOCK_S, BLOCK_T), tl.float32)
    first = 0
    while first < s:
        row_R = first + tl.arange(0, BLOCK_S)
        scaled_RT = scaled_costs(cost_NST, row_R, s, t, stride, scale, BLOCK_T)
        peak_R, entry_RT, sum_R = row_entries(h_T[None, :] - scaled_RT)
        a_R = tl.load(a_NS + row_R, mask=row_R < s, other=0.0)
        sums_RT += row_weight(peak_R, sum_R, a_R, damp_x, HELD_X)[:, None] * entry_RT
        first += BLOCK_S
    return tl.sum(sums_RT, 0)


@triton.jit
def _log_sweep(cost_NST, a_NS, f_NS, h_T, s, t, stride, scale, damp_x, BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr):
    """The same pass in the log domain, at twice the exponentials: stores ``f``, returns the columns' log-sums."""
    peak_T = tl.full((BLOCK_T,), -INF, tl.float32)
    total_T = tl.zeros((BLOCK_T,), tl.float32)
    first = 0
    while first < s:
        row_R = first + tl.arange(0, BLOCK_S)
        scaled_RT = scaled_costs(cost_NST, row_R, s, t, stride, scale, BLOCK_T)
        f_R = row_potential(h_T[None, :] - scaled_RT, damp_x)
        tl.store(f_NS + row_R, f_R / scale, mask=row_R < s)
        log_a_R = log2_or_minus_inf(tl.load(a_NS + row_R, mask=row_R < s, other=0.0))
        exponent_RT = log_weight(f_R, log_a_R)[:, None] - scaled_RT
        higher_T = tl.maximum(peak_T, tl.max(exponent_RT, 0))
        shift_T = tl.where(higher_T == -INF, 0.0, higher_T)
        total_T = total_T * tl.exp2(peak_T - shift_T) + tl.sum(tl.exp2(exponent_RT - shift_T[None, :]), 0)
        peak_T = higher_T
        first += BLOCK_S
    return peak_T + tl.log2(total_T)


@triton.jit(do_not_specialize=["max_iterations"])
def solve(
    cost_NST, a_NS, b_NT, x_lengths_N, y_lengths_N, epsilon_N, f_NS, g_NT, num_iterations_N,
    S, T, stride, rho_x, rho_y, max_iterations, tolerance,
    BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr, HELD_X: tl.constexpr, CHECK_EVERY: tl.constexpr,
):  # fmt: skip
    """Potentials of sample ``program_id(0)``, 0 in the padding. The last iteration is a log sweep: see README.md."""
    n = tl.program_id(0).to(tl.int64)
    s, t = content_lengths(x_lengths_N, y_lengths_N, n, S, T)
    epsilon = tl.load(epsilon_N + n)
    scale = LOG2E / epsilon
    damp_x, damp_y = damping(rho_x, epsilon), damping(rho_y, epsilon)
    cost_NST += n * S * stride
    a_NS += n * S
    f_NS += n * S
    column_T = tl.arange(0, BLOCK_T)
    b_T = tl.load(b_NT + n * T + column_T, mask=column_T < t, other=0.0)
    log_b_T, held_T = log2_or_minus_inf(b_T), b_T > 0
    g_T = tl.zeros((BLOCK_T,), tl.float32)
    num_iterations = 0
    go = (num_iterations < max_iterations - 1) & (s > 0)
    while go:
        h_T = g_T + log_b_T
        sums_T = _exp_sweep(cost_NST, a_NS, h_T, s, t, stride, scale, damp_x, BLOCK_S, BLOCK_T, HELD_X)
        if usable(sums_T, held_T):
            lse_T = log_of_sums(sums_T, h_T, held_T)
        else:
            lse_T = _log_sweep(cost_NST, a_NS, f_NS, h_T, s, t, stride, scale, damp_x, BLOCK_S, BLOCK_T)
        num_iterations += 1
        go = num_iterations < max_iterations - 1
        if num_iterations % CHECK_EVERY == CHECK_EVERY - 1:
            go = go & (residual(lse_T, g_T, b_T, log_b_T, rho_y, epsilon) > tolerance)
        g_T = tl.where(held_T, -damp_y * lse_T, 0.0)
    lse_T = _log_sweep(cost_NST, a_NS, f_NS, g_T + log_b_T, s, t, stride, scale, damp_x, BLOCK_S, BLOCK_T)
    first = s
    while first < S:
        row_R = first + tl.arange(0, BLOCK_S)
        tl.store(f_NS + row_R, tl.zeros((BLOCK_S,), tl.float32), mask=row_R < S)
        first += BLOCK_S
    tl.store(g_NT + n * T + column_T, tl.where(column_T < t, -damp_y * lse_T / scale, 0.0), mask=column_T < T)
    tl.store(num_iterations_N + n, tl.where(s > 0, num_iterations + 1, 0))
