"""Every transport solver, forward and backward, on the workloads of ``benchmarks.ot``.

    OMP_NUM_THREADS=1 pytest benchmarks/test_ot.py --benchmark-group-by=param:workload --benchmark-sort=min

For figures to quote, with peers taking turns and errors beside the times, use ``benchmarks.ot``.
"""

from __future__ import annotations

import pytest

from aista.losses import Exact, Ipot, Partial, Relaxed, Sinkhorn, SinkhornDivergence, Sliced, Unbalanced
from benchmarks.ot.rows.base import Row
from benchmarks.ot.rows.own import solver
from benchmarks.ot.rows.table import ROWS
from benchmarks.ot.workload import WORKLOADS, make_case

OTHERS = {
    "sinkhorn_divergence": solver(SinkhornDivergence()),
    "unbalanced": solver(Unbalanced()),
    "log_domain": solver(Sinkhorn(backend="reference")),
    "exact": solver(Exact()),
    "partial": solver(Partial()),
    "ipot": solver(Ipot()),
    "relaxed": solver(Relaxed()),
    "sliced": solver(Sliced()),
}
STEPS = ROWS | {name: Row(summary="", prepare=prepare, ours=True) for name, prepare in OTHERS.items()}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("step", STEPS)
def test_step(benchmark, workload, step):
    if not STEPS[step].is_installed:
        pytest.skip(f"{STEPS[step].distribution} is not installed; pip install '{STEPS[step].extra}'")
    rounds = 7 if WORKLOADS[workload].D < 1024 else 4
    benchmark.pedantic(STEPS[step].prepare(make_case(WORKLOADS[workload])), rounds=rounds, warmup_rounds=1)
