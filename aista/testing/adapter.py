"""Contracts of kind ``adapter``."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.modules.adapters.base import Adapter
from aista.testing._tensors import assert_close, assert_trainable, content_sum, fill_padding, gradients, ramp
from aista.testing.contracts import contract, dependencies

__all__ = ["check_batch_of_one", "check_gradients", "check_padding", "check_shapes"]

GARBAGE = 50.0
INPUT_DIM, OUTPUT_DIM = 16, 24
dependencies("adapter", {"input_dim": INPUT_DIM, "output_dim": OUTPUT_DIM})


@contract("adapter")
def check_shapes(adapter: Adapter, *, input_dim: int = INPUT_DIM, output_dim: int = OUTPUT_DIM) -> None:
    """Positions are ``[B, P, D]``; lengths integers in 1..P as announced, never above the input's, from 1 on."""
    states, lengths = _batch(input_dim)
    positions, out_lengths = _adapt(adapter, states, lengths)
    fits = positions.dim() == 3 and positions.shape[::2] == (len(lengths), output_dim)
    assert fits, f"positions must be [{len(lengths)}, P, output_dim {output_dim}], got {list(positions.shape)}"
    assert not out_lengths.is_floating_point(), f"lengths must be integers, got {out_lengths.dtype}"
    assert out_lengths.shape == lengths.shape, f"lengths must be [{len(lengths)}], got {list(out_lengths.shape)}"
    inside = int(out_lengths.min()) >= 1 and int(out_lengths.max()) <= positions.shape[1]
    assert inside, f"lengths must lie in 1..{positions.shape[1]}, got {out_lengths.tolist()} for {lengths.tolist()}"
    assert (out_lengths <= lengths).all(), f"positions outnumber frames: {out_lengths.tolist()} for {lengths.tolist()}"
    announced = adapter.output_lengths(lengths).tolist()
    assert announced == out_lengths.tolist(), f"output_lengths says {announced}, forward gives {out_lengths.tolist()}"


@contract("adapter")
def check_padding(adapter: Adapter, *, input_dim: int = INPUT_DIM, output_dim: int = OUTPUT_DIM) -> None:
    """What lies in the padding never changes a row's positions."""
    states, lengths = _batch(input_dim)
    positions, out_lengths = _adapt(adapter, states, lengths)
    others, other_lengths = _adapt(adapter, fill_padding(states, lengths, GARBAGE), lengths)
    assert out_lengths.tolist() == other_lengths.tolist(), "lengths depend on what lies in the padding"
    for row, length in enumerate(out_lengths.tolist()):
        assert_close(others[row, :length], positions[row, :length], f"row {row}'s positions depend on its padding")


@contract("adapter")
def check_batch_of_one(adapter: Adapter, *, input_dim: int = INPUT_DIM, output_dim: int = OUTPUT_DIM) -> None:
    """A row adapted alone gives the positions it has in a batch."""
    states, lengths = _batch(input_dim)
    positions, out_lengths = _adapt(adapter, states, lengths)
    for row, (length, out_length) in enumerate(zip(lengths.tolist(), out_lengths.tolist(), strict=True)):
        alone, alone_length = _adapt(adapter, states[row : row + 1, :length], lengths[row : row + 1])
        message = f"row {row} has {out_length} positions in a batch, {int(alone_length)} alone"
        assert int(alone_length) == out_length, message
        assert_close(alone[0, :out_length], positions[row, :out_length], f"row {row} depends on the other rows")


@contract("adapter")
def check_gradients(adapter: Adapter, *, input_dim: int = INPUT_DIM, output_dim: int = OUTPUT_DIM) -> None:
    """Gradients reach every trainable parameter and the encoder's states, and never the padding."""
    states, lengths = _batch(input_dim)
    states.requires_grad_(True)
    adapter.eval()
    assert_trainable(adapter, content_sum(*adapter(states, lengths)))
    (grad,) = gradients(content_sum(*adapter(states, lengths)), states)
    assert grad.abs().sum() > 0, "the encoder's states get no gradient"
    for row, length in enumerate(lengths.tolist()):
        assert not grad[row, length:].any(), f"row {row}'s padding gets a gradient"


def _batch(input_dim: int) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([21, 8, 7, 1])
    return fill_padding(ramp(4, 21, input_dim), lengths, 0.0), lengths


@torch.no_grad()
def _adapt(adapter: Adapter, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    adapter.eval()
    positions, out_lengths = adapter(states, lengths)
    return positions, out_lengths
