"""Metrics that are scored together."""

from __future__ import annotations

from collections.abc import Sequence

from aista import registry
from aista.errors import ConfigError, Fault
from aista.schema import Component
from aista.scoring.base import Metric

__all__ = ["metric_set"]


def metric_set(specs: Sequence[Component], *, at: str, target_language: str) -> list[Metric]:
    """Build metrics and check that the names of their scores differ.

    Args:
        specs: The metrics' config nodes.
        at: Their place, for messages.
        target_language: Code of the references' language, or "".

    Raises:
        ConfigError: a metric cannot be built, or two scores would have one name.
    """
    metrics: list[Metric] = [
        registry.build("metric", spec, at=f"{at}[{index}]", target_language=target_language)
        for index, spec in enumerate(specs)
    ]
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problem = f"each score must have a name of its own, got {', '.join(twice)} more than once"
        raise ConfigError([Fault(at, problem, "score one of them at a time")])
    return metrics
