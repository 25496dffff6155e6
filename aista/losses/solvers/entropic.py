"""Entropic transport, balanced or not: options, iterations, value, gradient and report in one place.

    OT_eps(a, b, C) = min_P <P, C> + eps KL(P | a b^T) + rho_x KL(P 1 | a) + rho_y KL(P^T 1 | b)

with ``KL(P | Q) = sum P log(P / Q) - P + Q``. In the balanced case (``rho`` infinite) this differs
from the entropy form ``<P, C> + eps sum P log P`` by the constant ``eps (H(a) + H(b))``,
``H(a) = -sum a log a``; the plan is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from aista.losses.kernels.sinkhorn import ragged
from aista.losses.kernels.sinkhorn.backend import BACKENDS, kernel, resolve
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem, Potentials
from aista.losses.solvers import on_device
from aista.losses.solvers.base import OTResult
from aista.losses.solvers.gradient import with_gradient
from aista.losses.solvers.implicit import linear_derivatives
from aista.losses.solvers.iterative import Iterative
from aista.losses.solvers.pairwise import no_autocast
from aista.losses.solvers.polish import newton_step, padded_newton_step
from aista.losses.solvers.problem import Problem, check_problems, choose
from aista.losses.solvers.uncompiled import uncompiled
from aista.schema import option

__all__ = ["Balanced", "Entropic", "solve"]

GRADIENTS = ("envelope", "implicit", "unrolled")
ACCELERATIONS = ("auto", "none", "overrelaxation")
ROUNDING = 16  # machine epsilons of marginal error that sums of a sample's masses have anyway


@dataclass(frozen=True, kw_only=True)
class Entropic(Iterative):
    """Options of every entropic solver; the solvers differ in the properties."""

    gradient: str = option(
        "envelope",
        "envelope: gradient of the regularised value, read from the plan; implicit: gradient of the linear "
        "value, from a T x T solve. Both are as accurate as the marginals. unrolled: autograd through the "
        "log-domain iterations, exact for the iterate reached but slow and memory-hungry: for checks.",
        choices=GRADIENTS,
    )
    backend: str = option(
        "auto",
        "Implementation: reference (log domain), scaling (exp domain, on any device, and log domain for samples that "
        "leave its range), batched (scaling of the padded batch at once: faster for small batches on a CPU, but a "
        "sample's last bits depend on its batch), triton (one kernel launch on a GPU, fp32), or auto: triton where it "
        "can run, else scaling.",
        choices=BACKENDS,
    )

    @property
    def rho(self) -> tuple[float, float]:
        """Strengths of the penalties on the two marginals, in units of the cost: inf is exact, 0 is none."""
        return math.inf, math.inf

    @property
    def balanced(self) -> bool:
        """Whether both marginals must be exact."""
        return self.rho == (math.inf, math.inf)

    @property
    def batched(self) -> bool | None:
        """Whether the padded batch is taken at once; None: where the states' device says so."""
        return True if self.backend == "batched" else None

    @property
    def value(self) -> str:
        """The quantity returned as value: OT_eps (``regularized``), or ``<P, C>`` alone (``linear``)."""
        return "regularized"

    @property
    def acceleration(self) -> str:
        """Whether updates may overshoot; see :class:`Balanced`."""
        return "auto"

    @property
    def polish(self) -> bool:
        """Whether a Newton step may follow; see :class:`Balanced`."""
        return True

    def __post_init__(self) -> None:
        super().__post_init__()
        overrelaxed = self.acceleration == "overrelaxation"
        if self.gradient == "implicit" and self.value != "linear":
            raise ValueError(
                "gradient 'implicit' is that of value 'linear'; of the regularized value 'envelope' is exact already"
            )
        if self.gradient == "unrolled" and (overrelaxed or self.backend not in ("auto", "reference")):
            raise ValueError(
                f"gradient 'unrolled' tapes plain iterations: it needs backend 'auto' or 'reference' and acceleration "
                f"'auto' or 'none', got {self.backend!r} and {self.acceleration!r}"
            )
        if overrelaxed and self.backend not in ("auto", "scaling"):
            raise ValueError(f"acceleration 'overrelaxation' needs backend 'auto' or 'scaling', got {self.backend!r}")


