"""Contracts of kind ``adapter``."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.modules.adapters.base import Adapter, AdapterOutput
from aista.testing.contracts import contract, dependencies
from aista.testing.tensors import (
    assert_close,
    assert_returned,
    assert_trainable,
    content_sum,
    fill_padding,
    gradients,
    ramp,
)

GARBAGE = 50.0
INPUT_DIM, OUTPUT_DIM, VOCAB_SIZE = 16, 24, 12
dependencies(
    "adapter",
    {"input_dim": INPUT_DIM, "output_dim": OUTPUT_DIM, "vocab_size": VOCAB_SIZE},
    {"input_dim": 1280, "output_dim": 4096, "vocab_size": VOCAB_SIZE},  # of Qwen2-Audio, whose projector has its own
)


@contract("adapter")
def check_shapes(adapter: Adapter, *, input_dim: int = INPUT_DIM, output_dim: int = OUTPUT_DIM) -> None:
    """Positions are ``[B, P, D]``; lengths are integers in 1..P."""
    states, lengths = _batch(input_dim)
    positions, out_lengths, _ = _adapt(adapter, states, lengths)
    fits = positions.dim() == 3 and positions.shape[::2] == (len(lengths), output_dim)
    assert fits, f"positions must be [{len(lengths)}, P, output_dim {output_dim}], got {list(positions.shape)}"
    assert not out_lengths.is_floating_point(), f"lengths must be integers, got {out_lengths.dtype}"
    assert out_lengths.shape == lengths.shape, f"lengths must be [{len(lengths)}], got {list(out_lengths.shape)}"
    inside = int(out_lengths.min()) >= 1 and int(out_lengths.max()) <= positions.shape[1]
    assert inside, f"lengths must lie in 1..{positions.shape[1]}, got {out_lengths.tolist()} for {lengths.tolist()}"


@contract("adapter")
def check_lengths(adapter: Adapter, *, input_dim: int = INPUT_DIM, vocab_size: int = VOCAB_SIZE) -> None:
    """``output_lengths`` grows with the input and is what ``forward`` gives, or an upper bound if it says so.

    A bound must hold for any states, in training and with transcripts longer than the speech.
    """
    announced = adapter.output_lengths(torch.arange(1, 50)).tolist()
    assert announced == sorted(announced), f"output_lengths must not fall as lengths grow, got {announced}"
    _, lengths = _batch(input_dim)
    source, source_lengths = _transcripts(vocab_size, [30, 0, 3, 2])
    bound = adapter.output_lengths(lengths)
    for seed, scale in enumerate((0.0, 0.01, 1.0, 100.0)):
        states = fill_padding(scale * ramp(len(lengths), 21, input_dim, seed=seed), lengths, 0.0)
        for training in (False, True):
            for transcripts in ((None, None), (source, source_lengths)):
                returned = _adapt(adapter, states, lengths, *transcripts, training=training).lengths
                mismatch = f"output_lengths says {bound.tolist()}, forward gives {returned.tolist()}"
                if adapter.exact_lengths:
                    assert returned.tolist() == bound.tolist(), mismatch
                else:
                    assert (returned >= 1).all(), f"lengths must be at least 1, got {returned.tolist()}"
                    assert (returned <= bound).all(), f"{mismatch}, beyond the bound"


@contract("adapter")
def check_padding(adapter: Adapter, *, input_dim: int = INPUT_DIM, vocab_size: int = VOCAB_SIZE) -> None:
    """The content of the padding never changes a row's positions."""
    states, lengths = _batch(input_dim)
    source, source_lengths = _transcripts(vocab_size)
    for training in (False, True):
        positions, out_lengths, _ = _adapt(adapter, states, lengths, source, source_lengths, training=training)
        dirty = fill_padding(states, lengths, GARBAGE), lengths, fill_padding(source, source_lengths, 9), source_lengths
        others, other_lengths, _ = _adapt(adapter, *dirty, training=training)
        assert out_lengths.tolist() == other_lengths.tolist(), "lengths depend on the content of the padding"
        for row, length in enumerate(out_lengths.tolist()):
            assert_close(others[row, :length], positions[row, :length], f"row {row}'s positions depend on its padding")


