"""Contracts of kind ``guide``: ``guide(states, context) -> Guidance``."""

from __future__ import annotations

import torch

from aista.losses.base import AlignmentContext
from aista.losses.guides.base import Guidance, Guide
from aista.testing.contracts import contract
from aista.testing.tensors import assert_close, fill_padding, ramp
from aista.types import LayerStates, length_mask

_SPEECH_LENGTHS, _TEXT_LENGTHS = torch.tensor([9, 4, 7, 6]), torch.tensor([4, 3, 6, 1])
_IDS = torch.tensor([[1, 2, 3, 4, 0, 0], [5, 5, 6, 0, 0, 0], [7, 1, 8, 2, 3, 9], [4, 0, 0, 0, 0, 0]])
_WORDS = torch.tensor(
    [
        [[0, 2, 0.0, 0.4], [2, 4, 0.5, 1.0], [0, 0, 0, 0]],
        [[0, 3, 0.1, 0.9], [0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 1, 0.0, 0.3], [1, 5, 0.3, 0.7], [5, 6, 0.7, 1.0]],
        [[0, 1, 0.2, 1.0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]
)


@contract("guide")
def check_shapes(guide: Guide) -> None:
    """Weights ``[R, P, T]`` within 0 and 1 and without gradient, also of half-precision states; bool ``[R, T]``."""
    for dtype in (torch.float32, torch.bfloat16):
        states = _states(dtype)
        weights, known = _apply(guide, states._replace(speech=states.speech.requires_grad_(True)))
        assert list(weights.shape) == [4, 9, 6], f"weights must be [4, 9, 6], got {list(weights.shape)}"
        assert weights.is_floating_point(), f"weights must be floating point numbers, got {weights.dtype}"
        assert not weights.requires_grad, "weights must be detached: gradients flow through the states alone"
        assert torch.isfinite(weights).all(), "weights must be finite"
        low, high = float(weights.min()), float(weights.max())
        assert 0 <= low <= high <= 1 + 1e-5, f"weights must lie in 0 to 1, got {low:g} to {high:g}"
        assert list(known.shape) == [4, 6], f"known must be [4, 6], got {list(known.shape)}"
        assert known.dtype == torch.bool, f"known must be bool, got {known.dtype}"


@contract("guide")
def check_known(guide: Guide) -> None:
    """Each known token has a positive weight at some position, and some tokens are known."""
    weights, known = _apply(guide, _states())
    assert known.any(), "the guide knows no token of any row, though states, transcripts and words are there"
    assert (weights.sum(1)[known] > 0).all(), "a token is known, but no position has a weight for it"


@contract("guide")
def check_padding(guide: Guide) -> None:
    """Content (also NaN) and amount of padding never matter; no token in the padding is known."""
    expected = _apply(guide, _states())
    speech_mask, text_mask = length_mask(_SPEECH_LENGTHS, 9), length_mask(_TEXT_LENGTHS, 6)
    assert not expected.weights_RPT[~speech_mask].any(), "weights must be 0 in the padding of the speech"
    assert not expected.weights_RPT.mT[~text_mask].any(), "weights must be 0 in the padding of the text"
    assert not expected.known_RT[~text_mask].any(), "nothing can be known of the padding"
    for garbage in (torch.nan, 1e4):
        speech = fill_padding(_states().speech, _SPEECH_LENGTHS, garbage)
        text = fill_padding(_states().text, _TEXT_LENGTHS, garbage)
        _assert_same(_apply(guide, _states()._replace(speech=speech, text=text)), expected, "the padding's content")
    wide = [torch.nn.functional.pad(side, (0, 0, 0, 2)) for side in (_states().speech, _states().text)]
    weights, known = _apply(guide, _states()._replace(speech=wide[0], text=wide[1]))
    _assert_same(Guidance(weights[:, :9, :6], known[:, :6]), expected, "the amount of padding")


@contract("guide")
def check_empty_rows(guide: Guide) -> None:
    """In a row without transcript or speech, no token is known."""
    states = _states()._replace(speech_lengths=torch.tensor([9, 4, 0, 6]), text_lengths=torch.tensor([4, 0, 6, 1]))
    guidance = _apply(guide, states)
    for row in (1, 2):
        assert not guidance.known_RT[row].any(), f"row {row} has an empty side, so nothing can be known of it"
        assert not guidance.weights_RPT[row].any(), f"row {row} has an empty side, so its weights must be 0"


@contract("guide")
def check_validation(guide: Guide) -> None:
    """It works in inference mode, which validation uses, with the same result."""
    with torch.inference_mode():
        guidance = _apply(guide, _states())
    _assert_same(guidance, _apply(guide, _states()), "whether a gradient could be taken")


@contract("guide")
def check_batch(guide: Guide) -> None:
    """A row's result does not depend on the other rows."""
    together = _apply(guide, _states())
    alone = [_apply(guide, LayerStates(*(z[[row]] for z in _states())), [row]) for row in range(4)]
    joined = Guidance(*(torch.cat(parts) for parts in zip(*alone, strict=True)))
    _assert_same(joined, together, "the other rows of the batch")


@contract("guide")
def check_layers(guide: Guide) -> None:
    """Layers folded into the batch do not affect each other, and the same tokens are known at each."""
    first = _states()
    second = first._replace(speech=first.speech.flip(2), text=2 * first.text.roll(1, 2))
    folded = LayerStates(*(torch.cat(pair) for pair in zip(first, second, strict=True)))
    guidance = guide(folded, _context()._replace(num_layers=2))
    parts = zip(_apply(guide, first), _apply(guide, second), strict=True)
    _assert_same(guidance, Guidance(*(torch.cat(pair) for pair in parts)), "the other layers")
    assert torch.equal(guidance.known_RT[:4], guidance.known_RT[4:]), "the same tokens must be known at every layer"


def _states(dtype: torch.dtype = torch.float32) -> LayerStates:
    speech = fill_padding(ramp(4, 9, 8), _SPEECH_LENGTHS, 0.0).to(dtype)
    return LayerStates(
        speech, _SPEECH_LENGTHS, fill_padding(ramp(4, 6, 8, seed=1), _TEXT_LENGTHS, 0.0).to(dtype), _TEXT_LENGTHS
    )


def _context(rows: list[int] | None = None) -> AlignmentContext:
    chosen = rows or [0, 1, 2, 3]
    return AlignmentContext(1, _IDS[chosen], words=_WORDS[chosen])


def _apply(guide: Guide, states: LayerStates, rows: list[int] | None = None) -> Guidance:
    result = guide(states, _context(rows))
    assert isinstance(result, Guidance), f"return a Guidance, not a {type(result).__name__}"
    return result


def _assert_same(actual: Guidance, expected: Guidance, what: str) -> None:
    assert_close(actual.weights_RPT, expected.weights_RPT, f"weights depend on {what}")
    assert torch.equal(actual.known_RT, expected.known_RT), f"which tokens are known depends on {what}"
