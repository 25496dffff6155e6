from dataclasses import replace

import pytest
import torch

from aista import registry
from aista.losses import OTResult
from aista.schema import resolve
from aista.testing import ot_solver as contract


class Correct:
    """The product coupling (what transport becomes as epsilon grows), in plain PyTorch."""

    def __call__(self, x, y, x_lengths, y_lengths):
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        rows = [
            self.solve(a[:s].to(dtype), b[:t].to(dtype))
            for a, b, s, t in zip(x, y, x_lengths.tolist(), y_lengths.tolist(), strict=True)
        ]
        plan = torch.zeros(len(x), x.shape[1], y.shape[1], dtype=dtype)
        for row, (_, part) in zip(plan, rows, strict=True):
            row[: part.shape[0], : part.shape[1]] = part
        value = torch.stack([value for value, _ in rows])
        none = torch.zeros(len(x), dtype=dtype)
        return self.change(
            OTResult(
                value=value,
                transport_cost=value.detach(),
                potentials=(x.new_zeros(x.shape[:-1]), y.new_zeros(y.shape[:-1])),
                num_iterations=none.long(),
                marginal_error=none,
                converged=none == 0,
                build_plan=lambda: plan,
            ),
            x,
            y,
        )

    def solve(self, x, y):
        if not len(x) or not len(y):
            return (x.sum() + y.sum()) * 0, x.new_zeros(len(x), len(y))
        cost = (x[:, None] - y[None]).square().sum(-1)
        plan = torch.full_like(cost, 1 / cost.numel())
        return (plan.detach() * cost).sum(), plan.detach()

    def change(self, result, x, y):
        return result


class Changed(Correct):
    """Answers that go through a function."""

    def __init__(self, change):
        self.change = change


def with_value(function):
    return lambda: Changed(lambda result, x, y: replace(result, value=function(result.value, x, y)))


def with_plan(function):
    return lambda: Changed(lambda result, x, y: replace(result, build_plan=lambda: function(result.build_plan(), x, y)))


def with_report(**changes):
    return lambda: Changed(lambda result, x, y: replace(result, **{k: f(result) for k, f in changes.items()}))


class Lopsided(Correct):
    def solve(self, x, y):
        value, plan = super().solve(x, y)
        if len(x) > 1 and len(y) > 1:
            plan = plan.clone()
            plan[0] *= 1.5
            plan /= plan.sum()
        return value, plan


class WrongDirection(Correct):
    def solve(self, x, y):
        value, plan = super().solve(x, y)
        return 2 * value.detach() - value, plan


class EmptyIsInfinite(Correct):
    def solve(self, x, y):
        value, plan = super().solve(x, y)
        return (value, plan) if len(x) and len(y) else (value + 1, plan)


def zero(states):
    """Nothing, with a gradient."""
    return (states.nan_to_num() - states.nan_to_num().detach()).sum(-1)


def paint_corner(plan, x, y):
    plan = plan.clone()
    plan[1, -1, -1] = 0.1
    return plan


CASES = [
    (contract.check_shapes, with_value(lambda value, x, y: value.sum()), r"value must have the shape \[4\]"),
    (
        contract.check_shapes,
        with_value(lambda value, x, y: value.double()),
        "torch.float32 states must give torch.float32",
    ),
    (contract.check_shapes, with_value(lambda value, x, y: value / 0), "values must be finite"),
    (contract.check_shapes, with_plan(lambda plan, x, y: plan[:, :-1]), r"the plan must be \[4, 9, 6\]"),
    (contract.check_shapes, with_report(converged=lambda r: r.value.detach()), "converged must be bool"),
    (contract.check_marginals, with_plan(lambda plan, x, y: -plan), "the plan has negative entries"),
    (contract.check_marginals, with_plan(lambda plan, x, y: 2 * plan), r"masses of plans must lie in \(0, 1\]"),
    (contract.check_marginals, with_plan(paint_corner), r"masses|the plan puts mass into the padding"),
    (contract.check_marginals, with_plan(lambda plan, x, y: plan.requires_grad_()), "the plan must be detached"),
    (contract.check_marginals, Lopsided, "says marginal_error 0, but the plan's marginals are off by"),
    (contract.check_marginals, with_report(marginal_error=lambda r: r.marginal_error + 1), "says converged with"),
    (
        contract.check_padding,
        with_value(lambda value, x, y: value + 0 * x.sum((1, 2))),
        "the x padding of row 1 gets|by up to nan",
    ),
    (
        contract.check_padding,
        with_value(lambda value, x, y: value + x[:, -1].detach().nan_to_num().sum(-1)),
        "values depend on the content of the padding",
    ),
    (
        contract.check_padding,
        with_value(lambda value, x, y: value + zero(x[:, -1])),
        "the x padding of row 1 gets a gradient",
    ),
    (contract.check_padding, with_value(lambda value, x, y: value + x.shape[1]), "depend on the amount of padding"),
    (contract.check_batch_invariance, with_value(lambda value, x, y: value - value.mean()), "row 0's value depends"),
    (
        contract.check_batch_invariance,
        with_value(lambda value, x, y: value * value.detach().mean() + value.detach() * (1 - value.detach().mean())),
        "row 0's gradient depends on the other rows",
    ),
    (contract.check_empty_rows, EmptyIsInfinite, "row 1 has an empty side, so its value must be 0, got 1.0"),
    (
        contract.check_empty_rows,
        with_plan(lambda plan, x, y: plan + 0.01),
        "row 1 has an empty side, so its plan must be 0",
    ),
    (contract.check_gradients, WrongDirection, "along x's gradient the value changes by -|the gradient says"),
    (contract.check_gradients, with_value(lambda value, x, y: value.detach()), "x gets no gradient"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_solver_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_solver_passes(check):
    check(Correct())


def test_a_solver_that_frees_a_marginal_says_so():
    solver = Lopsided()
    solver.balanced = False
    contract.check_marginals(solver)


def test_marginals_of_a_solver_stopped_too_early_are_off_as_it_says():
    solver = registry.build("ot_solver", resolve("ot_solver", {"name": "sinkhorn", "config": {"max_iterations": 1}}))
    contract.check_marginals(solver)
