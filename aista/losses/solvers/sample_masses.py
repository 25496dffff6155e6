"""Masses of each sample's states, computed sample by sample on content only, as ``pairwise.py`` computes costs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aista.losses.arguments import check_devices, described
from aista.losses.masses import AnyMass, Mass, Uniform, resolve_mass
from aista.types import length_mask

__all__ = ["given_mass", "padded_masses"]


def given_mass(name: str, mass: AnyMass, shape: Sequence[int]) -> Tensor | Mass:
    """Given masses of the right shape, folded to ``[M, length]``; or a function of the states."""
    if mass is None:
        return Uniform()
    if not isinstance(mass, Tensor):
        return resolve_mass(mass, at=name)
    if mass.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(mass.shape)}")
    return mass.reshape(-1, shape[-1])


def padded_masses(
    name: str, mass: Tensor | Mass, states: Tensor, samples: Sequence[tuple[int, int, int]], side: int, costs: Tensor
) -> Tensor:
    """``[N, S' or T']`` masses that sum to 1 over each sample's own length; ``states`` is ``[M, S or T, D]``."""
    longest = costs.shape[1 + side]
    if isinstance(mass, Uniform):
        lengths = torch.tensor([sample[1 + side] for sample in samples], dtype=torch.long, device=costs.device)
        return length_mask(lengths, longest).to(costs.dtype) / lengths[:, None]
    if isinstance(mass, Tensor):
        check_devices(**{name: mass, "the costs": costs})
        folded = mass.to(costs.dtype)
        shares = [_normalised(name, folded[row, : (s, t)[side]]) for row, s, t in samples]
    else:
        contents = [states[row, : (s, t)[side]].to(costs.dtype) for row, s, t in samples]
        shares = [_normalised(name, _of_states(name, mass, content), content) for content in contents]
    padded = [torch.nn.functional.pad(share, (0, longest - share.shape[0])) for share in shares]
    return torch.stack(padded) if padded else costs.new_zeros(0, longest)


def _of_states(name: str, mass: Mass, states: Tensor) -> Tensor:
    values = mass(states)
    if not isinstance(values, Tensor) or values.shape != states.shape[:1]:
        raise ValueError(
            f"{name}: a mass must map [{len(states)}, D] to a tensor [{len(states)}], but {mass!r} gave "
            f"{described(values)}"
        )
    check_devices(**{name: values, "its states": states})
    return values.to(states.dtype)


def _normalised(name: str, mass: Tensor, states: Tensor | None = None) -> Tensor:
    # Sample by sample, so that neither padding nor the batch changes the order of the sum.
    total = mass.sum()
    if not bool(total > 0) or bool((mass < 0).any()) or not bool(total.isfinite()):
        if states is not None and not bool(states.isfinite().all()):
            return torch.full_like(mass, torch.nan)  # as the sample's costs: the other samples have their own
        raise ValueError(
            f"{name} must be finite, at least 0 and not all 0 over a sample's length, "
            f"got values in [{mass.min():g}, {mass.max():g}] with sum {total:g}"
        )
    return mass / total
