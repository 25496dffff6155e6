"""Contrastive loss among the items of a batch, including those of all data-parallel processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aista.losses.contrast import contrast, same_key
from aista.losses.processes import gather_rows, process_rank, world_size
from aista.losses.sides import row_mean
from aista.types import length_mask

__all__ = ["Items", "contrast_in_batch", "max_sim", "row_means"]


class Items(NamedTuple):
    """The items to distinguish, rows or words: unit vectors of both sides, of one or of all processes.

    Attributes:
        x: ``[L, B, P, D]`` of the speech; P is 1 where it is pooled.
        y: ``[L, B, T, D]`` of the text.
        x_lengths: ``[B]`` how many of the P are content; an item of length 0 is absent.
        y_lengths: ``[B]``.
        keys: ``[B, K]`` numbers that are equal where two items have the same text; these are not each other's
            negatives.
    """

    x: Tensor
    y: Tensor
    x_lengths: Tensor
    y_lengths: Tensor
    keys: Tensor


def contrast_in_batch(local: Items, temperature: float, *, gather: bool) -> tuple[Tensor, Tensor, Tensor]:
    """InfoNCE in both directions among the items of a layer.

    Args:
        local: Items of this process.
        temperature: Divides the similarities.
        gather: Whether the items of all processes are candidates, with their gradients.

    Returns:
        ``[L, B]`` loss, ``[L, B]`` share of the directions whose positive is best, ``[B]`` number of candidates.
    """
    num_items = len(local.x_lengths)
    candidates = _of_all_processes(local) if gather else local
    is_alone = len(candidates.x_lengths) == num_items
    positive = torch.arange(num_items, device=local.x.device)
    if not is_alone:
        positive = positive + process_rank() * (len(candidates.x_lengths) // world_size())
    present = (candidates.x_lengths > 0) & (candidates.y_lengths > 0)
    is_candidate = present & ~same_key(local.keys, candidates.keys)
    forward = _similarities(local.x, candidates.y, local.x_lengths, candidates.y_lengths)
    backward = forward if is_alone else _similarities(candidates.x, local.y, candidates.x_lengths, local.y_lengths)
    x_loss, x_best = contrast(forward / temperature, is_candidate, positive)
    y_loss, y_best = contrast(backward.mT / temperature, is_candidate, positive)
    dtype = local.x.dtype
    best = 0.5 * (x_best.to(dtype) + y_best.to(dtype))
    return 0.5 * (x_loss + y_loss), best, 1 + is_candidate.sum(1).to(dtype)


def _of_all_processes(local: Items) -> Items:
    """The items of all processes, one process after the other, padded with absent ones."""
    x, y, x_lengths, y_lengths, keys = gather_rows(*local)
    return Items(
        x.transpose(0, 1).flatten(1, 2),
        y.transpose(0, 1).flatten(1, 2),
        x_lengths.flatten(),
        y_lengths.flatten(),
        keys.flatten(0, 1),
    )


def _similarities(x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor) -> Tensor:
    """``[L, A, P, D] x [L, C, T, D] -> [L, A, C]``, layer by layer."""
    if x.shape[2] == y.shape[2] == 1:
        return x[:, :, 0] @ y[:, :, 0].mT
    layers = zip(x.unbind(), y.unbind(), strict=True)
    return torch.stack([max_sim(x_APD, y_CTD, x_lengths, y_lengths) for x_APD, y_CTD in layers])


def max_sim(x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor) -> Tensor:
    """Mean over each text's tokens of the best cosine with any state of the speech.

    Args:
        x: ``[A, P, D]`` unit vectors.
        y: ``[C, T, D]`` unit vectors.
        x_lengths: ``[A]``. A row of length 0 has the lowest similarity.
        y_lengths: ``[C]``. A row of length 0 gives 0.

    Returns:
        ``[A, C]``.
    """
    if not (len(x) and x.shape[1]):
        return x.new_zeros(len(x), len(y))
    inside_AP = length_mask(x_lengths, x.shape[1])
    rows = []
    for x_PD, inside_P in zip(x.unbind(), inside_AP.unbind(), strict=True):
        cosines_CTP = (y @ x_PD.mT).masked_fill(~inside_P, -1.0)
        rows.append(row_mean(cosines_CTP.max(-1).values, y_lengths))
    return torch.stack(rows)


def row_means(values: Tensor, inside_BN: Tensor) -> Tensor:
    """``[L, B * N]`` values of items -> ``[L * B]`` mean over the items inside each row; 0 without any."""
    values_LBN = values.view(len(values), *inside_BN.shape)
    total = torch.where(inside_BN, values_LBN, 0).sum(-1)
    return (total / inside_BN.sum(-1).clamp_min(1)).flatten()
