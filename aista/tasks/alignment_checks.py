"""Checks of layers and weight schedules before a model is built."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from aista import registry
from aista.errors import ConfigError, Fault
from aista.schema import Component
from aista.selection.base import ProbedSelection
from aista.tasks.alignment_terms import AlignmentTerm
from aista.tasks.experiment import Sections

__all__ = ["check_layers", "check_schedules", "is_probed", "probes_words"]

MANY = 10_000  # blocks, more than any LLM has


def is_probed(selection: Component) -> bool:
    """Whether a layer selection probes the dev set."""
    factory = registry.get("layer_selection", selection.name).factory
    return isinstance(factory, type) and issubclass(factory, ProbedSelection)


def probes_words(selection: Component) -> bool:
    """Whether a layer selection needs the word times of the dev set.

    Raises:
        ConfigError: the strategy cannot be built for any LLM.
    """
    strategy = registry.build("layer_selection", selection, at="layer_selection", num_layers=MANY)
    return isinstance(strategy, ProbedSelection) and strategy.needs_words


def check_layers(selection: Component, llm: Component, sections: Sections) -> list[Fault]:
    """Find layers that the LLM lacks, and probes without rows or after the end of the run."""
    depth = _llm_depth(llm)
    if depth is None:
        return []
    try:
        strategy = registry.build("layer_selection", selection, at="layer_selection", num_layers=depth)
    except ConfigError as error:
        return list(error.faults)
    if isinstance(strategy, ProbedSelection) and sections.data.dev is None:
        return [Fault("data.dev", f"layer selection {selection.name!r} probes the dev set; name one")]
    steps = sections.trainer.max_steps
    if strategy.warmup_steps >= steps:
        problem = f"must be less than trainer.max_steps ({steps}), got {strategy.warmup_steps}"
        return [Fault("layer_selection.config.warmup_steps", problem)]
    return _unaligned_score("layer_selection.config.warmup_steps", strategy.warmup_steps, sections)


def check_schedules(terms: Sequence[AlignmentTerm], schedules: Sequence[Component], sections: Sections) -> list[Fault]:
    """Find schedules that begin after the end of the run, or depend on validations that a run does not have.

    Args:
        terms: The alignment terms.
        schedules: The config's node of each term's schedule.
        sections: The shared sections of the config.
    """
    faults, steps = [], sections.trainer.max_steps
    for index, (term, spec) in enumerate(zip(terms, schedules, strict=True)):
        at = f"alignment[{index}].schedule"
        if term.schedule.start_step >= steps:
            problem = f"must be less than trainer.max_steps ({steps}), got {term.schedule.start_step}"
            faults.append(Fault(f"{at}.config.start_step", problem))
        if term.schedule.watches_validation and (sections.data.dev is None or not sections.trainer.validate_every):
            problem = f"{spec.name!r} watches validation, and this run has none"
            faults.append(Fault(at, problem, "set data.dev and trainer.validate_every"))
        faults += _unaligned_score(f"{at}.config.start_step", term.schedule.start_step, sections)
    return faults


def _unaligned_score(at: str, start: int, sections: Sections) -> list[Fault]:
    """Fault of ``evaluation.score: loss`` where the first validation lacks a loss and so would score best."""
    first = sections.trainer.validate_every
    if sections.evaluation.score != "loss" or not 0 < first <= start:
        return []
    problem = f"evaluation.score 'loss' lacks this loss in the validation at step {first}; it begins after step {start}"
    return [Fault(at, problem, f"set trainer.validate_every above {start}, or choose another score")]


def _llm_depth(llm: Component) -> int | None:
    """Number of blocks of the LLM, from its options or its folder's config.json; None if neither states it."""
    depth = getattr(llm.config, "num_layers", None)
    if isinstance(depth, int):
        return depth
    folder = getattr(llm.config, "path", None)
    try:
        data = json.loads(Path(folder, "config.json").read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):
        return None
    text = data.get("text_config", data)
    return next((text[key] for key in ("num_hidden_layers", "n_layer", "num_layers") if key in text), None)
