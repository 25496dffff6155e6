"""The example of a solver keeps the order of both sequences."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aista.errors import ConfigError
from aista.losses import Exact
from aista.losses.ot import OTAlignment, OTAlignmentConfig
from aista.registry import get, load_plugins
from aista.schema import structure
from aista.types import LayerStates
from tests.losses.clouds import check_transport, clouds
from tests.losses.layers import ONE_LAYER

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _plugin():
    load_plugins(["./ot_solver.py"], base=EXAMPLES)


def _loss(**config: object) -> OTAlignment:
    return OTAlignment(structure(OTAlignmentConfig, {"solver": {"name": "my_ot_solver", "config": config}}))


@pytest.mark.parametrize("sharpness", [1.0, 0.3])
def test_it_transports(sharpness):
    case = clouds([7, 1, 0, 4], [3, 5, 2, 4])
    solver = _loss(sharpness=sharpness).solver
    cost = (case.x[:, :, None] - case.y[:, None]).pow(2).sum(-1)
    check_transport(solver(*case, cost="sqeuclidean"), case, cost, atol=1e-5)


def test_it_is_optimal_where_order_is_everything():
    """On the line, sorted points are best matched in order."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 6, 1, generator=g).sort(1).values, torch.rand(2, 4, 1, generator=g).sort(1).values
    lengths = torch.tensor([6, 3]), torch.tensor([4, 4])
    result = _loss().solver(x, y, *lengths, cost="sqeuclidean")
    torch.testing.assert_close(result.value, Exact()(x, y, *lengths, cost="sqeuclidean").value, atol=1e-5, rtol=1e-5)


def test_it_trains_in_the_alignment_loss():
    case = clouds([6, 4], [4, 3]).leaves()
    result = _loss()(LayerStates(case.x, case.x_lengths, case.y, case.y_lengths), ONE_LAYER)
    result.per_utterance_B.sum().backward()
    assert case.x.grad.isfinite().all()
    assert case.x.grad.ne(0).any()
    assert result.diagnostics["converged"] == 1


def test_its_options_are_checked_like_any_other():
    assert get("ot_solver", "my_ot_solver").origin.endswith("MyOtSolver")
    with pytest.raises(ConfigError, match=r"solver\.config\.sharpness: must be at most 1, got 2"):
        _loss(sharpness=2.0)
