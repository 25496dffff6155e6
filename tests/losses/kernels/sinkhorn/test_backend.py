from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from aista.losses import Sinkhorn, from_cost
from aista.losses.kernels.sinkhorn import backend, reference, scaling
from aista.losses.kernels.sinkhorn.backend import kernel, resolve

needs_triton = pytest.mark.skipif(not backend._installed(), reason="triton is not installed")
not_interpreted = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="triton is interpreted")
ON_CPU = torch.zeros(1, 3, 2)


def _on_gpu(dtype: torch.dtype = torch.float32, columns: int = 2) -> SimpleNamespace:
    """What the choice looks at, without a GPU."""
    return SimpleNamespace(is_cuda=True, device=torch.device("cuda", 0), dtype=dtype, shape=(1, 3, columns))


def _absent(monkeypatch):
    monkeypatch.setattr(backend, "_installed", lambda: False)


@pytest.mark.parametrize("name", ["reference", "scaling"])
def test_a_named_backend_is_taken_anywhere(name):
    assert resolve(name, ON_CPU) == resolve(name, _on_gpu()) == name
    assert kernel(name) is {"reference": reference, "scaling": scaling}[name]


def test_auto_is_scaling_for_costs_in_main_memory():
    assert resolve("auto", ON_CPU) == "scaling"


@needs_triton
def test_auto_is_triton_for_costs_on_a_gpu_that_it_can_take(monkeypatch):
    monkeypatch.setattr(backend, "_fault", lambda cost: "")
    assert resolve("auto", _on_gpu()) == "triton"
    assert resolve("auto", _on_gpu(dtype=torch.float64)) == "scaling"
    assert resolve("auto", _on_gpu(columns=5000)) == "scaling"


@needs_triton
def test_kernels_that_do_not_work_are_not_taken_by_auto_which_says_so(monkeypatch, caplog):
    monkeypatch.setattr(backend, "_fault", lambda cost: "they fail on cuda:0: Oops: no")
    backend._announce.cache_clear()
    with caplog.at_level("INFO", "aista.losses"):
        assert [resolve("auto", _on_gpu()) for _ in range(2)] == ["scaling", "scaling"]
    choice, warning = (record.getMessage() for record in caplog.records)
    assert choice.endswith("device cuda: backend scaling")
    assert "not used: they fail on cuda:0: Oops: no. Please report" in warning
    with pytest.raises(RuntimeError, match=r"backend 'triton' cannot be used.*they fail on cuda:0: Oops: no"):
        resolve("triton", _on_gpu())


def test_auto_without_triton_is_scaling(monkeypatch):
    _absent(monkeypatch)
    assert resolve("auto", _on_gpu()) == "scaling"


def test_auto_logs_its_choice_once(caplog):
    backend._announce.cache_clear()
    with caplog.at_level("INFO", "aista.losses"):
        for _ in range(2):
            resolve("auto", ON_CPU)
        resolve("reference", ON_CPU)
    assert [record.getMessage() for record in caplog.records] == ["Sinkhorn on tensors of device cpu: backend scaling"]


def test_triton_named_but_not_installed(monkeypatch):
    _absent(monkeypatch)
    with pytest.raises(RuntimeError, match=r"backend 'triton' needs the package triton.*or choose backend 'scaling'"):
        resolve("triton", _on_gpu())


@needs_triton
@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (_on_gpu(dtype=torch.float64), "it computes in float32, got float64; choose 'scaling' or 'reference'"),
        (_on_gpu(columns=5000), "it takes at most 4096 positions on the second side, got 5000; choose 'scaling'"),
        pytest.param(ON_CPU, "it needs tensors on a GPU, got cpu; choose 'scaling'", marks=not_interpreted),
    ],
)
def test_triton_named_where_it_cannot_run(costs, message):
    with pytest.raises(ValueError, match=f"backend 'triton' cannot run: {message}"):
        resolve("triton", costs)


@needs_triton
@not_interpreted
def test_the_solver_raises_rather_than_falls_back():
    lengths = torch.tensor([3]), torch.tensor([2])
    with pytest.raises(ValueError, match="backend 'triton' cannot run"):
        Sinkhorn(backend="triton").solve(from_cost(ON_CPU, *lengths))


@needs_triton
@not_interpreted
def test_a_late_choice_of_the_interpreter_is_named(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(ValueError, match=r"before triton is imported \(it was set too late\)"):
        resolve("triton", ON_CPU)
