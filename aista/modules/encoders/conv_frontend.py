"""Convolutions of the wav2vec 2.0 family (transformers' and fairseq2's), run so that padding changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aista.types import length_mask, zero_padding

__all__ = [
    "KernelsAndStrides",
    "conv_lengths",
    "convolve_waveform",
    "encode_positions",
    "masked_group_norm",
    "receptive_field",
]

KernelsAndStrides = Sequence[tuple[int, int]]


def conv_lengths(lengths: Tensor, convolutions: KernelsAndStrides) -> Tensor:
    """Lengths after convolutions without padding: ``floor((n - kernel) / stride) + 1`` each."""
    for kernel, stride in convolutions:
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    return lengths


def receptive_field(convolutions: KernelsAndStrides) -> int:
    """Receptive field of one state in samples, which is the shortest waveform with a state."""
    size = 1
    for kernel, stride in reversed(convolutions):
        size = (size - 1) * stride + kernel
    return size


def convolve_waveform(conv_layers: Iterable[Any], wave_BW: Tensor, lengths: Tensor) -> Tensor:
    """Waveforms, zero in the padding, -> frames ``[B, S, C]``.

    The convolutions have no padding of their own, so a frame within a row's output length sees that row's
    samples only. A group norm does not: it is given the lengths.
    """
    x_BCS = wave_BW[:, None]
    for layer in conv_layers:
        norm = next((child for child in layer.children() if isinstance(child, nn.GroupNorm)), None)
        if norm is not None:
            lengths = conv_lengths(lengths, [(layer.conv.kernel_size[0], layer.conv.stride[0])])
            x_BCS = layer.activation(masked_group_norm(norm, layer.conv(x_BCS), lengths))
        else:
            x_BCS = layer(x_BCS)
    return x_BCS.transpose(1, 2)


def masked_group_norm(norm: nn.GroupNorm, x_BCS: Tensor, lengths: Tensor) -> Tensor:
    """Group norm with one channel a group, its mean and variance over the first ``lengths`` frames of each row.

    Only models that hold such a norm in their first layer depend on it: the base wav2vec 2.0, HuBERT, WavLM.
    """
    if norm.num_groups != norm.num_channels:
        raise ValueError(f"expects a group norm of one channel a group, got {norm}")
    mask_BS = length_mask(lengths, x_BCS.size(2))
    if bool(mask_BS.all()):
        whole_BCS: Tensor = norm(x_BCS)
        return whole_BCS
    mask_B1S = mask_BS[:, None]
    count_B11 = lengths[:, None, None]
    x = x_BCS.float().masked_fill(~mask_B1S, 0)
    centred = (x - x.sum(dim=2, keepdim=True) / count_B11).masked_fill(~mask_B1S, 0)
    variance = centred.square().sum(dim=2, keepdim=True) / count_B11
    normed = centred * torch.rsqrt(variance + norm.eps)
    return (normed * norm.weight.float()[:, None] + norm.bias.float()[:, None]).to(x_BCS.dtype)


def encode_positions(embedding: Any, x_BSE: Tensor, lengths: Tensor) -> Tensor:
    """Convolutional positions of states that are zero in the padding, as if each row stood alone.

    Stacked convolutions (data2vec) and a batch norm (some HuBERTs) fill the padding with other numbers than the
    zeros that a row alone is surrounded by: they are cleared before each convolution.
    """
    for layer in getattr(embedding, "layers", ()):
        x_BSE = layer(zero_padding(x_BSE, lengths).transpose(1, 2)).transpose(1, 2)
    if hasattr(embedding, "layers"):
        return x_BSE
    if getattr(embedding, "batch_norm", None) is None:
        positions_BSE: Tensor = embedding(x_BSE)
        return positions_BSE
    normed_BSE = zero_padding(embedding.batch_norm(x_BSE.transpose(1, 2)).transpose(1, 2), lengths)
    positions_BES: Tensor = embedding.activation(embedding.padding(embedding.conv(normed_BSE.transpose(1, 2))))
    return positions_BES.transpose(1, 2)
