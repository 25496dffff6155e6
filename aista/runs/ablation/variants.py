"""The keys of an ablation file, the variants of the base config that it describes, and their checks."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from aista.errors import Fault
from aista.run_folder.paths import split_label
from aista.schema import Options, option, required
from aista.tasks.experiment import Experiment
from aista.tasks.preflight import task_class

__all__ = [
    "BASE",
    "AblationConfig",
    "Nodes",
    "early_probe_faults",
    "find_faults",
    "task_faults",
    "transcript_faults",
    "variants",
]

BASE = "base"
"""Name of the unchanged run in the mode ``one_at_a_time``."""
MAX_COMBINATIONS = 10_000
"""Maximum number of runs per seed in the mode ``grid``."""

Nodes = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class AblationConfig(Options):
    """The keys of an ablation file."""

    base: Path = required("Experiment that every run starts from: a file, relative to this one, or a shipped config.")
    overrides: tuple[str, ...] = option((), "key=value changes of the base, as `aista train` takes them.")
    axes: Mapping[str, Mapping[str, Nodes]] | None = option(
        None, "Axis -> named value -> {config path: the node that replaces it}.", finite=False
    )
    runs: Mapping[str, Nodes] | None = option(
        None, "Further runs by name: {config path: node}; {} is the base itself.", finite=False
    )
    mode: Literal["one_at_a_time", "grid"] = option(
        "one_at_a_time", "Runs: the base and each value of each axis by itself, or all combinations of values (grid)."
    )
    seeds: tuple[int, ...] | None = option(None, "Seeds of every run; null means the base's own.")
    baseline: str | None = option(None, "Run that the others are compared with; null means the base.")
    split: str = option("test", "Split that is scored: dev, test, or the path of a manifest.")
    tasks: tuple[str, ...] = option(
        (),
        "Which of data.tasks are scored, the one of the main table first; empty: st, or else the baseline's first.",
    )
    direction: str = option("", "Direction scored in the table, such as en-fr; empty: the mean over all.")
    samples: int = option(1000, "Bootstrap samples of the comparison.", minimum=40, maximum=1_000_000)
    shuffled_speech: bool = option(False, "Also measure each run's NLL with shuffled speech.")
    from_transcript: bool = option(False, "Also score each run's text translation, from the split's transcripts.")
    probe: int = option(
        0, "Number of utterances to probe retrieval on in each run, at least 4; 0: no probe.", minimum=0
    )

    early_probe: int = option(
        0,
        "Step of a checkpoint of the baseline from before alignment begins, whose layer scores are compared with the "
        "gains of runs that align a single layer; 0: none.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.probe < 4:
            raise ValueError(f"probe: must be 0 or at least 4 utterances, got {self.probe}")
        combinations = math.prod(len(values) for values in (self.axes or {}).values())
        if self.mode == "grid" and combinations > MAX_COMBINATIONS:
            raise ValueError(f"axes: a grid has at most {MAX_COMBINATIONS:,} combinations, got {combinations:,}")

    @property
    def label(self) -> str:
        """Name of the scored split's folder in a run."""
        return split_label(self.split)

    @property
    def probe_name(self) -> str:
        """Name of each run's probe; empty without ``probe``."""
        return f"{self.label}_{self.probe}" if self.probe else ""

    @property
    def early_probe_name(self) -> str:
        """Name of the probe of ``early_probe``."""
        return f"{self.label}_early_{self.early_probe}"


def variants(config: AblationConfig) -> Iterator[tuple[str, Nodes]]:
    """Yield each row's name and the nodes that it replaces in the base."""
    axes = config.axes or {}
    if axes and config.mode == "one_at_a_time":
        yield BASE, {}
        for axis, values in axes.items():
            for value, nodes in values.items():
                yield f"{axis}={value}", nodes
    elif axes:
        for picked in itertools.product(*([(axis, value) for value in values] for axis, values in axes.items())):
            merged = {place: node for axis, value in picked for place, node in axes[axis][value].items()}
            yield ",".join(f"{axis}={value}" for axis, value in picked), merged
    yield from (config.runs or {}).items()


def find_faults(config: AblationConfig, names: Mapping[str, Nodes], seeds: Sequence[int]) -> list[Fault]:
    """Faults of the variants ``names`` and the seeds of a file."""
    return [*_name_faults(config, names), *_seed_faults(seeds), *_overlap_faults(config)]


