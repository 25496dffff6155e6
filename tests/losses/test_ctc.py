from __future__ import annotations

import itertools
import math

import pytest
import torch

from aista.errors import DataError
from aista.losses.base import AlignmentContext
from aista.losses.ctc import CTCAlignment, class_log_probs
from aista.types import LayerStates
from tests.fake_gpu import fake_gpu
from tests.losses.layers import content, fold, layer_states

VOCABULARY = torch.randn(5, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
IDS = torch.tensor([[1, 2, 2], [3, 9, 9], [1, 1, 9], [4, 2, 1], [1, 9, 9]])
X_LENGTHS, Y_LENGTHS = [5, 3, 2, 4, 0], [3, 1, 2, 3, 1]


def _loss(tau: float = 0.3, **options: object) -> CTCAlignment:
    return CTCAlignment(temperature=tau, **options)


def _log_probs(x: torch.Tensor, tau: float) -> torch.Tensor:
    """``[P, V]``: softmax of the cosines over the whole vocabulary."""
    x, e = x / x.norm(dim=1, keepdim=True), VOCABULARY / VOCABULARY.norm(dim=1, keepdim=True)
    return (x @ e.T / tau).log_softmax(1)


def _naive(x: torch.Tensor, tokens: list[int], tau: float, blank: int) -> float:
    """Minus the log of the summed probability of every path that merges to the tokens, one path at a time."""
    probabilities = _log_probs(x, tau).exp()
    total = 0.0
    for path in itertools.product(range(5), repeat=len(x)):
        merged = [v for i, v in enumerate(path) if (i == 0 or path[i - 1] != v) and v != blank]
        if merged == tokens:
            total += math.prod(float(probabilities[i, v]) for i, v in enumerate(path))
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("blank", [None, 0])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_it_is_the_sum_over_all_paths(tau, blank):
    states = layer_states(X_LENGTHS, Y_LENGTHS)
    result = _loss(tau, blank_id=blank)(states, context=AlignmentContext(1, IDS, VOCABULARY, pad_id=0))
    for row in range(4):
        tokens = IDS[row, : Y_LENGTHS[row]].tolist()
        value = float(result.per_utterance_B[row].detach())
        expected = _naive(content(states, row)[0], tokens, tau, 0)
        if math.isinf(expected):
            assert row == 2  # two equal tokens need three positions
            assert value == 0
        else:
            assert value == pytest.approx(expected / len(tokens), rel=1e-5)
    assert result.per_utterance_B[4] == 0
    assert float(result.diagnostics["infeasible"]) == 0.25


def test_it_agrees_with_ctc_over_the_whole_vocabulary_gradients_too():
    states = layer_states(X_LENGTHS, Y_LENGTHS)
    value = _loss()(states, context=AlignmentContext(1, IDS, VOCABULARY, pad_id=0)).per_utterance_B.sum()
    (grad,) = torch.autograd.grad(value, states.speech)
    for row in (0, 1, 3):
        x = content(states, row)[0].requires_grad_()
        t = Y_LENGTHS[row]
        nll = torch.nn.functional.ctc_loss(
            _log_probs(x, 0.3)[:, None], IDS[row : row + 1, :t], (len(x),), (t,), blank=0, reduction="sum"
        )
        (expected,) = torch.autograd.grad(nll / t, x)
        torch.testing.assert_close(grad[row, : len(x)], expected, rtol=1e-5, atol=1e-7)
    assert not grad[2].any()
    assert not grad[4].any()


def test_among_the_tokens_of_the_batch_it_is_ctc_over_those_tokens():
    states = layer_states(X_LENGTHS, Y_LENGTHS)
    wide = torch.cat([torch.randn(3, 6, dtype=torch.float64), VOCABULARY, torch.randn(4, 6, dtype=torch.float64)])
    context = AlignmentContext(1, IDS + 3, wide, pad_id=3)  # ids 4 to 7 occur, 3 is the blank
    sampled = _loss(classes="batch")(states, context=context)
    whole = _loss()(states, context=AlignmentContext(1, IDS, VOCABULARY, pad_id=0))
    torch.testing.assert_close(sampled.per_utterance_B, whole.per_utterance_B)
    among_all = _loss()(states, context=context)
    assert bool((among_all.per_utterance_B[[0, 1, 3]] > sampled.per_utterance_B[[0, 1, 3]]).all())
    kept = torch.tensor([1, 3, 4, 5, 6, 7, 9])
    some = AlignmentContext(1, IDS + 3, wide[kept], kept, pad_id=3)
    torch.testing.assert_close(
        _loss(classes="batch")(states, context=some).per_utterance_B, sampled.per_utterance_B, rtol=0, atol=0
    )
    assert _loss(classes="batch").batch_statistic
    assert not _loss().batch_statistic


def test_class_log_probs_gather_the_vocabulary():
    x = torch.randn(4, 6, dtype=torch.float64)
    e = VOCABULARY / VOCABULARY.norm(dim=1, keepdim=True)
    out = class_log_probs(x, e, torch.tensor([2, 1, 2]), 0, 0.3).exp()
    full = _log_probs(x, 0.3).exp()
    torch.testing.assert_close(out[:, 0], full[:, 0])
    torch.testing.assert_close(out[:, 1], full[:, [3, 4]].sum(1))
    torch.testing.assert_close(out[:, 2:4], full[:, [2, 1]])
    assert not out[:, 4].any()


def test_class_log_probs_wait_for_no_gpu():
    with fake_gpu() as device:
        x, ids = torch.rand(4, 6, device=device, requires_grad=True), torch.ones(3, device=device).long()
        class_log_probs(x, torch.rand(5, 6, device=device), ids, 0, 0.3).sum().backward()
        assert x.grad.shape == x.shape


def test_a_transcript_that_uses_the_whole_vocabulary():
    x = torch.randn(1, 8, 6, dtype=torch.float64, requires_grad=True)
    states = LayerStates(x, torch.tensor([8]), x[:, :4].detach(), torch.tensor([4]))
    value = _loss()(states, context=AlignmentContext(1, torch.tensor([[1, 2, 3, 4]]), VOCABULARY)).per_utterance_B
    value.sum().backward()
    assert value.isfinite().all()
    assert x.grad.isfinite().all()


def test_gradcheck_of_both_sides():
    states = layer_states([4, 3], [2, 1])
    x, vocabulary = states.speech.detach().nan_to_num(0.0).requires_grad_(), VOCABULARY.clone().requires_grad_()

    def nll(x, vocabulary):
        e = torch.nn.functional.normalize(vocabulary, dim=-1)
        return _loss(0.5)._nll(x, IDS[[3, 1]], (torch.tensor([4, 3]), torch.tensor([2, 1])), e, 0)

    assert torch.autograd.gradcheck(nll, (x, vocabulary))


def test_layers_share_the_transcripts():
    first, second = layer_states(X_LENGTHS, Y_LENGTHS), layer_states(X_LENGTHS, Y_LENGTHS, seed=1)
    folded = _loss()(fold(first, second), context=AlignmentContext(2, IDS, VOCABULARY)).per_utterance_B
    parts = [_loss()(z, context=AlignmentContext(1, IDS, VOCABULARY)).per_utterance_B for z in (first, second)]
    torch.testing.assert_close(folded, torch.cat(parts))


def test_another_token_can_be_the_blank():
    states = layer_states([4], [2])
    context = AlignmentContext(1, torch.tensor([[1, 0]]), VOCABULARY, pad_id=0)
    value = _loss(blank_id=4)(states, context=context).per_utterance_B
    assert float(value.detach()) == pytest.approx(_naive(content(states, 0)[0], [1, 0], 0.3, 4) / 2, rel=1e-5)


def test_faults_are_named():
    states = layer_states([4], [2])
    context = AlignmentContext(1, torch.tensor([[1, 2]]), VOCABULARY)
    with pytest.raises(ValueError, match=r"vocabulary must be embeddings \[V, 6\] in the loss's context, got None"):
        _loss()(states, context._replace(vocabulary=None))
    with pytest.raises(ValueError, match=r"vocabulary must be .* got torch.float64 \[5, 5\]"):
        _loss()(states, context._replace(vocabulary=VOCABULARY[:, :5]))
    with pytest.raises(ValueError, match="transcripts must hold tokens of the vocabulary, 0 to 4, got 7"):
        _loss()(states, context._replace(transcripts=torch.tensor([[1, 7]])))
    with pytest.raises(ValueError, match="blank_id must be a token, 0 to 4, got 5"):
        _loss(blank_id=5)(states, context=context)
    with pytest.raises(DataError, match="a transcript contains the token 2, which is CTC's blank"):
        _loss(blank_id=2)(states, context=context)
    with pytest.raises(DataError, match=r"CTC's blank; name a token .* blank_id .*, with classes: vocabulary$"):
        _loss(classes="batch")(states, context=context._replace(pad_id=2))
    with pytest.raises(ValueError, match="blank_id must be null with classes: batch"):
        CTCAlignment(classes="batch", blank_id=2)
