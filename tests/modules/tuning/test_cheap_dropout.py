import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils.checkpoint import checkpoint

from aista.modules.tuning.cheap_dropout import CheapDropout


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
def test_it_has_its_probability_keeps_the_mean_and_drops_the_gradient(p):
    torch.manual_seed(0)
    x = torch.ones(200_001, requires_grad=True)
    y = CheapDropout(p)(x)
    y.sum().backward()
    kept = y > 0
    deviation = (p * (1 - p) / len(x)) ** 0.5
    assert abs(float((~kept).float().mean()) - p) < 5 * deviation
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - p)), rtol=1e-3, atol=0)
    torch.testing.assert_close(x.grad, y)
    neighbours = (kept[1:] & kept[:-1]).float().mean()
    assert abs(float(neighbours) - (1 - p) ** 2) < 10 * deviation, "elements are not independent"


def test_it_follows_the_seed_and_survives_checkpointing():
    layer, x = CheapDropout(0.5), torch.ones(64, 1, requires_grad=True)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(layer(x).detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    y = checkpoint(layer, x, use_reentrant=False)
    y.sum().backward()
    torch.testing.assert_close(x.grad, y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(0, 6), (3,), (2, 3, 6)])
def test_shapes_and_types_stay(shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    y = CheapDropout(0.5)(x)
    assert (y.shape, y.dtype) == (x.shape, dtype)


def test_nothing_is_dropped_in_eval_mode():
    x = torch.ones(64, 1)
    torch.testing.assert_close(CheapDropout(0.9).eval()(x), x, rtol=0, atol=0)


def test_shapes_without_values_take_no_memory():
    with FakeTensorMode():
        x = torch.empty(1 << 40)
    assert isinstance(CheapDropout(0.1).train()(x), FakeTensor)