def early_probe_faults(config: AblationConfig, baseline: Sequence[Experiment]) -> Iterator[Fault]:
    """Faults where the baseline's runs do not keep the checkpoint that ``early_probe`` names."""
    step = config.early_probe
    for trainer in {experiment.sections.trainer for experiment in baseline} if step else ():
        every, last = trainer.checkpoint_every, trainer.max_steps
        if not every or step % every or step > last:
            remedy = f"set trainer.checkpoint_every={step} in overrides"
            yield Fault("early_probe", f"the baseline has no checkpoint at step {step} of {last}", remedy)
        elif -(-last // every) - step // every >= trainer.keep_last:
            needed = -(-last // every) - step // every + 1
            problem = (
                f"the checkpoint at step {step} is not among the {trainer.keep_last} newest that the baseline keeps"
            )
            yield Fault("early_probe", problem, f"set trainer.keep_last={needed} in overrides")


def transcript_faults(config: AblationConfig, experiments: Iterable[Experiment]) -> Iterator[Fault]:
    """Faults where a run cannot translate transcripts, which ``from_transcript`` needs; found before training."""
    tasks = {
        each.sections.task for each in experiments if config.from_transcript and not task_class(each).translates_text
    }
    for task in sorted(tasks):
        remedy = "remove from_transcript, or the runs of this task"
        yield Fault("from_transcript", f"a run of the task {task} translates no transcripts", remedy)


def task_faults(config: AblationConfig, experiments: Iterable[Experiment]) -> Iterator[Fault]:
    """Faults where a run lacks one of the ``tasks`` to score."""
    for tasks in sorted({each.sections.data.tasks for each in experiments}):
        lacking = [task for task in config.tasks if task not in tasks]
        if lacking:
            problem = f"a run has data.tasks [{', '.join(tasks)}], which lacks {', '.join(lacking)}"
            yield Fault("tasks", problem, "name tasks that all runs have")


def _name_faults(config: AblationConfig, names: Mapping[str, Nodes]) -> Iterator[Fault]:
    axes = config.axes or {}
    if not names:
        yield Fault("axes", "the file describes no run", "give axes or runs")
    for axis, values in axes.items():
        if not values:
            yield Fault(f"axes.{axis}", "has no values", "give at least one, e.g. {none: {alignment: []}}")
    generated = {name for name, _ in variants(replace(config, runs=None))}
    for name in config.runs or {}:
        if name in generated and axes:
            yield Fault(f"runs.{name}", "the axes already make a run of this name", "choose another")
    for place, nodes in _places(config):
        for path in nodes:
            first = re.split(r"[.\[]", path)[0]
            if first in ("seed", "plugins"):
                remedy = "list seeds under `seeds`" if first == "seed" else "name plug-ins in the base"
                yield Fault(f"{place}.{path}", f"{first} cannot differ between runs", remedy)


def _places(config: AblationConfig) -> Iterator[tuple[str, Nodes]]:
    for axis, values in (config.axes or {}).items():
        for value, nodes in values.items():
            yield f"axes.{axis}.{value}", nodes
    for name, nodes in (config.runs or {}).items():
        yield f"runs.{name}", nodes


def _seed_faults(seeds: Sequence[int]) -> Iterator[Fault]:
    if not seeds:
        yield Fault("seeds", "needs at least one seed", "e.g. [1, 2, 3]")
    if len(set(seeds)) != len(seeds):
        yield Fault("seeds", f"a seed is repeated in {list(seeds)}", "give each once")
    if any(seed < 0 for seed in seeds):
        yield Fault("seeds", f"must be at least 0, got {list(seeds)}")


def _overlap_faults(config: AblationConfig) -> Iterator[Fault]:
    """Faults where two axes of a grid write the same node: the later would silently override the earlier."""
    if config.mode != "grid":
        return
    written = {
        axis: {path for nodes in values.values() for path in nodes} for axis, values in (config.axes or {}).items()
    }
    for (first, its), (second, others) in itertools.combinations(written.items(), 2):
        for one, two in itertools.product(sorted(its), sorted(others)):
            if _inside(one, two) or _inside(two, one):
                remedy = "write the combinations as one axis, or as runs"
                yield Fault(f"axes.{second}", f"replaces {two!r}, which axis {first!r} replaces too ({one!r})", remedy)


def _inside(path: str, other: str) -> bool:
    return path == other or path.startswith((f"{other}.", f"{other}["))
