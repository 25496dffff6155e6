"""What every encoder and adapter must do with a padded batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.testing import assert_close


def padded(lengths: list[int], *shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random rows of the given lengths, zero in the padding; ``shape`` follows the time axis."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(lengths), max(lengths), *shape, generator=generator)
    for row, length in enumerate(lengths):
        x[row, length:] = 0
    return x, torch.tensor(lengths)


def check_padding(module: nn.Module, x: Tensor, lengths: Tensor) -> None:
    """NaN and inf in the padding change no row, get zero gradient, and spoil no parameter's gradient."""
    module.eval()
    clean, clean_lengths = module(x, lengths)
    wide = torch.cat([x, torch.zeros_like(x[:, :3])], 1)
    for poison in (float("nan"), float("inf"), 1e4):
        dirty = wide.clone()
        for row, length in enumerate(lengths.tolist()):
            dirty[row, length:] = poison
        dirty.requires_grad_()
        module.zero_grad()
        out, out_lengths = module(dirty, lengths)
        assert_close(out_lengths, clean_lengths)
        loss = out.new_zeros(())
        for row, length in enumerate(out_lengths.tolist()):
            assert_close(out[row, :length], clean[row, :length], rtol=1e-4, atol=1e-5)
            # squares: the plain sum of layer-normed states has no gradient
            loss = loss + (out[row, :length] ** 3).sum()
        loss.backward()
        assert dirty.grad is not None
        for row, length in enumerate(lengths.tolist()):
            assert (dirty.grad[row, length:] == 0).all()
            assert dirty.grad[row, :length].isfinite().all()
            assert dirty.grad[row, :length].abs().sum() > 0
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def check_rows_are_independent(module: nn.Module, x: Tensor, lengths: Tensor) -> None:
    """A batch of n gives what n batches of 1 give."""
    module.eval()
    with torch.no_grad():
        together, together_lengths = module(x, lengths)
        assert together.size(1) >= int(together_lengths.max())
        for row, length in enumerate(lengths.tolist()):
            alone, alone_lengths = module(x[row : row + 1, :length], lengths[row : row + 1])
            size = int(together_lengths[row])
            assert 1 <= size == int(alone_lengths[0]) == alone.size(1)
            assert_close(together[row, :size], alone[0], rtol=1e-4, atol=1e-5)


def check_follows_weight_dtype(module: nn.Module, x: Tensor, lengths: Tensor) -> None:
    """With bf16 weights and fp32 inputs the states are bf16 and near the fp32 ones."""
    module.eval()
    with torch.no_grad():
        expected, _ = module(x, lengths)
        out, out_lengths = module.bfloat16()(x, lengths)
    assert out.dtype == torch.bfloat16
    for row, length in enumerate(out_lengths.tolist()):
        error = (out[row, :length].float() - expected[row, :length]).norm() / expected[row, :length].norm()
        assert error < 0.05