@contract("adapter")
def check_batch_of_one(adapter: Adapter, *, input_dim: int = INPUT_DIM) -> None:
    """A row adapted alone gives the positions it has in a batch."""
    states, lengths = _batch(input_dim)
    positions, out_lengths, _ = _adapt(adapter, states, lengths)
    for row, (length, out_length) in enumerate(zip(lengths.tolist(), out_lengths.tolist(), strict=True)):
        alone, alone_length, _ = _adapt(adapter, states[row : row + 1, :length], lengths[row : row + 1])
        message = f"row {row} has {out_length} positions in a batch, {int(alone_length)} alone"
        assert int(alone_length) == out_length, message
        assert_close(alone[0, :out_length], positions[row, :out_length], f"row {row} depends on the other rows")


@contract("adapter")
def check_losses(adapter: Adapter, *, input_dim: int = INPUT_DIM, vocab_size: int = VOCAB_SIZE) -> None:
    """Losses of its own, if any, are finite and per row: padding and other rows never matter.

    In evaluation mode ``adapt`` gives the positions of ``forward``, whatever the transcripts.
    """
    states, lengths = _batch(input_dim)
    source, source_lengths = _transcripts(vocab_size)
    positions, out_lengths, terms = _adapt(adapter, states, lengths, source, source_lengths)
    plain, plain_lengths, _ = _adapt(adapter, states, lengths)
    same = plain_lengths.tolist() == out_lengths.tolist() and torch.equal(plain, positions)
    assert same, "in evaluation mode, adapt and forward give different positions"
    names = [term.name for term in terms]
    assert len(set(names)) == len(names), f"losses must have names of their own, got {names}"
    dirty = fill_padding(states, lengths, GARBAGE), lengths, fill_padding(source, source_lengths, 9), source_lengths
    others = _adapt(adapter, *dirty).terms
    for index, (name, weight, value_B, applies_B) in enumerate(terms):
        assert value_B.shape == lengths.shape, f"{name} must be [{len(lengths)}], got {list(value_B.shape)}"
        assert value_B.isfinite().all(), f"{name} must be finite, got {value_B.tolist()}"
        assert weight >= 0, f"{name}'s weight must be at least 0, got {weight}"
        assert not value_B[~applies_B].any(), f"{name} must be 0 in rows that it does not apply to"
        assert_close(others[index].value, value_B, f"{name} depends on the padding")
        for row, length in enumerate(lengths.tolist()):
            one = slice(row, row + 1)
            alone = _adapt(adapter, states[one, :length], lengths[one], source[one], source_lengths[one]).terms[index]
            assert_close(alone.value, value_B[one], f"{name} of row {row} depends on the other rows")


@contract("adapter")
def check_gradients(adapter: Adapter, *, input_dim: int = INPUT_DIM, vocab_size: int = VOCAB_SIZE) -> None:
    """Gradients reach every trainable parameter and the encoder's states, and never the padding."""
    states, lengths = _batch(input_dim)
    states.requires_grad_(True)
    adapter.eval()
    for transcripts in (_transcripts(vocab_size), _transcripts(vocab_size, [0, 0, 0, 0])):
        assert_trainable(adapter, _content(adapter.adapt(states, lengths, *transcripts)))
        (grad,) = gradients(_content(adapter.adapt(states, lengths, *transcripts)), states)
        assert grad.abs().sum() > 0, "the encoder's states get no gradient"
        for row, length in enumerate(lengths.tolist()):
            assert not grad[row, length:].any(), f"row {row}'s padding gets a gradient"


def _batch(input_dim: int) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([21, 8, 7, 1])
    return fill_padding(ramp(4, 21, input_dim), lengths, 0.0), lengths


def _content(output: AdapterOutput) -> Tensor:
    """A scalar that depends on all positions and on the adapter's own losses."""
    total = content_sum(output.positions, output.lengths)
    for term in output.terms:
        total = total + term.weight * term.value.sum()
    return total


def _transcripts(vocab_size: int, lengths: tuple[int, ...] | list[int] = (5, 0, 3, 2)) -> tuple[Tensor, Tensor]:
    """``[B, T]`` ids: one row has none, one has more than the frames of ``_batch``."""
    ids = torch.arange(len(lengths) * max(*lengths, 1)).view(len(lengths), -1) % vocab_size
    return ids[:, : max(lengths)], torch.tensor(lengths)


def _adapt(
    adapter: Adapter,
    states: Tensor,
    lengths: Tensor,
    source: Tensor | None = None,
    source_lengths: Tensor | None = None,
    *,
    training: bool = False,
) -> AdapterOutput:
    """``forward`` without transcripts, else ``adapt``; with the same dropout each time."""
    adapter.train(training)
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        if source is None:
            output = adapter(states, lengths)
            assert_returned(output, tuple, "positions [B, P, D] and lengths [B]")
            return AdapterOutput(*output)
        return adapter.adapt(states, lengths, source, source_lengths)
