from __future__ import annotations

import pytest
import torch

from aista.selection.collapse_metrics import collapse_metrics, sample_states
from aista.types import LsmOutput


def output(speech: list[torch.Tensor], text: list[torch.Tensor], lengths: tuple[list[int], list[int]]) -> LsmOutput:
    zeros = torch.zeros(len(speech[0]))
    return LsmOutput(
        zeros, zeros, tuple(speech), torch.tensor(lengths[0]), tuple(text), torch.tensor(lengths[1]), zeros
    )


def test_padding_and_empty_rows_are_never_sampled() -> None:
    lengths = torch.tensor([3, 0, 5, 1])
    states = torch.full((4, 6, 2), float("nan"))
    for row, length in enumerate(lengths.tolist()):
        for position in range(length):
            states[row, position] = torch.tensor([row, position])
    sampled = sample_states(states, lengths, 64)
    assert sampled.isfinite().all()
    assert {tuple(state) for state in sampled.int().tolist()} == {
        (row, position) for row, length in enumerate(lengths.tolist()) for position in range(length)
    }


def test_variance_and_rank_are_those_of_the_states() -> None:
    generator = torch.Generator().manual_seed(0)
    speech = torch.randn(16, 8, 5, generator=generator)
    line = torch.randn(16, 8, 1, generator=generator) * torch.arange(1.0, 6.0)
    lengths = ([8] * 16, [8] * 16)
    found = collapse_metrics(output([speech, torch.ones_like(speech)], [line, line], lengths), (1, 4))
    assert float(found["speech_variance_layer_1"]) == pytest.approx(5, rel=0.2)
    assert float(found["speech_rank_layer_1"]) > 4
    assert float(found["text_rank_layer_1"]) == pytest.approx(1, abs=0.01)
    assert float(found["speech_variance_layer_4"]) == 0
    assert float(found["speech_rank_layer_4"]) == 0
    assert set(found) == {
        f"{s}_{m}_layer_{k}" for s in ("speech", "text") for m in ("variance", "rank") for k in (1, 4)
    }


@pytest.mark.parametrize("width", [0, 6])
def test_a_batch_without_transcripts_has_finite_metrics(width: int) -> None:
    speech, text = torch.randn(2, 8, 5), torch.zeros(2, width, 5)
    found = collapse_metrics(output([speech], [text], ([8, 3], [0, 0])), (0,))
    assert all(value.isfinite() for value in found.values())


def test_no_gradient_is_kept() -> None:
    states = torch.randn(4, 8, 5, requires_grad=True)
    found = collapse_metrics(output([states * 2], [states], ([8] * 4, [8] * 4)), (0,))
    assert not any(value.requires_grad for value in found.values())
