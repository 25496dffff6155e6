"""Shared code of the Triton kernels: soft transforms of one tile, in base 2. README.md derives them.

R rows and T columns of a tile; potentials are in units of ``eps / log2(e)``.
"""

import triton
import triton.language as tl

INF = tl.constexpr(float("inf"))
LOG2E = tl.constexpr(1.4426950408889634)
SMALLEST = tl.constexpr(2.0**-100)  # sums beyond these bounds have lost, or are about to lose, the range of fp32
LARGEST = tl.constexpr(2.0**100)


@triton.jit
def content_lengths(x_lengths_N, y_lengths_N, n, S, T):
    """Both lengths of a sample: within the padded size, so that no access leaves it, and 0 where a side is empty."""
    s, t = tl.load(x_lengths_N + n).to(tl.int32), tl.load(y_lengths_N + n).to(tl.int32)
    s, t = tl.minimum(s, S), tl.minimum(t, T)
    has_both = (s > 0) & (t > 0)
    return tl.where(has_both, s, 0), tl.where(has_both, t, 0)


@triton.jit
def log2_or_minus_inf(mass):
    """``log2(mass)``, and -inf where there is none."""
    return tl.where(mass > 0, tl.log2(tl.where(mass > 0, mass, 1.0)), -INF)


@triton.jit
def damping(rho, epsilon):
    """``rho / (rho + eps)``; 1 where the marginal is held exactly."""
    finite = tl.where(rho == INF, 1.0, rho)
    return tl.where(rho == INF, 1.0, finite / (finite + epsilon))


@triton.jit
def optimal_factor(potential, rho):
    """Optimal marginal relative to the mass, ``exp(-potential / rho)``, with potential and ``rho`` in one unit."""
    finite = tl.where((rho == INF) | (rho == 0), 1.0, rho)
    return tl.where(rho == INF, 1.0, tl.exp2(-potential / finite * LOG2E))


@triton.jit
def scaled_costs(cost_NST, row_R, s, t, stride, scale, BLOCK_T: tl.constexpr):
    """``C / eps`` of some rows, 0 in the padding. Rows are ``stride`` apart, of which 16 is a divisor: wide loads."""
    column_T = tl.arange(0, BLOCK_T)
    there = (row_R < s)[:, None] & (column_T < stride)[None, :]
    cost_RT = tl.load(cost_NST + row_R[:, None] * stride + column_T[None, :], mask=there, other=0.0)
    return tl.where((column_T < t)[None, :], cost_RT.to(tl.float32), 0.0) * scale


@triton.jit
def row_entries(exponent_RT):
    """The largest exponent of each row, the entries ``exp2`` over it, and their sums, which are at least 1."""
    peak_R = tl.max(exponent_RT, 1)
    entry_RT = tl.exp2(exponent_RT - peak_R[:, None])
    return peak_R, entry_RT, tl.sum(entry_RT, 1)


@triton.jit
def row_potential(exponent_RT, damp):
    """The soft transform ``-d log2 sum exp2`` of each row."""
    peak_R, _, sum_R = row_entries(exponent_RT)
    return -damp * (peak_R + tl.log2(sum_R))


@triton.jit
def row_weight(peak_R, sum_R, a_R, damp, HELD: tl.constexpr):
    """Factor from :func:`row_entries` to the plan: ``a exp2(f + peak)``, without ``f`` where ``d`` is 1."""
    if HELD:
        return a_R / sum_R
    return tl.where(a_R > 0, a_R * tl.exp2((1 - damp) * peak_R - damp * tl.log2(sum_R)), 0.0)


@triton.jit
def usable(sums_T, held_T):
    """Whether the columns' masses, summed without a maximum, kept clear of the edges of fp32; NaN did not."""
    lost_T = held_T & ~((sums_T > SMALLEST) & (sums_T < LARGEST))
    return tl.sum(lost_T.to(tl.int32), 0) == 0


@triton.jit
def log_of_sums(sums_T, h_T, held_T):
    """The columns' log-sums from their masses, which hold ``h = g + log2 b`` as a factor; 0 where there is no mass."""
    return tl.where(held_T, tl.log2(tl.where(held_T, sums_T, 1.0)) - tl.where(held_T, h_T, 0.0), 0.0)


@triton.jit
def log_weight(f_R, log_a_R):
    """``f + log2 a``, and -inf where there is no mass."""
    return tl.where(log_a_R > -INF, f_R + log_a_R, -INF)


@triton.jit
def residual(lse_T, g_T, b_T, log_b_T, rho, epsilon):
    """L1 distance of the second marginal from where it must be, before ``g`` is updated; rho 0 asks nothing."""
    mass_T = tl.exp2(lse_T + g_T + log_b_T)
    target_T = b_T * optimal_factor(g_T * (epsilon / LOG2E), rho)
    error = tl.sum(tl.where(b_T > 0, tl.abs(mass_T - target_T), 0.0), 0)
    return tl.where(rho == 0, 0.0, error)
