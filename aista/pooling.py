"""One vector from the states of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from aista.types import length_mask, zero_padding

__all__ = ["POOLINGS", "pool"]

POOLINGS = ("mean", "max", "last", "norm")


def pool(states_BND: Tensor, lengths: Tensor, how: str = "mean") -> Tensor:
    """One vector per row from its true positions; padding never counts.

    Args:
        states_BND: ``[B, N, D]`` states, padded on the right.
        lengths: ``[B]``.
        how: ``mean``, ``max`` (per channel), ``last`` (the last true position, which in a causal
            LM has seen the whole row) or ``norm`` (the mean weighted by the states' norms, the mass that
            ``speech_mass: norm`` gives them in transport; a row of zeros is pooled evenly).

    Returns:
        ``[B, D]``; 0 for empty rows.
    """
    if how not in POOLINGS:
        raise ValueError(f"unknown pooling {how!r}; known: {', '.join(POOLINGS)}")
    states_BND = zero_padding(states_BND, lengths)
    if how == "mean":
        return states_BND.sum(dim=1) / lengths.clamp_min(1)[:, None]
    if not states_BND.shape[1]:
        states_BND = functional.pad(states_BND, (0, 0, 0, 1))
    if how == "last":
        return states_BND[torch.arange(len(states_BND), device=states_BND.device), (lengths - 1).clamp_min(0)]
    mask_BN1 = length_mask(lengths, states_BND.shape[1])[..., None]
    if how == "max":
        return states_BND.masked_fill(~mask_BN1, -torch.inf).amax(dim=1).masked_fill(lengths[:, None] == 0, 0)
    mass_BN1 = states_BND.norm(dim=2, keepdim=True)
    mass_BN1 = torch.where(mass_BN1.sum(dim=1, keepdim=True) > 0, mass_BN1, mask_BN1.to(mass_BN1.dtype))
    return (states_BND * mass_BN1).sum(dim=1) / mass_BN1.sum(dim=1).masked_fill(lengths[:, None] == 0, 1)
