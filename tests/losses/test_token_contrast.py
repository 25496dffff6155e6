from __future__ import annotations

import math

import pytest
import torch

from aista.losses.base import AlignmentContext
from aista.losses.token_contrast import TokenContrast, TokenContrastConfig
from aista.schema import structure
from aista.types import LayerStates
from tests.losses.layers import PRESENT, content, fold, layer_states

IDS = torch.tensor([[1, 2, 3, 4, 0, 0], [2, 2, 5, 7, 8, 0], [0, 0, 0, 0, 0, 0], [3, 4, 0, 0, 0, 0],
                    [1, 2, 6, 4, 5, 9], [1, 0, 0, 0, 0, 0]])  # fmt: skip
CONTEXT = AlignmentContext(1, IDS)


def _loss(**options: object) -> TokenContrast:
    return TokenContrast(structure(TokenContrastConfig, {"temperature": 0.5, **options}))


def _runs(length: int, span: int) -> list[range]:
    return [range(first, first + min(span, length)) for first in range(max(length - span, 0) + 1)]


def _naive(states, loss: TokenContrast, span: int) -> list[float]:
    weights, known = loss.guide(states, CONTEXT)
    items = []
    for row in PRESENT:
        x, y = content(states, row)
        for run in _runs(len(y), span):
            if bool(known[row, list(run)].all()):
                share = weights[row, : len(x), list(run)].sum(-1).to(x.dtype)
                key = tuple(IDS[row, list(run)].tolist())
                items.append((row, key, (share @ x) / share.sum(), y[list(run)].mean(0)))
    values = [[] for _ in states.text_lengths]
    for row, key, x, y in items:
        others = [(v, w) for _, other, v, w in items if other != key]

        def cosine(a, b):
            return float(torch.cosine_similarity(a, b, dim=0)) / 0.5

        forward = math.log(1 + sum(math.exp(cosine(x, w) - cosine(x, y)) for _, w in others))
        backward = math.log(1 + sum(math.exp(cosine(v, y) - cosine(x, y)) for v, _ in others))
        values[row].append((forward + backward) / 2)
    return [sum(row) / len(row) if row else 0.0 for row in values]


@pytest.mark.parametrize("guide", ["transport", "monotone"])
@pytest.mark.parametrize("span", [1, 2, 9])
def test_the_definition(guide, span):
    states, loss = layer_states(), _loss(guide=guide, span=span)
    values = loss(states, CONTEXT).per_utterance_B
    assert values.tolist() == pytest.approx(_naive(states, loss, span), abs=1e-4)
    assert values[[0, 4]].all()


def test_layers_are_apart():
    first, second, loss = layer_states(), layer_states(seed=1), _loss(span=2)
    folded = loss(fold(first, second), CONTEXT._replace(num_layers=2)).per_utterance_B
    torch.testing.assert_close(folded, torch.cat([loss(states, CONTEXT).per_utterance_B for states in (first, second)]))


def test_equal_runs_are_no_rivals():
    """Rows of one and the same token: nothing to tell apart, whatever their speech."""
    states = layer_states()
    result = _loss()(states, CONTEXT._replace(transcripts=torch.full_like(IDS, 5)))
    assert result.per_utterance_B.tolist() == pytest.approx([0.0] * 6, abs=1e-6)
    assert float(result.diagnostics["candidates"]) == 1


def test_tokens_that_the_guide_does_not_know_have_no_part():
    words = torch.zeros(6, 1, 4)
    words[0, 0] = torch.tensor([1, 3, 0.2, 0.6])
    words[4, 0] = torch.tensor([0, 1, 0.0, 0.5])
    states = layer_states()
    loss = _loss(guide="times")
    assert loss.needs == ("transcripts", "words")
    result = loss(states, CONTEXT._replace(words=words))
    result.per_utterance_B.sum().backward()
    assert result.per_utterance_B.nonzero().flatten().tolist() == [0, 4]
    assert states.speech.grad.abs().sum((1, 2)).nonzero().flatten().tolist() == [0, 4]
    assert float(result.diagnostics["items"]) == pytest.approx(1.5)
    assert not loss(states, CONTEXT).per_utterance_B.any()


def test_the_guide_gets_no_gradient():
    """The gradient is that of fixed weights, though these depend on the states."""
    states, loss = layer_states(), _loss()
    guidance = loss.guide(states, CONTEXT)
    loss(states, CONTEXT).per_utterance_B.sum().backward()
    through, states.speech.grad = states.speech.grad.clone(), None
    loss.guide = lambda *_: guidance
    loss(states, CONTEXT).per_utterance_B.sum().backward()
    torch.testing.assert_close(states.speech.grad, through)


def test_gradients_agree_with_differences():
    states, loss = layer_states([4, 3], [3, 2]), _loss(span=2)
    guidance = loss.guide(states, CONTEXT._replace(transcripts=IDS[:2]))
    loss.guide = lambda *_: guidance

    def value(speech, text):
        context = CONTEXT._replace(transcripts=IDS[:2])
        return loss(states._replace(speech=speech, text=text), context, detach_text=False).per_utterance_B.double()

    loose = {"eps": 1e-3, "atol": 1e-3, "rtol": 1e-2}  # values are fp32
    assert torch.autograd.gradcheck(value, (states.speech.nan_to_num(), states.text.nan_to_num(posinf=0)), **loose)


def test_the_peak_says_how_sharp_the_guide_is():
    sharp = _loss(guide={"name": "transport", "config": {"solver": {"name": "sinkhorn", "config": {"epsilon": 0.01}}}})
    diffuse = _loss(
        guide={"name": "transport", "config": {"solver": {"name": "sinkhorn", "config": {"epsilon": 10.0}}}}
    )
    peaks = [float(loss(layer_states(), CONTEXT).diagnostics["peak"]) for loss in (diffuse, sharp)]
    assert peaks[0] < 0.75 < peaks[1] <= 1


@pytest.mark.parametrize(("num_rows", "num_positions", "num_tokens"), [(2, 5, 0), (2, 0, 4), (0, 5, 4), (0, 0, 0)])
@pytest.mark.parametrize("guide", ["monotone", "transport", "times"])
@pytest.mark.parametrize("span", [1, 3])
def test_batches_without_a_side_have_no_loss_but_a_gradient(num_rows, num_positions, num_tokens, guide, span):
    """As of rows without transcripts: their text is 0 wide. Other processes wait for the gradient."""
    speech = torch.randn(2 * num_rows, num_positions, 3, requires_grad=True)
    lengths = (torch.full((2 * num_rows,), size) for size in (num_positions, num_tokens))
    text = torch.randn(2 * num_rows, num_tokens, 3)
    states = LayerStates(speech, next(lengths), text, next(lengths))
    context = AlignmentContext(2, torch.zeros(num_rows, num_tokens, dtype=torch.long))
    values = _loss(guide=guide, span=span)(states, context).per_utterance_B
    values.sum().backward()
    assert values.tolist() == [0.0] * (2 * num_rows)
    assert speech.grad is not None
    assert not speech.grad.any()
