"""Contracts of kind ``encoder``; ``feature_dim`` is 0 where the encoder takes waveforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aista.errors import DataError
from aista.modules.encoders.base import SpeechEncoder
from aista.testing.contracts import contract, dependencies
from aista.testing.tensors import (
    assert_close,
    assert_raises,
    assert_returned,
    assert_trainable,
    content_sum,
    fill_padding,
    ramp,
)

GARBAGE = 50.0
dependencies("encoder", {"feature_dim": 0}, {"feature_dim": 80}, {"feature_dim": 128}, {"feature_dim": 160})


@contract("encoder")
def check_shapes(encoder: SpeechEncoder, *, feature_dim: int) -> None:
    """States are ``[B, S, E]`` floats, lengths ``[B]`` integers in 1..S as announced, ``layers`` the blocks."""
    audio, lengths = _batch(feature_dim)
    states, out_lengths = _encode(encoder, audio, lengths)
    expected = f"[{len(lengths)}, S, output_dim {encoder.output_dim}]"
    fits = states.dim() == 3 and states.shape[::2] == (len(lengths), encoder.output_dim)
    assert fits, f"states must be {expected}, got {list(states.shape)}"
    finite = states.is_floating_point() and bool(torch.isfinite(states[0, : int(out_lengths[0])]).all())
    assert finite, "states must be finite floating-point numbers"
    assert not out_lengths.is_floating_point(), f"lengths must be integers, got {out_lengths.dtype}"
    assert out_lengths.shape == lengths.shape, f"lengths must be [{len(lengths)}], got {list(out_lengths.shape)}"
    inside = int(out_lengths.min()) >= 1 and int(out_lengths.max()) <= states.shape[1]
    assert inside, f"lengths must lie in 1..{states.shape[1]}, got {out_lengths.tolist()}"
    announced = encoder.output_lengths(lengths).tolist()
    assert announced == out_lengths.tolist(), f"output_lengths says {announced}, forward gives {out_lengths.tolist()}"
    ordered = out_lengths.tolist() == sorted(out_lengths.tolist(), reverse=True)
    assert ordered, f"longer audio must not give fewer states, got {out_lengths.tolist()} for {lengths.tolist()}"
    assert isinstance(encoder.layers, nn.ModuleList), "layers must be the nn.ModuleList of the blocks"


@contract("encoder")
def check_padding(encoder: SpeechEncoder, *, feature_dim: int) -> None:
    """The content of the padding never changes a row's states."""
    audio, lengths = _batch(feature_dim)
    states, out_lengths = _encode(encoder, audio, lengths)
    others, other_lengths = _encode(encoder, fill_padding(audio, lengths, GARBAGE), lengths)
    assert out_lengths.tolist() == other_lengths.tolist(), "lengths depend on the content of the padding"
    for row, length in enumerate(out_lengths.tolist()):
        assert_close(others[row, :length], states[row, :length], f"row {row}'s states depend on its padding")


@contract("encoder")
def check_batch_of_one(encoder: SpeechEncoder, *, feature_dim: int) -> None:
    """A row encoded alone gives the states it has in a batch."""
    audio, lengths = _batch(feature_dim)
    states, out_lengths = _encode(encoder, audio, lengths)
    for row, (length, out_length) in enumerate(zip(lengths.tolist(), out_lengths.tolist(), strict=True)):
        alone, alone_length = _encode(encoder, audio[row : row + 1, :length], lengths[row : row + 1])
        assert int(alone_length) == out_length, (
            f"row {row} has {out_length} states in a batch, {int(alone_length)} alone"
        )
        assert_close(alone[0, :out_length], states[row, :out_length], f"row {row} depends on the other rows")


@contract("encoder")
def check_length_range(encoder: SpeechEncoder, *, feature_dim: int) -> None:
    """The shortest valid input gives the announced number of states; shorter input raises DataError."""
    shortest = encoder.length_range[0]
    channels = (feature_dim,) if feature_dim else ()
    for length in range(shortest, min(shortest + 5, encoder.length_range[1])):
        lengths = torch.tensor([length])
        states, out_lengths = _encode(encoder, 0.1 * ramp(1, length, *channels), lengths)
        announced = int(encoder.output_lengths(lengths))
        fits = 1 <= announced == int(out_lengths) <= states.shape[1]
        assert fits, f"{length} of input must give {max(1, announced)} states, got {int(out_lengths)}"
    lengths = torch.tensor([shortest, shortest - 1])
    with assert_raises(
        DataError, f"length_range begins at {shortest}, but a row of {shortest - 1} raises no DataError"
    ):
        _encode(encoder, 0.1 * ramp(2, shortest, *channels), lengths)


@contract("encoder")
def check_deterministic(encoder: SpeechEncoder, *, feature_dim: int) -> None:
    """In eval mode the same input gives the same states, and the input is left alone."""
    audio, lengths = _batch(feature_dim)
    before = audio.clone()
    first, _ = _encode(encoder, audio, lengths)
    second, _ = _encode(encoder, audio, lengths)
    assert torch.equal(audio, before), "the encoder changes its input in place"
    assert torch.equal(first, second), "two calls in eval mode differ; dropout or noise must be off there"


@contract("encoder")
def check_gradients(encoder: SpeechEncoder, *, feature_dim: int) -> None:
    """Every trainable parameter gets a finite gradient."""
    audio, lengths = _batch(feature_dim)
    encoder.eval()
    assert_trainable(encoder, content_sum(*encoder(audio, lengths)))


def _batch(feature_dim: int) -> tuple[Tensor, Tensor]:
    if feature_dim == 0:
        lengths = torch.tensor([8000, 5213, 3000])  # samples; half a second at 16 kHz
        return fill_padding(0.1 * ramp(3, 8000), lengths, 0.0), lengths
    lengths = torch.tensor([64, 41, 24])
    return fill_padding(ramp(3, 64, feature_dim), lengths, 0.0), lengths


@torch.no_grad()
def _encode(encoder: SpeechEncoder, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    encoder.eval()
    output: tuple[Tensor, Tensor] = encoder(audio, lengths)
    assert_returned(output, tuple, "states [B, S, E] and lengths [B]")
    return output
