import pytest
import torch
from torch import nn

from aista.engine.cost.memory_estimate import estimate_memory, weigh
from aista.engine.cost.trace import Trace


class Part(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.layers = nn.ModuleList(blocks)
        self.table = nn.Embedding(10, 10)


def linear(size, dtype=torch.float32, trained=True):
    return nn.Linear(size, size, bias=False, dtype=dtype).requires_grad_(trained)


@pytest.fixture
def model():
    """Blocks of 400, 400 and 800 bytes, the last one in bfloat16 and the only trained one; two tables of 400 bytes."""
    model = nn.Module()
    model.encoder = Part(linear(10, trained=False))
    model.llm = Part(linear(10, trained=False), linear(20, torch.bfloat16))
    for part in (model.encoder, model.llm):
        part.table.requires_grad_(False)
    model.register_buffer("seen", torch.zeros(8, dtype=torch.bfloat16))
    return model


TRACE = Trace(peak=5000, gradients_at_peak=600, peak_without_gradients=4500)


def test_weights(model):
    weights = weigh(model)
    assert weights.parameters == 3 * 400 + 800 + 400
    assert weights.gradients == 800
    assert weights.buffers == 16
    assert weights.resident == 2 * 400 + 400 + 800  # tables, and the last block of each stack
    assert weights.block == weights.block_gradients == 800


def test_one_process_and_ddp(model):
    weights = weigh(model)
    alone, shared = (estimate_memory(weights, TRACE, processes=number) for number in (1, 4))
    assert (alone.weights, alone.optimizer, alone.gradients, alone.activations) == (2416, 1600, 600, 4400)
    assert alone.total == 2416 + 1600 + 5000
    assert shared.total == alone.total + 800  # buckets


def test_gradients_of_earlier_batches_are_there(model):
    memory = estimate_memory(weigh(model), TRACE, accumulates=True)
    assert (memory.gradients, memory.activations) == (800, 4500)


def test_the_optimizers_step_may_take_more(model):
    memory = estimate_memory(weigh(model), Trace(peak=1000, gradients_at_peak=800, peak_without_gradients=300))
    assert memory.gradients + memory.activations == 2 * 800


def test_fsdp(model):
    memory = estimate_memory(weigh(model), TRACE, processes=4, sharded=True)
    assert memory.weights == 2400 // 4 + 16
    assert (memory.optimizer, memory.gradients) == (400, 200)
    assert memory.gathered == 2000 + 2 * 800 + 800
    assert memory.activations == 4500
    alone = estimate_memory(weigh(model), TRACE, processes=1, sharded=True)
    assert not alone.sharded


def test_tied_weights_count_once():
    model = nn.Module()
    model.llm = Part(linear(10))
    model.llm.projection = nn.Linear(10, 10, bias=False)
    model.llm.projection.weight = model.llm.table.weight
    assert weigh(model).parameters == 800
