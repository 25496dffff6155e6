"""Alignment losses refuse states and contexts that they cannot use, and say which field is wrong and why."""

from __future__ import annotations

import pytest
import torch

from aista.losses.base import AlignmentContext, AlignmentLoss
from aista.registry import build, entries
from aista.schema import Component
from aista.types import LayerStates

LOSSES = [entry.name for entry in entries("alignment_loss") if entry.origin.startswith("aista.")]
STATES = LayerStates(torch.rand(2, 5, 4), torch.tensor([5, 4]), torch.rand(2, 3, 4), torch.tensor([3, 2]))
CONTEXT = AlignmentContext(1, torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.rand(8, 4))
OF_TRANSCRIPTS = ("infonce", "wasserstein_contrastive", "word_aligned", "ctc")


def _loss(name: str) -> AlignmentLoss:
    loss: AlignmentLoss = build("alignment_loss", Component(name))
    return loss


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_lengths": torch.tensor([9, 2])}, r"text_lengths must lie in 0\.\.3, the padded length, got 9"),
        ({"speech_lengths": torch.tensor([5, -1])}, r"speech_lengths must lie in 0\.\.5, the padded length, got -1"),
        ({"speech_lengths": torch.tensor([5])}, r"speech_lengths must be .* of shape \[2\], got torch.int64 \[1\]"),
        ({"text_lengths": torch.tensor([[3, 2]])}, r"text_lengths must be .* of shape \[2\], got torch.int64 \[1, 2\]"),
        ({"text_lengths": torch.tensor([3.0, 2.0])}, "text_lengths must be a tensor of integers .* got torch.float32"),
        ({"text_lengths": [3, 2]}, r"text_lengths must be a tensor of integers of shape \[2\], got list \[3, 2\]"),
        (
            {"text_lengths": torch.tensor([3, 2], device="meta")},
            "text_lengths must be on a device with values, got met",
        ),
        ({"speech": None}, r"speech must be a floating point tensor \[B, length, D\], got None"),
        ({"text": torch.rand(2, 3, 5)}, r"states must be \[B, P, D\] and \[B, T, D\].* got \[2, 5, 4\] .*\[2, 3, 5\]"),
        ({"text": torch.rand(2, 3, 4, device="meta")}, "speech and .* must be on one device, got cpu and cpu and meta"),
    ],
)
def test_states(name, changes, message):
    with pytest.raises(ValueError, match=message):
        _loss(name)(STATES._replace(**changes), CONTEXT)


@pytest.mark.parametrize("name", LOSSES)
def test_states_without_values(name):
    meta = LayerStates(*(field.to("meta") for field in STATES))
    with pytest.raises(ValueError, match="must be on a device with values, got meta"):
        _loss(name)(meta, CONTEXT)


@pytest.mark.parametrize("name", OF_TRANSCRIPTS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1, got 0"),
        ({"num_layers": 1.0}, "num_layers must be a whole number of at least 1, got 1.0"),
        ({"num_layers": 8}, "states must hold L blocks of rows, got 2 rows and L = 8 layers"),
        ({"num_layers": 2}, "transcripts must hold one row per utterance, 1, got 2"),
        ({"transcripts": None}, r"transcripts must be token ids \[B, T\] in the loss's context, got None"),
        ({"transcripts": [[1, 2, 3]]}, r"transcripts must be token ids \[B, T\] .* got list \[\[1, 2, 3\]\]"),
        ({"transcripts": torch.ones(2, 2).long()}, "transcripts must hold the 3 tokens that text_lengths says, got 2"),
    ],
)
def test_contexts(name, changes, message):
    with pytest.raises(ValueError, match=message):
        _loss(name)(STATES, CONTEXT._replace(**changes))