@dataclass(frozen=True, kw_only=True)
class Balanced(Entropic):
    """Options of entropic solvers whose plan has both marginals."""

    acceleration: str = option(
        "auto",
        "Over-relaxation saves two thirds to nine tenths of the iterations at small epsilon. auto: on backend "
        "scaling with a tolerance above 0, for samples that have some 30 or more to go; overrelaxation: from the "
        "start; none: never.",
        choices=ACCELERATIONS,
    )
    polish: bool = option(
        True,
        "Newton step after the iterations, taken for each sample whose marginal error it lowers. It about "
        "squares that error, and the gradient's, at the cost of a T x T Cholesky. Not taken with gradient: "
        "unrolled.",
    )


def solve(problem: Problem, options: Entropic, epsilon_N: Tensor | None = None) -> OTResult:
    """Solve all samples of ``problem`` and attach the gradient. ``epsilon_N`` overrules the options' epsilon."""
    check_problems(problem)
    backend = _backend(problem, options)
    if backend == "triton" and options.value == "regularized":
        return on_device.solve(
            problem,
            epsilon=options.epsilon if epsilon_N is None else epsilon_N,
            epsilon_scale=options.epsilon_scale,
            rho=options.rho,
            max_iterations=options.max_iterations,
            tolerance=options.tolerance,
            polish=options.polish and options.balanced,
        )
    return _solve_compact(problem, options, epsilon_N, backend)


@uncompiled
def _solve_compact(problem: Problem, options: Entropic, epsilon_N: Tensor | None, backend: str) -> OTResult:
    whole, problem = problem, problem.compact()
    if epsilon_N is not None and whole.rows is None:
        epsilon_N = epsilon_N[problem.rows]
    plain = problem.detached()
    taped = options.gradient == "unrolled" and torch.is_grad_enabled()
    with no_autocast(problem.cost.device), torch.set_grad_enabled(taped):
        task = _task(problem if taped else plain, options, epsilon_N)
        potentials = _iterate(task, options, backend)
        solution = _evaluate(task, potentials, backend)
        if options.polish and options.balanced and not taped:
            potentials, solution = _polish(task, potentials, solution, backend)
        value = solution.transport_cost if options.value == "linear" else solution.value
        if options.value == "linear":
            derivatives = linear_derivatives(task, solution.ratio_NST)
        else:
            derivatives = (solution.plan(task), solution.a_derivative, solution.b_derivative)
    if not taped:
        sources = (problem.cost, problem.x_mass, problem.y_mass)
        value = with_gradient(value, *zip(sources, derivatives, strict=True))
    kept = _task(plain, options, task.epsilon_N) if taped else task  # without a graph, which a plan does not need
    found = Potentials(*(z.detach() for z in potentials))

    def build_plan() -> Tensor:
        with torch.no_grad():
            return _evaluate(kept, found, backend).plan(kept)

    return OTResult.of(
        problem,
        value_N=value,
        transport_cost_N=solution.transport_cost,
        potentials=potentials[:2],
        num_iterations_N=potentials.num_iterations_N,
        marginal_error_N=solution.marginal_error,
        converged_N=(solution.marginal_error <= options.tolerance) & value.isfinite(),
        plan_NST=build_plan,
    )


class _Solution(NamedTuple):
    """Values and derivatives of each sample at its potentials. ``ratio`` is ``P / (a b^T)``."""

    value: Tensor
    transport_cost: Tensor
    marginal_error: Tensor
    a_derivative: Tensor
    b_derivative: Tensor
    ratio_NST: Tensor

    def plan(self, task: EntropicProblem) -> Tensor:
        return task.a_NS[:, :, None] * self.ratio_NST * task.b_NT[:, None, :]


def _task(problem: Problem, options: Entropic, epsilon_N: Tensor | None) -> EntropicProblem:
    tensors = problem.cost, problem.x_mass, problem.y_mass
    if epsilon_N is None:
        epsilon_N = options.epsilon_per_sample(problem)
    return EntropicProblem(*tensors, problem.lengths, epsilon_N, *options.rho)


def _backend(problem: Problem, options: Entropic) -> str:
    if options.gradient == "unrolled" and torch.is_grad_enabled():
        return "reference"
    return resolve("scaling" if options.acceleration == "overrelaxation" else options.backend, problem.cost)


