"""OTT-JAX under ``jit`` and ``vmap``, in its faster kernel mode; gradients by its own envelope rule (Danskin)."""

from __future__ import annotations

from typing import Any

from torch.utils.dlpack import from_dlpack

from benchmarks.ot.rows.base import Outcome, Step
from benchmarks.ot.workload import EPSILON, ITERATIONS, Case

__all__ = ["prepare"]


def prepare(case: Case) -> Step:
    """Copy the arrays to JAX and compile for their shapes."""
    import jax
    from jax import numpy as jnp
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    counts = {"inner_iterations": ITERATIONS, "min_iterations": ITERATIONS, "max_iterations": ITERATIONS}
    solver = Sinkhorn(lse_mode=False, threshold=0.0, **counts)

    def value(x: Any, y: Any, a: Any, b: Any) -> Any:
        x, y = (z / jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (x, y))
        cost = 1 - x @ y.T
        epsilon = EPSILON * jax.lax.stop_gradient(a @ cost @ b)
        return solver(LinearProblem(Geometry(cost_matrix=cost, epsilon=epsilon), a=a, b=b)).reg_ot_cost

    def total(*arrays: Any) -> Any:
        value_B = jax.vmap(value)(*arrays)
        return value_B.sum(), value_B

    arrays = [jnp.array(z.numpy()) for z in (case.x_BSD, case.y_BTD, *case.masses())]
    compiled = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True)).lower(*arrays).compile()

    def step() -> Outcome:
        (_, value_B), gradients = jax.block_until_ready(compiled(*arrays))
        return Outcome(*(from_dlpack(z) for z in (value_B, *gradients)))

    return step
