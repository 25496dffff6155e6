"""Selects the trained parameters of a whole model, and counts them in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from aista.console import align_columns
from aista.modules.freezing import freeze, matching_parameters
from aista.modules.tuning.base import Tuning

__all__ = ["ParameterTable", "PartParameters", "select_trainable"]


@dataclass(frozen=True)
class PartParameters:
    """Parameter counts of one part of the model; parameters shared with an earlier part count there."""

    part: str
    total: int
    trainable: int

    @property
    def share(self) -> float:
        """Fraction of the part's parameters that are trained; 0 for a part without parameters."""
        return self.trainable / self.total if self.total else 0.0


@dataclass(frozen=True)
class ParameterTable:
    """Numbers of all and of trained parameters in each part of a model."""

    parts: tuple[PartParameters, ...]

    @property
    def total(self) -> PartParameters:
        """The whole model."""
        return PartParameters(
            "model", sum(part.total for part in self.parts), sum(part.trainable for part in self.parts)
        )

    def to_json(self) -> dict[str, Any]:
        """As written to RUN/parameters.json."""
        return {
            row.part: {"total": row.total, "trainable": row.trainable, "share": round(row.share, 6)}
            for row in (*self.parts, self.total)
        }

    def __str__(self) -> str:
        rows = [("part", "parameters", "trainable", "share")]
        rows += [
            (row.part, f"{row.total:,}", f"{row.trainable:,}", f"{row.share:.2%}") for row in (*self.parts, self.total)
        ]
        return "\n".join(align_columns(rows))


def select_trainable(model: nn.Module, tunings: Mapping[str, Tuning], freeze_params: Sequence[str]) -> ParameterTable:
    """Select the trained parameters: by the tuning of a part, or else by ``freeze_params``.

    Frozen modules are put in eval mode; see ``aista.modules.freezing``.

    Args:
        model: The bare model, its parts prepared.
        tunings: Attribute of the model -> how that part is trained.
        freeze_params: Patterns of parameters that are not trained, in the parts without a tuning.

    Raises:
        ValueError: a pattern names parameters of a part that has a tuning, or matches nothing; a tuning
            finds nothing in its part; nothing is left to train.
    """
    model.requires_grad_(True)
    for name, tuning in tunings.items():
        part = model.get_submodule(name)
        chosen = tuning.trainable(part)
        part.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
    _check_owners(model, tunings, freeze_params)
    freeze(model, freeze_params)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("no parameter of the model is trained; give a part another tuning or freeze less")
    return _count(model)


def _check_owners(model: nn.Module, tunings: Mapping[str, Tuning], patterns: Sequence[str]) -> None:
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    for pattern in patterns:
        hits = matching_parameters(pattern, names)
        for part in tunings:
            hit = next((name for name in names if name.startswith(f"{part}.") and name in hits), None)
            if hit is not None:
                raise ValueError(
                    f"freeze_params: {pattern!r} names parameters of the {part} (e.g. {hit}), whose training "
                    f"{part}.tuning decides; take the pattern out, or remove {part}.tuning"
                )


def _count(model: nn.Module) -> ParameterTable:
    seen: set[nn.Parameter] = set()
    parts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter in seen:
            continue
        seen.add(parameter)
        total, trainable = parts.get(name.split(".")[0], (0, 0))
        size = parameter.numel()
        parts[name.split(".")[0]] = (total + size, trainable + size * parameter.requires_grad)
    return ParameterTable(tuple(PartParameters(part, *counts) for part, counts in parts.items()))