def _iterate(task: EntropicProblem, options: Entropic, backend: str) -> Potentials:
    if not task.lengths_N2:
        return Potentials(task.a_NS, task.b_NT, torch.zeros_like(task.epsilon_N, dtype=torch.long))
    automatic = options.acceleration == "auto" and options.balanced and options.tolerance > 0
    overrelaxed = backend == "scaling" and (automatic or options.acceleration == "overrelaxation")
    how = {"overrelaxed": True} if overrelaxed else {}
    f, g, num_iterations = kernel(backend).solve(task, options.max_iterations, options.tolerance, **how)
    return Potentials(f.masked_fill(~task.x_mask, 0.0), g.masked_fill(~task.y_mask, 0.0), num_iterations)


def _evaluate(task: EntropicProblem, potentials: Potentials, backend: str) -> _Solution:
    """The dual value at the potentials; its derivatives by cost and masses at fixed potentials are exact."""
    if task.lengths_N2 and backend == "triton":
        launch = kernel("triton")
        found = launch.evaluate(launch.load_problem(task), potentials, entry="ratio")
        return _Solution(found.value_N, *found[1:3], *found[4:])
    f, g, _ = potentials
    a, b, eps = task.a_NS, task.b_NT, task.epsilon_N[:, None]
    sums = kernel(backend) if backend == "batched" else ragged
    exponent = (f[:, :, None] + g[:, None, :] - task.cost_NST) / eps[:, :, None]
    ratio = exponent.masked_fill(task.unused, -torch.inf).exp()
    x_factor = sums.weighted_row_sum(ratio.mT, b)  # first marginal over a
    y_factor = sums.weighted_row_sum(ratio, a)  # second marginal over b
    mass = sums.weighted_sum(x_factor, a)
    f_gain, g_gain = _gain(f, task.rho_x), _gain(g, task.rho_y)
    error = torch.maximum(
        sums.weighted_sum(_deviation(x_factor, f, task.rho_x), a),
        sums.weighted_sum(_deviation(y_factor, g, task.rho_y), b),
    )
    return _Solution(
        value=sums.weighted_sum(f_gain, a) + sums.weighted_sum(g_gain, b) - task.epsilon_N * (mass - 1),
        transport_cost=sums.weighted_sum(sums.weighted_row_sum(ratio * task.cost_NST, a), b),
        marginal_error=error.detach(),
        a_derivative=f_gain - eps * (x_factor - 1),
        b_derivative=g_gain - eps * (y_factor - 1),
        ratio_NST=ratio,
    )


def _polish(
    task: EntropicProblem, potentials: Potentials, solution: _Solution, backend: str
) -> tuple[Potentials, _Solution]:
    """Take a Newton step for the samples whose marginal error it lowers; rounding cannot be lowered."""
    rounding = ROUNDING * torch.finfo(solution.marginal_error.dtype).eps
    rough = (solution.marginal_error > rounding).nonzero()[:, 0].tolist()
    if not rough:
        return potentials, solution
    if backend == "batched":
        f, g = padded_newton_step(task, *potentials[:2], solution.ratio_NST)
    else:
        f, g = newton_step(task, *potentials[:2], solution.ratio_NST, rough)
    step = Potentials(f, g, potentials.num_iterations_N)
    after = _evaluate(task, step, backend)
    is_better = after.marginal_error < solution.marginal_error
    return Potentials(*choose(is_better, step, potentials)), _Solution(*choose(is_better, after, solution))


def _gain(potential: Tensor, rho: float) -> Tensor:
    """Contribution of a potential to the dual value per unit of mass: ``-KL(. | a)^*(-f)``."""
    if rho == math.inf:
        return potential
    return -rho * torch.expm1(-potential / rho) if rho > 0 else torch.zeros_like(potential)


def _deviation(factor: Tensor, potential: Tensor, rho: float) -> Tensor:
    """Deviation of a marginal, relative to its mass, from its target."""
    if rho == math.inf:
        return (factor - 1).abs()
    return (factor - torch.exp(-potential / rho)).abs() if rho > 0 else torch.zeros_like(factor)
