import pytest
import torch
from torch.testing import assert_close

from aista.errors import ConfigError
from aista.modules.adapters.frame_stack import FrameStackAdapter, FrameStackConfig
from aista.modules.adapters.moe import MoeAdapter, MoeConfig
from aista.schema import structure
from tests.modules.checks import padded


def build(**options: object) -> MoeAdapter:
    torch.manual_seed(0)
    defaults = {"stride": 3, "num_experts": 4, "top_k": 2, "hidden_dim": 5, "output_norm": False}
    return MoeAdapter(MoeConfig(**defaults | options), input_dim=2, output_dim=4).eval()


def balance(adapter: MoeAdapter, *x: torch.Tensor) -> torch.Tensor:
    (term,) = adapter.adapt(*x).terms
    assert (term.name, term.applies.all().item()) == ("load_balance", True)
    return term.value


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_equals_a_naive_loop(top_k):
    adapter = build(top_k=top_k)
    x, lengths = padded([11, 4, 1], 2)
    out, out_lengths = adapter(x, lengths)
    losses = balance(adapter, x, lengths)
    for row, length in enumerate(lengths.tolist()):
        h = torch.cat([x[row, :length], torch.zeros(-length % 3, 2)]).reshape(-1, 6)
        assert int(out_lengths[row]) == len(h)
        probabilities = (h @ adapter.router.weight.T).softmax(-1)
        share = torch.zeros(4)
        for position, (frame, p) in enumerate(zip(h, probabilities, strict=True)):
            chosen = sorted(range(4), key=lambda e: -p[e])[:top_k]
            share[chosen] += 1 / (len(h) * top_k)
            gates = p[chosen] / (p[chosen].sum() if top_k > 1 else 1)
            expected = sum(gate * adapter.experts[e](frame) for gate, e in zip(gates, chosen, strict=True))
            assert_close(out[row, position], expected, rtol=1e-4, atol=1e-5)
        assert_close(losses[row], 4 * (share * probabilities.mean(0)).sum(), rtol=1e-4, atol=1e-5)


def test_equal_experts_are_one_projection():
    adapter = build(hidden_dim=None)
    for expert in adapter.experts:
        expert.load_state_dict(adapter.experts[0].state_dict())
    one = FrameStackAdapter(FrameStackConfig(stride=3, hidden_dim=4, output_norm=False), input_dim=2, output_dim=4)
    one.inner.load_state_dict(adapter.experts[0][0].state_dict())
    one.projection.load_state_dict(adapter.experts[0][3].state_dict())
    x, lengths = padded([11, 4, 1], 2)
    out, out_lengths = adapter(x, lengths)
    expected, _ = one(x, lengths)
    for row, length in enumerate(out_lengths.tolist()):
        assert_close(out[row, :length], expected[row, :length], rtol=1e-4, atol=1e-5)


def test_the_balance_is_1_when_even_and_grows_as_the_router_collapses():
    adapter = build()
    x, lengths = padded([48, 30], 2)
    adapter.router.weight.data.zero_()
    assert_close(balance(adapter, x, lengths), torch.ones(2))
    torch.nn.init.zeros_(adapter.router.weight)
    adapter.router.weight.data[0] = 100.0
    assert (balance(adapter, x.abs(), lengths) > 1.9).all()  # at most num_experts / top_k


def test_the_loss_spreads_positions_over_experts():
    adapter = build(top_k=1)
    x, lengths = padded([60, 45], 2)
    adapter.router.weight.data[0] += 1.0
    optimizer = torch.optim.Adam(adapter.parameters(), 0.02)
    losses = []
    for _ in range(100):
        losses.append(balance(adapter, x.abs(), lengths).sum())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[0] > 3
    assert losses[-1] < 2.3


def test_experts_that_nothing_is_sent_to_get_zero_gradients():
    """Not none: data parallelism wants every parameter in every step."""
    adapter = build(top_k=1, num_experts=8)
    adapter(*padded([3], 2))[0].sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())
    assert sum(bool(expert[0].weight.grad.any()) for expert in adapter.experts) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 9}, "top_k must be at most num_experts, got 9 of 8"),
        ({"top_k": 1}, "top_k 1 needs output_norm: false, as the norm cancels the gate"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(MoeConfig, options)
