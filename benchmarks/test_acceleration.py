"""Time saved by over-relaxation: complete solutions of sharp plans, forward only, same states and tolerance.

OMP_NUM_THREADS=1 python -m pytest benchmarks/test_acceleration.py --benchmark-only --benchmark-columns=min,median,max
"""

from __future__ import annotations

from typing import Any

import pytest

from aista.losses import Sinkhorn
from benchmarks.ot.workload import WORKLOADS, make_case


@pytest.mark.parametrize("acceleration", ["none", "auto"])
@pytest.mark.parametrize("epsilon", [0.1, 0.03, 0.01, 0.003])
@pytest.mark.parametrize("workload", ["quickstart", "typical", "large"])
def test_acceleration(benchmark: Any, workload: str, epsilon: float, acceleration: str) -> None:
    benchmark.group = f"{workload}, epsilon {epsilon:g} of the mean cost, marginal error 1e-3"
    case = make_case(WORKLOADS[workload])
    solver = Sinkhorn(epsilon=epsilon, max_iterations=10_000, polish=False, acceleration=acceleration)
    result = benchmark(solver, *case)
    assert bool(result.converged.all())
    benchmark.extra_info["mean iterations"] = float(result.num_iterations.float().mean())
