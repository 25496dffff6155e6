"""Whether the kernels are found to work on this device, or not, before they are trusted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from aista.losses import Sinkhorn, from_cost
from aista.losses.kernels.sinkhorn import first_use, launch, operators
from aista.losses.kernels.sinkhorn.backend import resolve
from tests.losses.kernels.sinkhorn.checks import DEVICE, INTERPRETED, MARKS

pytestmark = MARKS


@pytest.fixture
def _unseen(monkeypatch):
    monkeypatch.setattr(first_use, "_faults", {})


@pytest.mark.usefixtures("_unseen")
def test_kernels_that_work_are_looked_at_once(monkeypatch):
    looks = []
    monkeypatch.setattr(first_use, "_look", lambda device: looks.append(device) or "")
    assert [first_use.fault(torch.zeros(1, 2, 2, device=DEVICE)) for _ in range(2)] == ["", ""]
    assert len(looks) == 1


def test_the_small_problem_is_solved_alike():
    assert first_use._look(torch.device(DEVICE)) == ""


def _off(*arguments):
    f, g, num_iterations = operators.iterate(*arguments)
    return f + 0.01, g, num_iterations


def _broken(*arguments):
    raise RuntimeError("ptxas: no such instruction")


@pytest.mark.usefixtures("_unseen")
@pytest.mark.parametrize(
    ("iterate", "message"),
    [(_off, "they are wrong on .*the value differs by"), (_broken, "they fail on .*RuntimeError: ptxas: no such")],
)
def test_kernels_that_do_not_work_are_refused(monkeypatch, iterate, message):
    kernels = SimpleNamespace(**vars(operators) | {"iterate": iterate})
    monkeypatch.setattr(launch, "operators", kernels)
    monkeypatch.setattr(first_use, "NUM_ITERATIONS", 3)
    with pytest.raises(RuntimeError, match=f"backend 'triton' cannot be used.*{message}"):
        resolve("triton", torch.zeros(1, 2, 2, device=DEVICE))


@pytest.mark.skipif(not INTERPRETED, reason="on a GPU auto is triton")
def test_auto_stays_on_the_cpu_where_the_costs_are(caplog):
    with caplog.at_level("INFO", "aista.losses"):
        result = Sinkhorn().solve(from_cost(torch.rand(1, 3, 2), torch.tensor([3]), torch.tensor([2])))
    assert result.converged.all()
    assert "backend scaling" in caplog.text
