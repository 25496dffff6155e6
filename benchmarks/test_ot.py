"""Every transport solver, forward and backward, on the workloads of ``benchmarks.ot``.

    OMP_NUM_THREADS=1 pytest benchmarks/test_ot.py --benchmark-group-by=param:workload --benchmark-sort=min

For figures to quote, with peers taking turns and errors beside the times, use ``benchmarks.ot``.
"""

from __future__ import annotations

import pytest

from aista.losses.solvers.exact import exact
from aista.losses.solvers.ipot import ipot
from aista.losses.solvers.partial import partial
from aista.losses.solvers.relaxed import relaxed
from aista.losses.solvers.sinkhorn import sinkhorn
from aista.losses.solvers.sinkhorn_divergence import sinkhorn_divergence
from aista.losses.solvers.sliced import sliced
from benchmarks.ot.rows.base import Row
from benchmarks.ot.rows.own import solver
from benchmarks.ot.rows.table import ROWS
from benchmarks.ot.workload import WORKLOADS, make_case

OTHERS = {
    "sinkhorn_divergence": solver(sinkhorn_divergence),
    "unbalanced": solver(sinkhorn, rho=(1.0, 1.0)),
    "log_domain": solver(sinkhorn, backend="reference"),
    "exact": solver(exact),
    "partial": solver(partial),
    "ipot": solver(ipot),
    "relaxed": solver(relaxed),
    "sliced": solver(sliced),
}
STEPS = ROWS | {name: Row(summary="", prepare=prepare, ours=True) for name, prepare in OTHERS.items()}


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("step", STEPS)
def test_step(benchmark, workload, step):
    if not STEPS[step].is_installed:
        pytest.skip(f"{STEPS[step].distribution} is not installed; pip install '{STEPS[step].extra}'")
    rounds = 7 if WORKLOADS[workload].D < 1024 else 4
    benchmark.pedantic(STEPS[step].prepare(make_case(WORKLOADS[workload])), rounds=rounds, warmup_rounds=1)
