"""Self-test of the GPU kernels on first use of a device: one small problem, compared with the exp-domain path."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn import scaling
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem

__all__ = ["fault"]

LENGTHS = ((24, 10), (7, 3))
NUM_ITERATIONS = 20
VALUE_BOUND, PLAN_BOUND = 1e-4, 1e-3  # of the largest value; of the largest entry

_faults: dict[torch.device, str] = {}


def fault(cost_NST: Tensor) -> str:
    """Describe what is wrong with the kernels on the device of these costs; "" if nothing. Once per process and device.

    Nothing is looked at while a graph is traced, or for tensors without values: they are taken to work.
    """
    device = cost_NST.device
    if device not in _faults:
        if torch.compiler.is_compiling() or type(cost_NST) is not Tensor:
            return ""
        _faults[device] = _look(device)
    return _faults[device]


@torch.no_grad()
def _look(device: torch.device) -> str:
    import triton

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    where = f"on {device} ({name}; torch {torch.__version__}, triton {triton.__version__})"
    try:
        value_error, plan_error = _errors(_problem(device))
    except Exception as error:  # whatever a compiler or driver raises
        return f"they fail {where}: {type(error).__name__}: {error}"
    if value_error <= VALUE_BOUND and plan_error <= PLAN_BOUND:
        return ""
    return (
        f"they are wrong {where}: on a fixed problem the value differs by {value_error:.1e} (allowed: "
        f"{VALUE_BOUND:.0e}) and the plan by {plan_error:.1e} (allowed: {PLAN_BOUND:.0e}) from that of "
        f"backend 'scaling'"
    )


def _problem(device: torch.device) -> EntropicProblem:
    S, T = LENGTHS[0]
    i, j = torch.arange(S, dtype=torch.float32)[:, None], torch.arange(T, dtype=torch.float32)
    cost = torch.stack([1 + torch.sin(i + 3 * j), 1 + torch.sin(2 * i - j)])
    lengths = torch.tensor(LENGTHS)
    content = (i < lengths[:, :1, None]) & (j < lengths[:, 1:, None])
    a, b = content.any(2).float(), content.any(1).float()
    return EntropicProblem(
        cost_NST=torch.where(content, cost, 0.0).to(device),
        a_NS=(a / a.sum(1, keepdim=True)).to(device),
        b_NT=(b / b.sum(1, keepdim=True)).to(device),
        lengths_N2=LENGTHS,
        epsilon_N=torch.full((2,), 0.1, device=device),
        rho_x=math.inf,
        rho_y=math.inf,
    )


def _errors(problem: EntropicProblem) -> tuple[float, float]:
    """Largest differences of values and plans, over the largest value and entry; NaN where one is."""
    from aista.losses.kernels.sinkhorn import launch

    loaded = launch.load_problem(problem)
    f, g, _ = scaling.solve(problem, NUM_ITERATIONS, 0.0)
    exponent = (f[:, :, None] + g[:, None] - problem.cost_NST) / problem.epsilon_N[:, None, None]
    plan = exponent.exp() * problem.a_NS[:, :, None] * problem.b_NT[:, None]
    value = (f * problem.a_NS).sum(1) + (g * problem.b_NT).sum(1) - problem.epsilon_N * (plan.sum((1, 2)) - 1)
    found = launch.evaluate(loaded, launch.iterate(loaded, NUM_ITERATIONS, 0.0))
    value_error = (found.value_N - value).abs().max() / value.abs().max()
    plan_error = (found.entry_NST - plan).abs().max() / plan.max()
    return float(value_error), float(plan_error)
