import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from aista.modules.adapters.cif import CifAdapter, CifConfig, fire
from tests.modules.checks import padded


def integrate_and_fire(alpha: list[float], h: Tensor) -> list[Tensor]:
    """The loop of Dong & Xu, fig. 2: collect frames until their weights reach 1, then fire; the tail at least 1/2."""
    fired, weight, state = [], 0.0, torch.zeros(h.size(1), dtype=h.dtype)
    for a, frame in zip(alpha, h, strict=True):
        while weight + a >= 1:
            used = 1 - weight
            fired.append(state + used * frame)
            a, weight, state = a - used, 0.0, torch.zeros_like(state)
        weight, state = weight + a, state + a * frame
    return fired + [state / weight] * (weight >= 0.5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 2.5), min_size=1, max_size=12), st.integers(0, 100))
def test_the_closed_form_is_the_loop(alpha, seed):
    alpha_S = torch.tensor(alpha, dtype=torch.float64)
    rest = float(alpha_S.sum() % 1)
    if rest < 0.5 or rest > 0.999:  # a tail below one half joins the last position: see the next test
        alpha_S[-1] += 0.6 - rest if rest < 0.5 else 0.6
    h = torch.randn(len(alpha), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = integrate_and_fire(alpha_S.tolist(), h)
    lengths = torch.tensor([int(alpha_S.sum() + 0.5)])
    weight_BPS = fire(alpha_S[None], lengths)
    assert len(expected) == int(lengths)
    assert_close(weight_BPS[0] @ h, torch.stack(expected), rtol=1e-6, atol=1e-6)
    assert_close(weight_BPS.sum(-1), torch.ones_like(weight_BPS[..., 0]))


def test_a_tail_below_one_half_joins_the_last_position():
    weight_BPS = fire(torch.tensor([[0.5, 0.5, 0.25, 0.75, 0.25]]), torch.tensor([2]))
    assert_close(weight_BPS[0], torch.tensor([[0.5, 0.5, 0, 0, 0], [0, 0, 0.2, 0.6, 0.2]]))


def test_firing_is_differentiable_by_the_weights():
    alpha = torch.rand(2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    lengths = alpha.detach().sum(1).round().long()
    assert torch.autograd.gradcheck(lambda a: fire(a, lengths), alpha)


def build(**options: object) -> CifAdapter:
    torch.manual_seed(0)
    return CifAdapter(CifConfig(**options), input_dim=6, output_dim=4).eval()


def weights_of(adapter: CifAdapter, x: Tensor, lengths: Tensor, row: int) -> Tensor:
    h, _ = adapter.conv(x[row : row + 1, : lengths[row]], lengths[row : row + 1])
    return adapter.alpha(torch.nn.functional.gelu(h)).sigmoid()[0, :, 0]


def test_inference_fires_by_the_sum_of_the_weights():
    adapter = build(output_norm=False)
    x, lengths = padded([23, 12, 1], 6)
    out, out_lengths = adapter(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        alpha = weights_of(adapter, x, lengths, row)
        count = max(1, int(alpha.sum() + 0.5))
        assert int(out_lengths[row]) == count
        expected = adapter.projection(fire(alpha[None], torch.tensor([count]))[0] @ x[row, :length])
        assert_close(out[row, :count], expected, rtol=1e-4, atol=1e-5)


def test_training_fires_once_per_transcript_token():
    adapter = build(output_norm=False)
    x, lengths = padded([23, 12, 9, 3], 6)
    source_lengths = torch.tensor([4, 0, 9, 7])
    free = adapter(x, lengths)[1]
    adapter.train()
    out, out_lengths, terms = adapter.adapt(x, lengths, torch.zeros(4, 9, dtype=torch.long), source_lengths)
    assert out_lengths.tolist() == [4, int(free[1]), 9, 3]  # the last row has more tokens than frames
    alpha = weights_of(adapter, x, lengths, 0)
    expected = adapter.projection(fire((alpha * 4 / alpha.sum())[None], torch.tensor([4]))[0] @ x[0])
    assert_close(out[0, :4], expected, rtol=1e-4, atol=1e-5)
    assert {term.name: term.value.tolist() for term in terms}["too_few_frames"] == [0, 0, 0, 1]


def test_the_quantity_loss_is_relative_to_the_transcript():
    adapter = build(quantity_weight=0.7)
    x, lengths = padded([23, 12], 6)
    for training in (False, True):
        terms = adapter.train(training).adapt(x, lengths, torch.zeros(2, 5).long(), torch.tensor([5, 0])).terms
        assert (terms[0].name, terms[0].weight, terms[0].applies.tolist()) == ("quantity", 0.7, [True, False])
        expected = (weights_of(adapter, x, lengths, 0).sum() - 5).abs() / 5
        assert_close(terms[0].value, torch.stack([expected, torch.zeros(())]), rtol=1e-4, atol=1e-5)


def test_the_quantity_loss_teaches_lengths():
    adapter = build()
    x, lengths = padded([23, 12, 16], 6)
    source_lengths = torch.tensor([4, 8, 5])
    assert (adapter(x, lengths)[1] - source_lengths).max() > 3
    optimizer = torch.optim.Adam(adapter.parameters(), 0.02)
    for _ in range(80):
        terms = adapter.adapt(x, lengths, torch.zeros(3, 8).long(), source_lengths).terms
        optimizer.zero_grad()
        terms[0].value.sum().backward()
        optimizer.step()
    assert (adapter(x, lengths)[1] - source_lengths).abs().max() <= 1


@pytest.mark.parametrize("bias", [-200.0, 200.0])
def test_saturated_weights_stay_within_the_bound(bias):
    adapter = build()
    adapter.alpha.bias.data.fill_(bias)
    x, lengths = padded([23, 1], 6)
    out, out_lengths = adapter(x, lengths)
    assert out_lengths.tolist() == ([1, 1] if bias < 0 else [23, 1])
    assert out.isfinite().all()
