"""The library runs on a GPU alone; a stand-in with its call and conventions shows what the adapter poses."""

import sys
from types import ModuleType

import pytest
import torch

from aista.losses import Sinkhorn, from_cost
from aista.losses.costs import SqEuclidean
from benchmarks.ot.check import measure_errors, solve_exactly
from benchmarks.ot.rows import flash_sinkhorn
from benchmarks.ot.rows.table import ROWS


class SamplesLoss:
    """``OT_eps`` in its KL form of one pair of clouds, with uniform masses."""

    def __init__(self, *, eps, n_iters, half_cost, allow_tf32, use_epsilon_scaling, backend):
        assert (backend, use_epsilon_scaling, allow_tf32) == ("alternating", False, False)
        options = {"epsilon": eps, "epsilon_scale": "absolute", "max_iterations": n_iters, "tolerance": 0.0}
        self.solver, self.factor = Sinkhorn(backend="reference", polish=False, **options), 0.5 if half_cost else 1.0

    def __call__(self, x, y):
        assert x.dim() == y.dim() == 2
        cost = self.factor * SqEuclidean()(x, y)[None]
        return self.solver.solve(from_cost(cost, torch.tensor([len(x)]), torch.tensor([len(y)]))).value[0]


@pytest.fixture
def _stand_in(monkeypatch):
    module = ModuleType("flash_sinkhorn")
    module.SamplesLoss = SamplesLoss
    monkeypatch.setitem(sys.modules, "flash_sinkhorn", module)


@pytest.mark.usefixtures("_stand_in")
def test_half_the_squared_distance_of_unit_states_is_the_cosine_distance(case):
    errors = measure_errors(flash_sinkhorn.prepare(case)(), solve_exactly(case))
    assert not errors.faults(ROWS["flash_sinkhorn"])


def test_the_row_says_why_it_cannot_run():
    row = ROWS["flash_sinkhorn"]
    assert row.obstacle("cpu") in ("needs a GPU", "flash-sinkhorn is not installed; pip install 'aista[peers]'")
