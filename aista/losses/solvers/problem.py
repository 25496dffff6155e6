"""The arguments of a solver, checked and brought to one form: N non-empty samples, one padded cost matrix each.

M samples come in (leading dimensions folded); the N of them with two non-empty sides go on.
S, T: positions; x: speech side; y: text side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from aista.losses.arguments import check_devices, check_number, check_states, described, read_lengths
from aista.losses.costs import Cost, resolve_cost
from aista.losses.masses import AnyMass, Mass, Uniform, resolve_mass
from aista.losses.solvers.pairwise import padded_costs, working_dtype
from aista.losses.solvers.uncompiled import uncompiled
from aista.types import length_mask

__all__ = ["Problem", "check_problems", "choose", "from_cost", "from_states"]

Samples = tuple[tuple[int, int, int], ...]  # (row among the M, S_n, T_n)


@dataclass(frozen=True)
class Problem:
    """N non-empty transport problems on the device of the inputs.

    Attributes:
        cost: ``[N, S', T']``, 0 in the padding; S', T' are the longest lengths. Differentiable.
        x_mass: ``[N, S']``, sums to 1 over each sample's own length, 0 in the padding.
        y_mass: ``[N, T']``.
        samples: ``(row, S_n, T_n)`` of each, where the row counts among the M.
        leading: The leading dimensions of the inputs; their product is M.
        size: S and T of the inputs.
    """

    cost: Tensor
    x_mass: Tensor
    y_mass: Tensor
    samples: Samples
    leading: torch.Size
    size: tuple[int, int]

    @property
    def lengths(self) -> tuple[tuple[int, int], ...]:
        """``(S_n, T_n)`` of each."""
        return tuple((s, t) for _, s, t in self.samples)

    def length_tensors(self) -> tuple[Tensor, Tensor]:
        """``[N]`` each: the S_n and the T_n on the problem's device."""
        lengths_N2 = torch.tensor(self.lengths, dtype=torch.long, device=self.cost.device).reshape(-1, 2)
        return lengths_N2[:, 0], lengths_N2[:, 1]

    def plus(self, extra: Tensor) -> Problem:
        """The problem with costs ``[leading, S, T]`` added; what they hold in the padding does not matter."""
        if extra.shape != (*self.leading, *self.size):
            raise ValueError(f"added costs must be [{[*self.leading, *self.size]}], got {described(extra)}")
        s, t = self.length_tensors()
        rows = torch.tensor([row for row, _, _ in self.samples], dtype=torch.long, device=extra.device)
        content = length_mask(s, self.cost.shape[1])[:, :, None] & length_mask(t, self.cost.shape[2])[:, None, :]
        part = extra.reshape(self.leading.numel(), *self.size)[rows, : content.shape[1], : content.shape[2]]
        return replace(self, cost=self.cost + part.to(self.cost).masked_fill(~content, 0))

    def restore(self, values: Tensor, *, fill: float = 0) -> Tensor:
        """``[N, ...]`` -> ``[leading, ...]``, differentiable; empty samples get ``fill``."""
        if len(self.samples) == self.leading.numel():
            return values.reshape((*self.leading, *values.shape[1:]))
        rows = torch.tensor([row for row, _, _ in self.samples], dtype=torch.long, device=values.device)
        full = values.new_full((self.leading.numel(), *values.shape[1:]), fill)
        return full.index_copy(0, rows, values).reshape((*self.leading, *values.shape[1:]))

    def restore_padded(self, values: Tensor, *sides: int) -> Tensor:
        """``[N, S' and/or T']`` -> ``[leading, S and/or T]``; ``sides`` tells which dimension is which (0: S, 1: T)."""
        size = tuple(self.size[side] for side in sides)
        if values.shape[1:] != size:
            padded = values.new_zeros(values.shape[0], *size)
            padded[tuple(slice(length) for length in values.shape)] = values
            values = padded
        return self.restore(values)


@uncompiled
def from_states(
    x: Tensor,
    y: Tensor,
    x_lengths: Tensor,
    y_lengths: Tensor,
    *,
    cost: str | Cost = "cosine",
    x_mass: AnyMass = None,
    y_mass: AnyMass = None,
    position_weight: float = 0.0,
    position_power: float = 1.0,
) -> Problem:
    """Build the problem from states ``[..., S, D]`` and ``[..., T, D]``.

    Raises:
        ValueError: types, shapes, devices, lengths, cost, masses or the positional term are not usable.
    """
    for name, z in (("x", x), ("y", y)):
        check_states(name, z, "[..., length, D]")
    if x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"x and y must agree in all dimensions but -2, got {list(x.shape)} and {list(y.shape)}")
    check_devices(x=x, y=y)
    check_number("position_weight", position_weight)
    check_number("position_power", position_power)
    if not 0 <= position_weight < float("inf"):
        raise ValueError(f"position_weight must be finite and at least 0, got {position_weight}")
    if not 0 < position_power < float("inf"):
        raise ValueError(f"position_power must be finite and greater than 0, got {position_power}")
    leading, size = x.shape[:-2], (x.shape[-2], y.shape[-2])
    samples = _samples(x_lengths, y_lengths, leading, size)
    folded_x, folded_y = x.reshape(leading.numel(), *x.shape[-2:]), y.reshape(leading.numel(), *y.shape[-2:])
    costs = padded_costs(folded_x, folded_y, samples, resolve_cost(cost), position_weight, position_power)
    masses = (
        _masses("x_mass", x_mass, folded_x, samples, 0, x.shape[:-1], costs),
        _masses("y_mass", y_mass, folded_y, samples, 1, y.shape[:-1], costs),
    )
    return Problem(costs, *masses, samples, leading, size)


@uncompiled
def from_cost(
    cost: Tensor, x_lengths: Tensor, y_lengths: Tensor, *, x_mass: AnyMass = None, y_mass: AnyMass = None
) -> Problem:
    """Build the problem from given costs ``[..., S, T]``; a mass cannot come from states here.

    Raises:
        ValueError: types, shapes, devices, lengths or masses are not usable.
    """
    check_states("cost", cost, "[..., S, T]")
    check_devices(cost=cost)
    leading, size = cost.shape[:-2], (cost.shape[-2], cost.shape[-1])
    samples = _samples(x_lengths, y_lengths, leading, size)
    rows, s, t = torch.tensor(samples, dtype=torch.long, device=cost.device).reshape(-1, 3).unbind(1)
    longest_s, longest_t = (max((sample[side] for sample in samples), default=0) for side in (1, 2))
    content = length_mask(s, longest_s)[:, :, None] & length_mask(t, longest_t)[:, None, :]
    costs = cost.reshape(leading.numel(), *size)[rows, :longest_s, :longest_t].to(working_dtype(cost))
    costs = torch.where(content, costs, 0.0)
    masses = (
        _masses("x_mass", x_mass, None, samples, 0, cost.shape[:-1], costs),
        _masses("y_mass", y_mass, None, samples, 1, torch.Size((*leading, size[1])), costs),
    )
    return Problem(costs, *masses, samples, leading, size)


def choose(samples_N: Tensor, new: Iterable[Tensor], old: Iterable[Tensor]) -> Iterator[Tensor]:
    """Of each pair of tensors ``[N, ...]`` the new one's marked samples and the old one's others."""
    for fresh, stale in zip(new, old, strict=True):
        yield torch.where(samples_N.reshape(-1, *[1] * (fresh.dim() - 1)), fresh, stale)


def check_problems(*problems: Any, expected: str = "a problem") -> tuple[Problem, ...]:
    """The arguments of a ``solve``. Raises ValueError: one is no problem."""
    for problem in problems:
        if not isinstance(problem, Problem):
            raise ValueError(
                f"solve takes {expected}, built by aista.losses.from_cost of costs or by from_states of states, "
                f"got {described(problem)}"
            )
    return problems


def _samples(x_lengths: Tensor, y_lengths: Tensor, leading: torch.Size, size: tuple[int, int]) -> Samples:
    lengths = (
        read_lengths("x_lengths", x_lengths, leading, size[0]),
        read_lengths("y_lengths", y_lengths, leading, size[1]),
    )
    check_devices(x_lengths=x_lengths, y_lengths=y_lengths)
    return tuple((row, s, t) for row, (s, t) in enumerate(zip(*lengths, strict=True)) if s and t)


def _masses(
    name: str, mass: AnyMass, states: Tensor | None, samples: Samples, side: int, full_size: torch.Size, costs: Tensor
) -> Tensor:
    """``[N, S' or T']`` masses that sum to 1 over each sample's own length; ``states`` is ``[M, S or T, D]``."""
    longest = costs.shape[1 + side]
    if mass is None or isinstance(mass, Uniform) or (isinstance(mass, str) and mass == "uniform"):
        lengths = torch.tensor([sample[1 + side] for sample in samples], dtype=torch.long, device=costs.device)
        return length_mask(lengths, longest).to(costs.dtype) / lengths[:, None]
    if isinstance(mass, Tensor):
        if mass.shape != full_size:
            raise ValueError(f"{name} must have shape {list(full_size)}, got {list(mass.shape)}")
        check_devices(**{name: mass, "the costs": costs})
        folded = mass.reshape(-1, full_size[-1]).to(costs.dtype)
        shares = [_normalised(name, folded[row, : (s, t)[side]]) for row, s, t in samples]
    else:
        function = resolve_mass(mass, at=name)
        if states is None:
            raise ValueError(f"{name} must be a tensor or 'uniform': {mass!r} takes states, and there are only costs")
        contents = [states[row, : (s, t)[side]].to(costs.dtype) for row, s, t in samples]
        shares = [_normalised(name, _of_states(name, function, content), content) for content in contents]
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
