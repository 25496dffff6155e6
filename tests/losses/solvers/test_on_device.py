"""What the path of accelerators dispatches, on tensors without values: any look at a value raises.

Fake CUDA tensors need no GPU, but torch's autograd asks the driver for a stream as soon as one requires a gradient: so
forward runs on fake CUDA tensors, and forward with backward on fake CPU tensors through the same code.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from aista.losses import Exact, Sinkhorn, SinkhornDivergence, Unbalanced, from_states
from aista.losses.base import AlignmentContext
from aista.losses.ot import OTAlignment, OTAlignmentConfig
from aista.schema import Component
from aista.types import LayerStates

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


@pytest.fixture
def _kernels_anywhere(monkeypatch):
    from aista.losses.kernels.sinkhorn import launch

    monkeypatch.setattr(launch, "refusal", lambda cost: None)


SOLVERS = [Sinkhorn(), Sinkhorn(polish=False, epsilon_scale="max"), Unbalanced(), SinkhornDivergence()]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_forward_on_a_gpu_looks_at_no_value(solver, dtype):
    with FakeTensorMode():
        states, lengths = _states(4, "cuda", dtype=dtype)
        result = solver(*states, *lengths, position_weight=0.5, x_mass="norm", cost="euclidean")
        outputs = (result.value, result.converged, result.num_iterations, result.plan(), *result.potentials)
    assert all(z.device.type == "cuda" for z in outputs)
    assert [tuple(z.shape) for z in outputs] == [(4,), (4,), (4,), (4, 20, 10), (4, 20), (4, 10)]
    assert result.value.dtype == torch.float32


@pytest.mark.parametrize("guide", [None, Component("transport")])
def test_the_alignment_loss_on_a_gpu_looks_at_no_value(guide):
    with FakeTensorMode():
        (speech, text), (speech_lengths, text_lengths) = _states(4, "cuda", dtype=torch.bfloat16)
        loss = OTAlignment(OTAlignmentConfig(position_weight=1.0, guide=guide))
        result = loss(LayerStates(speech, speech_lengths, text, text_lengths), AlignmentContext())
    assert result.per_utterance_B.device.type == "cuda"
    assert all(z.device.type == "cuda" for z in result.diagnostics.values())


def test_a_solver_of_the_host_is_caught():
    with FakeTensorMode():
        states, lengths = _states(4, "cuda")
        with pytest.raises(DataDependentOutputException):
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


@pytest.mark.usefixtures("_kernels_anywhere")
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
