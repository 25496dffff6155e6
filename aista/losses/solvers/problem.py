"""The arguments of a solver, checked and converted to one form: N samples, one padded cost matrix each.

M samples come in (leading dimensions folded). On the CPU the N of them with two non-empty sides go on, and costs are
computed sample by sample (``pairwise.py``); on other devices all go on and nothing is read back (``batch.py``).
S, T: positions; x: speech side; y: text side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from aista.losses.arguments import check_devices, check_lengths, check_number, check_states, described, read_lengths
from aista.losses.costs import Cost, resolve_cost, working_dtype
from aista.losses.masses import AnyMass, Mass, Uniform
from aista.losses.solvers import batch
from aista.losses.solvers.pairwise import padded_costs
from aista.losses.solvers.sample_masses import given_mass, padded_masses
from aista.losses.solvers.uncompiled import uncompiled
from aista.types import length_mask

__all__ = ["Problem", "check_problems", "choose", "from_cost", "from_states"]

Samples = tuple[tuple[int, int, int], ...]  # (row among the M, S_n, T_n)


@dataclass(frozen=True)
class Problem:
    """N transport problems on the device of the inputs.

    Attributes:
        cost: ``[N, S', T']``; S', T' are at least the longest lengths. Differentiable. 0 in the padding if compact.
        x_mass: ``[N, S']``, sums to 1 over each sample's own length, 0 in the padding.
        y_mass: ``[N, T']``.
        x_lengths: ``[N]``.
        y_lengths: ``[N]``.
        rows: ``[N]`` which of the M each is. None: all of them, those with an empty side too.
        leading: The leading dimensions of the inputs; their product is M.
        size: S and T of the inputs.
    """

    cost: Tensor
    x_mass: Tensor
    y_mass: Tensor
    x_lengths: Tensor
    y_lengths: Tensor
    rows: Tensor | None
    leading: torch.Size
    size: tuple[int, int]

    @cached_property
    def samples(self) -> Samples:
        """``(row, S_n, T_n)`` of each, read from the device."""
        rows = torch.arange(len(self.cost), device=self.cost.device) if self.rows is None else self.rows
        return tuple(map(tuple, torch.stack([rows, self.x_lengths, self.y_lengths], 1).tolist()))

    @property
    def lengths(self) -> tuple[tuple[int, int], ...]:
        """``(S_n, T_n)`` of each, read from the device."""
        return tuple((s, t) for _, s, t in self.samples)

    def detached(self) -> Problem:
        """The same without gradient."""
        return replace(self, cost=self.cost.detach(), x_mass=self.x_mass.detach(), y_mass=self.y_mass.detach())

    def compact(self) -> Problem:
        """The non-empty samples, cut to their longest lengths; reads the lengths from the device.

        Raises:
            ValueError: a length is beyond the padded size, or the masses of a sample are unusable.
        """
        if self.rows is not None:
            return self
        x, y = (lengths.reshape(self.leading) for lengths in (self.x_lengths, self.y_lengths))
        samples = _samples(x, y, self.leading, self.size)
        cost, rows, s, t = _cut(self.cost, samples)
        x_mass, y_mass = _rows(self.x_mass, rows)[:, : cost.shape[1]], _rows(self.y_mass, rows)[:, : cost.shape[2]]
        compact = Problem(cost, x_mass, y_mass, s, t, rows, self.leading, self.size)
        compact._check_masses()
        return compact

    def _check_masses(self) -> None:
        """Raise ValueError where ``batch.shares`` found masses unusable, unless the states are not finite."""
        for name, mass in (("x_mass", self.x_mass), ("y_mass", self.y_mass)):
            if bool(mass.sum().isnan()):
                unusable = mass.isnan().any(1) & self.cost.isfinite().flatten(1).all(1)
                for n in unusable.nonzero()[:, 0].tolist():
                    rule = "masses must be finite, at least 0 and not all 0 over a sample's length"
                    raise ValueError(f"{name} of sample {self.samples[n][0]} cannot be scaled to sum to 1: {rule}")

    def content_cost(self) -> Tensor:
        """``[N, S', T']`` the costs without gradient, 0 in the padding."""
        cost = self.cost.detach()
        if self.rows is not None:
            return cost
        return torch.where(_content(self.x_lengths, self.y_lengths, *cost.shape[1:]), cost, 0.0)

    def plus(self, extra: Tensor) -> Problem:
        """The problem with costs ``[leading, S, T]`` added; what they hold in the padding does not matter."""
        if extra.shape != (*self.leading, *self.size):
            raise ValueError(f"added costs must be [{[*self.leading, *self.size]}], got {described(extra)}")
        _, s, t = self.cost.shape
        part = extra.reshape(self.leading.numel(), *self.size)
        part = part if self.rows is None else part[self.rows, :s, :t]
        content = _content(self.x_lengths, self.y_lengths, s, t)
        return replace(self, cost=self.cost + part.to(self.cost).masked_fill(~content, 0))

    def restore(self, values: Tensor, *, fill: float = 0) -> Tensor:
        """``[N, ...]`` -> ``[leading, ...]``, differentiable; samples that are not among the N get ``fill``."""
        if self.rows is None or len(self.rows) == self.leading.numel():
            return values.reshape((*self.leading, *values.shape[1:]))
        full = values.new_full((self.leading.numel(), *values.shape[1:]), fill)
        return full.index_copy(0, self.rows, values).reshape((*self.leading, *values.shape[1:]))

    def restore_padded(self, values: Tensor, *sides: int) -> Tensor:
        """``[N, S' and/or T']`` -> ``[leading, S and/or T]``; ``sides`` tells which dimension is which (0: S, 1: T)."""
        size = tuple(self.size[side] for side in sides)
        if values.shape[1:] != size:
            padded = values.new_zeros(values.shape[0], *size)
            padded[tuple(slice(length) for length in values.shape)] = values
            values = padded
        return self.restore(values)


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
    batched: bool | None = None,
) -> Problem:
    """Build the problem from states ``[..., S, D]`` and ``[..., T, D]``; the arguments are those of a solver.

    ``batched`` says whether costs and masses are computed for the padded batch at once, with lengths that nothing
    reads; None: on every device but the CPU, where a sample's bits must not depend on its batch. Costs and masses
    without a batched form (``batch.py``) are computed sample by sample in any case.

    Raises:
        ValueError: types, shapes, devices, lengths, cost, masses or the positional term are not usable.
    """
    for name, z in (("x", x), ("y", y)):
        check_states(name, z, "[..., length, D]")
    if x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"x and y must agree in all dimensions but -2, got {list(x.shape)} and {list(y.shape)}")
    check_devices(x=x, y=y)
    _check_position(position_weight, position_power)
    costs = resolve_cost(cost)
    masses = given_mass("x_mass", x_mass, x.shape[:-1]), given_mass("y_mass", y_mass, y.shape[:-1])
    batched = x.device.type != "cpu" if batched is None else batched
    build = _batched if batched and batch.takes(costs, *masses) else _sample_by_sample
    return build(x, y, (x_lengths, y_lengths), costs, masses, (position_weight, position_power))


def _check_position(weight: float, power: float) -> None:
    check_number("position_weight", weight)
    check_number("position_power", power)
    if not 0 <= weight < float("inf"):
        raise ValueError(f"position_weight must be finite and at least 0, got {weight}")
    if not 0 < power < float("inf"):
        raise ValueError(f"position_power must be finite and greater than 0, got {power}")


@uncompiled
def _sample_by_sample(
    x: Tensor,
    y: Tensor,
    lengths: tuple[Tensor, Tensor],
    cost: Cost,
    masses: tuple[Tensor | Mass, Tensor | Mass],
    position: tuple[float, float],
) -> Problem:
    leading, size = x.shape[:-2], (x.shape[-2], y.shape[-2])
    samples = _samples(*lengths, leading, size)
    folded_x, folded_y = x.reshape(leading.numel(), *x.shape[-2:]), y.reshape(leading.numel(), *y.shape[-2:])
    costs = padded_costs(folded_x, folded_y, samples, cost, *position)
    shares = (
        padded_masses("x_mass", masses[0], folded_x, samples, 0, costs),
        padded_masses("y_mass", masses[1], folded_y, samples, 1, costs),
    )
    rows, s, t = _columns(samples, costs.device)
    return Problem(costs, *shares, s, t, rows, leading, size)


def _batched(
    x: Tensor,
    y: Tensor,
    lengths: tuple[Tensor, Tensor],
    cost: Cost,
    masses: tuple[Tensor | Mass, Tensor | Mass],
    position: tuple[float, float],
) -> Problem:
    leading, size = x.shape[:-2], (x.shape[-2], y.shape[-2])
    for name, values in zip(("x_lengths", "y_lengths"), lengths, strict=True):
        check_lengths(name, values, leading)
    check_devices(x=x, x_lengths=lengths[0], y_lengths=lengths[1])
    x_side, y_side = (
        batch.Side.of(z.reshape(leading.numel(), *z.shape[-2:]), values.reshape(-1).long())
        for z, values in zip((x, y), lengths, strict=True)
    )
    costs = batch.costs(x_side, y_side, cost, *position)
    shares = batch.shares("x_mass", masses[0], x_side), batch.shares("y_mass", masses[1], y_side)
    return Problem(costs, *shares, x_side.lengths_N, y_side.lengths_N, None, leading, size)


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
    cut, rows, s, t = _cut(cost.reshape(leading.numel(), *size), samples)
    costs = cut.to(working_dtype(cost))
    shares: list[Tensor] = []
    for side, (name, mass) in enumerate((("x_mass", x_mass), ("y_mass", y_mass))):
        given = given_mass(name, mass, (*leading, size[side]))
        if not isinstance(given, (Tensor, Uniform)):
            raise ValueError(f"{name} must be a tensor or 'uniform': {mass!r} takes states, and there are only costs")
        shares.append(padded_masses(name, given, costs, samples, side, costs))
    return Problem(costs, shares[0], shares[1], s, t, rows, leading, size)


def choose(samples_N: Tensor, new: Iterable[Tensor], old: Iterable[Tensor]) -> Iterator[Tensor]:
    """Merge each pair of tensors ``[N, ...]``: marked samples from the new one, others from the old one."""
    for fresh, stale in zip(new, old, strict=True):
        yield torch.where(samples_N.reshape(-1, *[1] * (fresh.dim() - 1)), fresh, stale)


def check_problems(*problems: Any, expected: str = "a problem") -> tuple[Problem, ...]:
    """The arguments of a ``solve``. Raises ValueError if one is not a problem."""
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


def _columns(samples: Samples, device: torch.device) -> tuple[Tensor, ...]:
    """Rows, S_n and T_n on the device."""
    return torch.tensor(samples, dtype=torch.long, device=device).reshape(-1, 3).unbind(1)


def _cut(cost_MST: Tensor, samples: Samples) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Costs of the samples up to their longest lengths, 0 in the padding; their rows, S_n and T_n."""
    rows, s, t = _columns(samples, cost_MST.device)
    size = [max((sample[side] for sample in samples), default=0) for side in (1, 2)]
    return torch.where(_content(s, t, *size), _rows(cost_MST, rows)[:, : size[0], : size[1]], 0.0), rows, s, t


def _rows(values_M: Tensor, rows: Tensor) -> Tensor:
    """These rows, in their order; not copied where they are all of them."""
    return values_M if len(rows) == len(values_M) else values_M[rows]


def _content(x_lengths: Tensor, y_lengths: Tensor, s: int, t: int) -> Tensor:
    """``[N, s, t]`` whether both positions are content."""
    return length_mask(x_lengths, s)[:, :, None] & length_mask(y_lengths, t)[:, None, :]
