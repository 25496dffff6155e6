"""Contracts of kind ``alignment_loss``.

Each loss is checked by what it declares: one that compares predictions gets rows of equal lengths, one that needs a
context gets it, and one that is not a batch statistic must give a row the same value in any batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.testing.contracts import contract
from aista.testing.tensors import assert_close, assert_ignores_padding, fill_padding, gradients, ramp
from aista.types import LayerStates

_WORDS = torch.tensor(
    [
        [[0, 2, 0.0, 0.4], [2, 4, 0.5, 1.0], [0, 0, 0, 0]],
        [[0, 3, 0.1, 0.9], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 1, 0.0, 0.3], [1, 5, 0.3, 0.7], [5, 6, 0.7, 1.0]],
        [[0, 1, 0.2, 1.0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]
)


@contract("alignment_loss")
def check_shapes(loss: AlignmentLoss) -> None:
    """One finite fp32 value per row, for half-precision states too; diagnostics are detached finite scalars."""
    for dtype in (torch.float32, torch.bfloat16):
        states = _states(loss, dtype=dtype)
        result = _apply(loss, states._replace(speech=states.speech.requires_grad_(True)))
        values = _values(result)
        assert list(values.shape) == [4], f"expects one value per row, [4], got {list(values.shape)}"
        assert values.dtype == torch.float32, f"{dtype} states must give float32 values, got {values.dtype}"
        assert torch.isfinite(values).all(), f"values must be finite, got {values.tolist()}"
        for name, value in result.diagnostics.items():
            scalar = isinstance(value, Tensor) and value.numel() == 1 and not value.requires_grad
            assert scalar, f"diagnostic {name!r} must be a detached scalar tensor"
            assert torch.isfinite(value).all(), f"diagnostic {name!r} must be finite"


@contract("alignment_loss")
def check_padding(loss: AlignmentLoss) -> None:
    """Numbers and NaN in the padding never matter, nor does its amount, and padding gets no gradient."""
    plain = _states(loss)
    sides = {"speech": (plain.speech, plain.speech_lengths), "text": (plain.text, plain.text_lengths)}
    assert_ignores_padding(
        lambda speech, text: _solve(loss, plain._replace(speech=speech, text=text)), sides, tolerance=1e-5
    )


@contract("alignment_loss")
def check_empty_rows(loss: AlignmentLoss) -> None:
    """A row without transcript or speech has value 0 and no gradient; a batch of such rows as well, but a graph."""
    states = _states(loss)
    speech_lengths, text_lengths = states.speech_lengths.clone(), states.text_lengths.clone()
    speech_lengths[2], text_lengths[1] = 0, 0
    states = LayerStates(
        fill_padding(states.speech, speech_lengths, torch.nan),
        speech_lengths,
        fill_padding(states.text, text_lengths, torch.nan),
        text_lengths,
    )
    values, grads = _solve(loss, states)
    for row in (1, 2):
        assert float(values[row]) == 0, f"row {row} has an empty side, so its value must be 0, got {float(values[row])}"
        for grad in grads:
            assert not grad[row].any(), f"row {row} has an empty side, so it must get no gradient"
    assert torch.isfinite(values).all(), f"rows beside empty ones must stay finite, got {values.tolist()}"
    nothing = torch.zeros(4, dtype=torch.long)
    states = _states(loss)._replace(text_lengths=nothing)
    values = _values(_apply(loss, states._replace(speech=states.speech.requires_grad_(True))))
    assert not values.any(), f"a batch without transcripts must have value 0, got {values.tolist()}"
    assert values.requires_grad, (
        "a batch without transcripts must depend on the speech: processes share a backward pass"
    )


@contract("alignment_loss")
def check_detached_text(loss: AlignmentLoss) -> None:
    """The text side, states or vocabulary, gets a gradient exactly where ``detach_text`` is False; speech always."""
    for detach in (True, False):
        states, vocabulary = _states(loss), ramp(10, 8, seed=2).requires_grad_(True)
        speech, text = states.speech.requires_grad_(True), states.text.requires_grad_(True)
        context = _context()._replace(vocabulary=vocabulary)
        values = _values(loss(states, context, detach_text=detach))
        speech_grad, *text_grads = gradients(values.sum(), speech, text, vocabulary)
        assert speech_grad.any(), "the speech states get no gradient"
        reaches_text = any(bool(grad.any()) for grad in text_grads)
        assert reaches_text != detach, (
            f"with detach_text={detach} the text side gets {'a' if detach else 'no'} gradient"
        )


@contract("alignment_loss")
def check_learns(loss: AlignmentLoss) -> None:
    """A few small steps of the speech states along the gradient lower the loss."""
    states = _states(loss)
    speech = states.speech.clone()
    values = []
    for _ in range(5):
        speech = speech.detach().requires_grad_(True)
        value = _values(_apply(loss, states._replace(speech=speech))).sum()
        values.append(float(value.detach()))
        (grad,) = gradients(value, speech)
        speech = speech - 0.05 * grad / grad.norm().clamp_min(1e-12)
    assert values[-1] < values[0], f"gradient steps do not lower the loss: {values}"


@contract("alignment_loss")
def check_batch(loss: AlignmentLoss) -> None:
    """A row's value depends on the other rows exactly where the loss says ``batch_statistic = True``."""
    states = _states(loss)
    together = _solve(loss, states)[0]
    alone = torch.cat([_solve(loss, _rows(states, [row]), _context([row]))[0] for row in range(4)])
    if loss.batch_statistic:
        assert not torch.allclose(together, alone, atol=1e-4), (
            "the loss says batch_statistic = True, but its rows have the same values alone as together; leave it out"
        )
    else:
        message = "a row's value depends on the other rows; if it is meant to, say batch_statistic = True"
        assert_close(alone, together, message, tolerance=1e-4)
    order = [2, 0, 3, 1]
    shuffled = _solve(loss, _rows(states, order), _context(order))[0]
    assert_close(shuffled, together[order], "values depend on the order of the rows", tolerance=1e-4)


