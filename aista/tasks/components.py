"""The components that an experiment uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from aista.schema import Component
from aista.tasks.experiment import Experiment

__all__ = ["used_components"]


def used_components(experiment: Experiment) -> list[tuple[str, Component]]:
    """Kind and node of the task and of every component in an experiment's options, including nested ones."""
    task = Component(experiment.sections.task, experiment.task_config)
    return [("task", task), *_nodes(experiment.sections), *_nodes(experiment.task_config)]


def _nodes(value: Any) -> Iterator[tuple[str, Component]]:
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        for one in item if isinstance(item, tuple) else (item,):
            if isinstance(one, Component) and "kind" in field.metadata:
                yield field.metadata["kind"], one
            if not isinstance(one, Mapping):
                yield from _nodes(one)
