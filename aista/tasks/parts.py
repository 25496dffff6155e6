"""The parts of a model in a task's options: a component, and beside it how the part is trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from aista import registry
from aista.errors import ConfigError, Fault
from aista.modules.tuning.base import Tuning
from aista.schema import Component, component

__all__ = ["Pretrained", "TunedPart", "build_part", "build_tunings", "prepare_part"]

Pretrained = Literal["load", "skip", "meta"]
"""What becomes of pretrained weights when a part is built."""


@dataclass(frozen=True)
class TunedPart(Component):
    """An encoder, adapter or LLM and how it is trained."""

    tuning: Component | None = component(
        "tuning",
        None,
        "How the part is trained; left out, everything is trained except what freeze_params matches.",
        inherit=False,
    )


def build_tunings(config: Any) -> dict[str, Tuning]:
    """The tunings in a task's options, by part.

    Raises:
        ConfigError: unknown or with impossible options.
    """
    return {
        name: registry.build("tuning", spec.tuning, at=f"{name}.tuning")
        for name, spec in vars(config).items()
        if isinstance(spec, TunedPart) and spec.tuning is not None
    }


def build_part(
    name: str, spec: Component, tuning: Tuning | None, *, pretrained: Pretrained = "load", **dependencies: Any
) -> Any:
    """Build the component of kind ``name`` and prepare it for its tuning.

    Unless pretrained weights are loaded, a component whose options have a method ``skeleton`` is built by that: the
    same part with arbitrary weights (``skip``), or on the meta device, with none (``meta``).

    Raises:
        ConfigError: the component or its tuning is impossible.
    """
    skeleton = None if pretrained == "load" else getattr(spec.config, "skeleton", None)
    if skeleton is None:
        part = registry.build(name, spec, at=name, **dependencies)
    else:
        with torch.device("meta") if pretrained == "meta" else nullcontext():
            part = _build_skeleton(name, skeleton, dependencies)
    if tuning is not None:
        prepare_part(name, part, tuning)
    return part


def _build_skeleton(name: str, skeleton: Callable[..., Any], dependencies: dict[str, Any]) -> Any:
    known = inspect.signature(skeleton).parameters
    try:
        return skeleton(**{key: value for key, value in dependencies.items() if key in known})
    except ValueError as error:
        raise ConfigError([Fault(f"{name}.config", str(error))]) from error


def prepare_part(name: str, part: nn.Module, tuning: Tuning) -> None:
    """Prepare a part, naming the tuning in errors.

    Raises:
        ConfigError: the part has nothing that the tuning's options name.
    """
    try:
        tuning.prepare(part)
        tuning.trainable(part)
    except ValueError as error:
        raise ConfigError([Fault(f"{name}.tuning.config", str(error))]) from error
