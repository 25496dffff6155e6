"""The JSON Schema of experiments: the shared sections and the options of the named task."""

from __future__ import annotations

from typing import Any

from aista import registry
from aista.json_schema import Definitions, document
from aista.tasks.experiment import Sections, Stage

__all__ = ["experiment_schema"]


def experiment_schema() -> dict[str, Any]:
    """The schema of the config that ``aista train`` reads, with every component registered now."""
    whole = Definitions()
    partial = Definitions(partial=True, others=whole.schemas)
    stage = whole.options(Stage)
    stage["allOf"] = [
        {"if": _is_task(name), "then": {"properties": {"config": _experiment(partial, name)}}}
        for name in registry.names("task")
    ]
    sections = {**whole.properties(Sections), "pretraining": {"type": "array", "items": stage}}
    usual = str(next(field.default for field in Sections.__dataclass_fields__.values() if field.name == "task"))
    of_tasks = [
        {"if": _is_task(name, usual=usual), "then": _experiment(whole, name, sections)}
        for name in registry.names("task")
    ]
    return document("aista experiment", {"type": "object", "properties": {"task": _tasks()}, "allOf": of_tasks}, whole)


def _experiment(definitions: Definitions, task: str, sections: dict[str, Any] | None = None) -> dict[str, Any]:
    """The schema of a task's whole config, or of the partial config of a pretraining stage."""
    options = registry.get("task", task).config
    assert options is not None
    shared = definitions.properties(Sections, leave_out=("pretraining",)) if sections is None else sections
    own = definitions.options(options)
    return own | {"properties": {**shared, **own["properties"], "task": _tasks()}}


def _tasks() -> dict[str, Any]:
    return {"enum": registry.names("task")}


def _is_task(name: str, *, usual: str = "") -> dict[str, Any]:
    """The condition that a config is for a task; a config without ``task`` is for the usual one."""
    named = {"properties": {"task": {"const": name}}}
    return named if name == usual else {**named, "required": ["task"]}
