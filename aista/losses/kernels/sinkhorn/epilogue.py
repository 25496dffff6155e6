"""Triton kernels that run after the iterations: value, error and derivatives in one pass over the costs."""

import triton
import triton.language as tl

from aista.losses.kernels.sinkhorn.transform import INF, LOG2E, content_lengths, optimal_factor, scaled_costs


@triton.jit
def _expm1(x):
    """``exp(x) - 1`` without cancellation."""
    small = tl.abs(x) < 0.5
    z = tl.where(small, x, 0.0)
    series = z * (1 + z / 2 * (1 + z / 3 * (1 + z / 4 * (1 + z / 5 * (1 + z / 6 * (1 + z / 7 * (1 + z / 8)))))))
    return tl.where(small, series, tl.exp2(x * LOG2E) - 1)


@triton.jit
def _gain(potential, rho):
    """Contribution of a potential to the dual value per unit of mass."""
    finite = tl.where((rho == INF) | (rho == 0), 1.0, rho)
    penalised = tl.where(rho == 0, 0.0, -finite * _expm1(-potential / finite))
    return tl.where(rho == INF, potential, penalised)


@triton.jit
def _marginal_error(factor, potential, mass, rho):
    error = tl.sum(tl.where(mass > 0, mass * tl.abs(factor - optimal_factor(potential, rho)), 0.0), 0)
    return tl.where(rho == 0, 0.0, error)


@triton.jit
def _larger(x_error, y_error):
    """The larger of two errors. A maximum may drop NaN; the sum keeps it."""
    return tl.where(x_error > y_error, x_error, x_error * 0.0 + y_error)


@triton.jit
def _ratio(cost_RT, f_R, g_T, a_R, b_T, inside, epsilon):
    """``P / (a b^T)`` of a tile. Where neither end has mass an entry has no influence, and may overflow: it is 0."""
    used = inside & ((a_R > 0)[:, None] | (b_T > 0)[None, :])
    exponent_RT = (f_R[:, None] + g_T[None, :] - cost_RT) * (LOG2E / epsilon)
    return tl.exp2(tl.where(used, exponent_RT, -INF))


@triton.jit
def evaluate(
    cost_NST, a_NS, b_NT, x_lengths_N, y_lengths_N, epsilon_N, f_NS, g_NT,
    value_N, transport_cost_N, marginal_error_N, converged_N, a_derivative_NS, b_derivative_NT, entry_NST,
    S, T, stride, rho_x, rho_y, tolerance,
    BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr, ENTRY: tl.constexpr,
):  # fmt: skip
    """Value, ``<P, C>``, marginal error, and derivatives by the masses; of each entry what ``ENTRY`` says.

    ``plan``; ``ratio``, which is ``P / (a b^T)``; or ``rows``: the plan's rows scaled to sum 1, in which case the
    derivatives by ``a`` are replaced by what the rows' sums were, over ``a``.
    """
    n = tl.program_id(0).to(tl.int64)
    s, t = content_lengths(x_lengths_N, y_lengths_N, n, S, T)
    epsilon = tl.load(epsilon_N + n)
    cost_NST += n * S * stride
    entry_NST += n * S * stride
    column_T = tl.arange(0, BLOCK_T)
    b_T = tl.load(b_NT + n * T + column_T, mask=column_T < t, other=0.0)
    g_T = tl.load(g_NT + n * T + column_T, mask=column_T < t, other=0.0)
    y_factor_RT = tl.zeros((BLOCK_S, BLOCK_T), tl.float32)
    transport_RT = tl.zeros((BLOCK_S, BLOCK_T), tl.float32)
    value = tl.sum(tl.where(b_T > 0, b_T * _gain(g_T, rho_y), 0.0), 0) + tl.where(s > 0, epsilon, 0.0)
    value += tl.sum(b_T, 0) * 0.0  # NaN is not above 0, but is not no mass either
    x_error = 0.0
    first = 0
    while first < S:
        row_R = first + tl.arange(0, BLOCK_S)
        inside = (row_R < s)[:, None] & (column_T < t)[None, :]
        cost_RT = scaled_costs(cost_NST, row_R, s, t, stride, 1.0, BLOCK_T)
        a_R = tl.load(a_NS + n * S + row_R, mask=row_R < s, other=0.0)
        f_R = tl.load(f_NS + n * S + row_R, mask=row_R < s, other=0.0)
        ratio_RT = _ratio(cost_RT, f_R, g_T, a_R, b_T, inside, epsilon)
        x_plan_RT = ratio_RT * b_T[None, :]
        plan_RT = a_R[:, None] * x_plan_RT
        x_factor_R = tl.sum(x_plan_RT, 1)
        y_factor_RT += a_R[:, None] * ratio_RT
        transport_RT += plan_RT * cost_RT
        gain_R = _gain(f_R, rho_x)
        value += tl.sum(tl.where(a_R > 0, a_R * (gain_R - epsilon * x_factor_R), 0.0), 0) + tl.sum(a_R, 0) * 0.0
        x_error += _marginal_error(x_factor_R, f_R, a_R, rho_x)
        stored = (row_R < S)[:, None] & (column_T < stride)[None, :]
        offset_RT = row_R[:, None] * stride + column_T[None, :]
        if ENTRY == "rows":
            sum_R = tl.where(x_factor_R == 0, 1.0, x_factor_R)
            tl.store(a_derivative_NS + n * S + row_R, sum_R, mask=row_R < S)
            tl.store(entry_NST + offset_RT, x_plan_RT / sum_R[:, None], mask=stored)
        else:
            derivative_R = tl.where(row_R < s, gain_R - epsilon * (x_factor_R - 1), 0.0)
            tl.store(a_derivative_NS + n * S + row_R, derivative_R, mask=row_R < S)
            tl.store(entry_NST + offset_RT, ratio_RT if ENTRY == "ratio" else plan_RT, mask=stored)
        first += BLOCK_S
    y_factor_T = tl.sum(y_factor_RT, 0)
    derivative_T = tl.where(column_T < t, _gain(g_T, rho_y) - epsilon * (y_factor_T - 1), 0.0)
    tl.store(b_derivative_NT + n * T + column_T, derivative_T, mask=column_T < T)
    error = _larger(x_error, _marginal_error(y_factor_T, g_T, b_T, rho_y))
    # A length that is negative or beyond the padded size has no answer.
    x_length, y_length = tl.load(x_lengths_N + n), tl.load(y_lengths_N + n)
    is_within = (x_length >= 0) & (x_length <= S) & (y_length >= 0) & (y_length <= T)
    value = tl.where(is_within, value, float("nan"))
    tl.store(value_N + n, value)
    tl.store(transport_cost_N + n, tl.sum(tl.sum(transport_RT, 1), 0))
    tl.store(marginal_error_N + n, error)
    tl.store(converged_N + n, (error <= tolerance) & (tl.abs(value) < INF))