@contract("alignment_loss")
def check_layers(loss: AlignmentLoss) -> None:
    """Layers folded into the batch do not affect each other."""
    first = _states(loss)
    second = first._replace(speech=first.speech.flip(2), text=2 * first.text.roll(1, 2))
    folded = LayerStates(*(torch.cat(pair) for pair in zip(first, second, strict=True)))
    expected = torch.cat([_solve(loss, layer)[0] for layer in (first, second)])
    values = _solve(loss, folded, _context()._replace(num_layers=2))[0]
    message = "rows of different layers meet; the context's num_layers tells where a layer begins"
    assert_close(values, expected, message, tolerance=1e-4)


def _states(loss: AlignmentLoss, dtype: torch.dtype = torch.float32) -> LayerStates:
    speech_lengths, text_lengths = torch.tensor([9, 4, 5, 6]), torch.tensor([4, 3, 6, 1])
    if loss.compares == "predictions":
        speech_lengths = text_lengths
    speech = fill_padding(ramp(4, int(speech_lengths.max()), 8), speech_lengths, 0.0).to(dtype)
    text = fill_padding(ramp(4, 6, 8, seed=1), text_lengths, 0.0).to(dtype)
    return LayerStates(speech, speech_lengths, text, text_lengths)


def _rows(states: LayerStates, rows: list[int]) -> LayerStates:
    return LayerStates(*(field[rows] for field in states))


def _context(rows: list[int] | None = None) -> AlignmentContext:
    """Transcripts of the rows of ``_states``, all different, their words, and a vocabulary of ten tokens."""
    ids = torch.tensor([[1, 2, 3, 4, 0, 0], [5, 5, 6, 0, 0, 0], [7, 1, 8, 2, 3, 9], [4, 0, 0, 0, 0, 0]])
    chosen = rows or [0, 1, 2, 3]
    return AlignmentContext(1, ids[chosen], ramp(10, 8, seed=2), pad_id=0, words=_WORDS[chosen])


def _apply(loss: AlignmentLoss, states: LayerStates) -> AlignmentResult:
    return loss(states, _context())


def _solve(
    loss: AlignmentLoss, states: LayerStates, context: AlignmentContext | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Values, and gradients to both sides (zeros where there is none)."""
    sides = [states.speech.detach().clone().requires_grad_(True), states.text.detach().clone().requires_grad_(True)]
    states = states._replace(speech=sides[0], text=sides[1])
    values = _values(loss(states, context or _context(), detach_text=False))
    return values.detach(), gradients(values.sum(), *sides)


def _values(result: object) -> Tensor:
    received = type(result).__name__
    assert isinstance(result, AlignmentResult), f"return an AlignmentResult (row_result makes one), not a {received}"
    return result.per_utterance_B
