"""Parts of a model in a task's options: a component and its tuning."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from aista import registry
from aista.environment import memory_bytes
from aista.errors import ConfigError, Fault
from aista.modules.tuning.base import Tuning
from aista.schema import Component, component

__all__ = ["Pretrained", "TunedPart", "build_part", "build_tunings", "prepare_part"]

Pretrained = Literal["load", "skip", "meta"]
"""How pretrained weights are treated when a part is built; see ``Task.pretrained``."""


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
        ConfigError: a tuning is unknown or has impossible options.
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

    Unless pretrained weights are loaded, a component whose options have a method ``skeleton`` is built by it: the
    same part with arbitrary weights (``skip``), or on the meta device without values (``meta``).

    Raises:
        ConfigError: the component or its tuning is impossible, or larger than the memory of this machine.
    """
    skeleton = None if pretrained == "load" else getattr(spec.config, "skeleton", None)
    with _within_memory(name), torch.device("meta") if skeleton and pretrained == "meta" else nullcontext():
        if skeleton is None:
            part = registry.build(name, spec, at=name, **dependencies)
        else:
            part = _build_skeleton(name, skeleton, dependencies)
    if tuning is not None:
        prepare_part(name, part, tuning)
    return part


@contextmanager
def _within_memory(name: str) -> Iterator[None]:
    """Stop building a part once its parameters exceed the memory, before the system kills the process."""
    most, total, seen = memory_bytes(), 0, set()

    def count(module: nn.Module, attribute: str, parameter: nn.Parameter | None) -> None:
        nonlocal total
        if parameter is not None and parameter.device.type == "cpu" and id(parameter) not in seen:
            seen.add(id(parameter))
            total += parameter.nbytes
            if total > most:
                raise MemoryError

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        problem = f"its weights take more than the {most / 2**30:.1f} GiB of memory that this machine has"
        raise ConfigError([Fault(f"{name}.config", problem, "choose smaller sizes")]) from error
    finally:
        handle.remove()


def _build_skeleton(name: str, skeleton: Callable[..., Any], dependencies: dict[str, Any]) -> Any:
    known = inspect.signature(skeleton).parameters
    try:
        return skeleton(**{key: value for key, value in dependencies.items() if key in known})
    except ValueError as error:
        raise ConfigError([Fault(f"{name}.config", str(error))]) from error


def prepare_part(name: str, part: nn.Module, tuning: Tuning) -> None:
    """Prepare a part for its tuning, which errors name.

    Raises:
        ConfigError: the part lacks modules that the tuning's options name.
    """
    try:
        tuning.prepare(part)
        tuning.trainable(part)
    except ValueError as error:
        raise ConfigError([Fault(f"{name}.tuning.config", str(error))]) from error
