"""What the path of accelerators dispatches, on a GPU that is not there: any look at a value raises."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from aista.losses import Exact, Sinkhorn, SinkhornDivergence, Unbalanced, from_states
from aista.losses.base import AlignmentContext
from aista.losses.ot import OTAlignment, OTAlignmentConfig
from aista.schema import Component
from aista.types import LayerStates
from tests.fake_gpu import WAITS, fake_gpu, take_for_gpu

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

NOT_LAUNCHED = {
    *("_unsafe_view", "alias", "detach", "device", "diagonal", "expand", "permute", "reshape", "select", "slice"),
    *("squeeze", "transpose", "unsqueeze", "view", "empty_like", "scalar_tensor"),
}
"""Views, allocations and numbers of the host."""


class Launches(TorchDispatchMode):
    """Counts the operations that a GPU would be given."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = function._schema.name.split("::")[1]
        self.counts[name] += name not in NOT_LAUNCHED
        return function(*arguments, **(options or {}))


def _states(num, device, *, dtype=torch.float32, requires_grad=False):
    sides = [torch.randn(num, size, 32, device=device, dtype=dtype, requires_grad=requires_grad) for size in (20, 10)]
    return sides, [torch.full((num,), size, device=device) for size in (20, 10)]


@pytest.fixture(autouse=True)
def _taken_for_a_gpu(monkeypatch):
    take_for_gpu(monkeypatch)


SOLVERS = [Sinkhorn(), Sinkhorn(polish=False, epsilon_scale="max"), Unbalanced(), SinkhornDivergence()]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_forward_and_backward_look_at_no_value(solver, dtype):
    with fake_gpu() as device:
        states, lengths = _states(4, device, dtype=dtype, requires_grad=True)
        result = solver(*states, *lengths, position_weight=0.5, x_mass="norm", cost="euclidean")
        outputs = (result.value, result.converged, result.num_iterations, result.plan(), *result.potentials)
        result.value.sum().backward()
        assert all(z.device.type == device.type for z in outputs)
        assert [tuple(z.shape) for z in outputs] == [(4,), (4,), (4,), (4, 20, 10), (4, 20), (4, 10)]
        assert result.value.dtype == torch.float32
        assert [(z.grad.shape, z.grad.dtype) for z in states] == [(z.shape, dtype) for z in states]


@pytest.mark.parametrize("guide", [None, Component("transport")])
def test_the_alignment_loss_looks_at_no_value(guide):
    with fake_gpu() as device:
        sides, (speech_lengths, text_lengths) = _states(4, device, dtype=torch.bfloat16, requires_grad=True)
        loss = OTAlignment(OTAlignmentConfig(position_weight=1.0, guide=guide))
        result = loss(LayerStates(sides[0], speech_lengths, sides[1], text_lengths), AlignmentContext())
        result.per_utterance_B.sum().backward()
        assert result.per_utterance_B.device.type == device.type
        assert all(z.device.type == device.type for z in result.diagnostics.values())


def test_a_solver_of_the_host_is_caught():
    with fake_gpu() as device:
        states, lengths = _states(4, device)
        with pytest.raises(WAITS):
            Exact()(*states, *lengths)


def _launches(num, cost, dtype, **options):
    solver = Sinkhorn(backend="triton", **options)
    with FakeTensorMode():
        states, lengths = _states(num, "cpu", dtype=dtype, requires_grad=True)
        ones = torch.ones(num)
        with Launches() as launches:
            result = solver.solve(from_states(*states, *lengths, cost=cost, batched=True))
            result.value.backward(ones)
        assert [(z.grad.shape, z.grad.dtype) for z in states] == [(z.shape, dtype) for z in states]
    return launches.counts


@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean", "euclidean"])
@pytest.mark.parametrize(("polish", "most"), [(False, 40), (True, 60)])
def test_forward_and_backward_are_few_launches_for_any_number_of_samples(cost, polish, most):
    counts = [_launches(num, cost, torch.float32, polish=polish) for num in (4, 64)]
    assert counts[0] == counts[1]
    assert counts[0]["sinkhorn_iterate"] == 1
    assert counts[0].total() <= most
    low = _launches(4, cost, torch.bfloat16, polish=polish)
    casts = 2  # a CPU multiplies bf16 states in fp32; a GPU takes them as they are
    assert low.total() - casts <= most