@triton.jit
def choose(
    cost_NST, a_NS, b_NT, x_lengths_N, y_lengths_N, epsilon_N, f_NS, g_NT, error_N, other_f_NS, other_g_NT,
    chosen_f_NS, chosen_g_NT, S, T, stride, rho_x, rho_y,
    BLOCK_S: tl.constexpr, BLOCK_T: tl.constexpr,
):  # fmt: skip
    """A sample's potentials, or the other ones if their marginal error is below ``error``; both 0 in the padding."""
    n = tl.program_id(0).to(tl.int64)
    s, t = content_lengths(x_lengths_N, y_lengths_N, n, S, T)
    epsilon = tl.load(epsilon_N + n)
    cost_NST += n * S * stride
    column_T = tl.arange(0, BLOCK_T)
    b_T = tl.load(b_NT + n * T + column_T, mask=column_T < t, other=0.0)
    g_T = tl.load(other_g_NT + n * T + column_T, mask=column_T < t, other=0.0)
    y_factor_RT = tl.zeros((BLOCK_S, BLOCK_T), tl.float32)
    x_error = 0.0
    first = 0
    while first < s:
        row_R = first + tl.arange(0, BLOCK_S)
        inside = (row_R < s)[:, None] & (column_T < t)[None, :]
        cost_RT = scaled_costs(cost_NST, row_R, s, t, stride, 1.0, BLOCK_T)
        a_R = tl.load(a_NS + n * S + row_R, mask=row_R < s, other=0.0)
        f_R = tl.load(other_f_NS + n * S + row_R, mask=row_R < s, other=0.0)
        ratio_RT = _ratio(cost_RT, f_R, g_T, a_R, b_T, inside, epsilon)
        x_error += _marginal_error(tl.sum(ratio_RT * b_T[None, :], 1), f_R, a_R, rho_x)
        y_factor_RT += a_R[:, None] * ratio_RT
        first += BLOCK_S
    y_error = _marginal_error(tl.sum(y_factor_RT, 0), g_T, b_T, rho_y)
    is_better = _larger(x_error, y_error) < tl.load(error_N + n)
    first = 0
    while first < S:
        row_R = first + tl.arange(0, BLOCK_S)
        f_R = tl.load(f_NS + n * S + row_R, mask=row_R < S, other=0.0)
        other_R = tl.load(other_f_NS + n * S + row_R, mask=row_R < s, other=0.0)
        tl.store(chosen_f_NS + n * S + row_R, tl.where(is_better, other_R, f_R), mask=row_R < S)
        first += BLOCK_S
    own_T = tl.load(g_NT + n * T + column_T, mask=column_T < T, other=0.0)
    tl.store(chosen_g_NT + n * T + column_T, tl.where(is_better, g_T, own_T), mask=column_T < T)
