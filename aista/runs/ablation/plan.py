"""An ablation as a file: a base experiment, axes whose values replace whole nodes of its config, and seeds."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from aista.config import apply_overrides, differences, load_yaml, replace_nodes
from aista.errors import ConfigError, Fault
from aista.registry import nearest
from aista.schema import Options, option, required, structure
from aista.shipped import find_config
from aista.tasks.experiment import Experiment, Stage, resolve_experiment

__all__ = ["BASE", "Ablation", "AblationConfig", "PlannedRun", "PlannedStage", "fingerprint", "load_ablation"]

BASE = "base"
"""Name of the unchanged run in the mode ``one_at_a_time``."""

Nodes = Mapping[str, Any]

# What changes no result: how fast a run is, and what is written beside it.
_IRRELEVANT = (
    ("corpus_note",),
    ("data", "num_workers"),
    ("data", "cache_features"),
    ("evaluation", "batch_size"),
    ("trainer", "tensorboard"),
)
_STAGE_FOLDER = re.compile(r"[\w.-]+-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class AblationConfig(Options):
    """The keys of an ablation file."""

    base: Path = required("Experiment that every run starts from: a file, relative to this one, or a shipped config.")
    overrides: tuple[str, ...] = option((), "key=value changes of the base, as `aista train` takes them.")
    axes: Mapping[str, Mapping[str, Nodes]] | None = option(
        None, "Axis -> named value -> {config path: the node that stands there instead}."
    )
    runs: Mapping[str, Nodes] | None = option(None, "Further runs by name: {config path: node}; {} is the base itself.")
    mode: Literal["one_at_a_time", "grid"] = option(
        "one_at_a_time", "The base and each value of each axis alone, or every combination of values."
    )
    seeds: tuple[int, ...] | None = option(None, "Seeds of every run; null means the base's own.")
    baseline: str | None = option(None, "Run that the others are compared with; null means the base.")
    split: str = option("test", "Split that is scored: dev, test, or the path of a manifest.")
    samples: int = option(1000, "Bootstrap samples of the comparison.", minimum=40)
    probe: int = option(
        0, "Utterances of the split that each run's retrieval is probed on, at least 4; 0: none.", minimum=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.probe < 4:
            raise ValueError(f"probe: must be 0 or at least 4 utterances, got {self.probe}")


@dataclass(frozen=True)
class PlannedStage:
    """A pretraining stage that one or more runs start from: its experiment and its own folder."""

    name: str
    folder: Path
    experiment: Experiment


@dataclass(frozen=True)
class PlannedRun:
    """One training of the ablation.

    Attributes:
        name: The row of the table.
        seed: Its seed.
        id: Hash of its resolved config; equal ids are one training.
        experiment: What is trained; it starts from the folders of ``stages``.
        unstaged: The same before the stages' folders were put in, for checks before they are trained.
        stages: What must be trained first.
        changes: How the resolved config differs from the base's, one line each.
    """

    name: str
    seed: int
    id: str
    experiment: Experiment
    unstaged: Experiment
    stages: tuple[PlannedStage, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Ablation:
    """A checked ablation file; ``runs`` are ordered by name as the file gives them, then by seed."""

    source: Path
    config: AblationConfig
    baseline: str
    runs: tuple[PlannedRun, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The rows of the table."""
        return tuple(dict.fromkeys(run.name for run in self.runs))


def load_ablation(path: Path, out: Path) -> Ablation:
    """Read an ablation file and resolve the config of every run.

    Args:
        path: The file.
        out: Folder of the ablation; pretraining stages lie in ``out/pretraining/NAME-HASH``.

    Raises:
        ConfigError: every fault of the file, or of the base where that is faulty itself.
        PluginError: a plug-in of the base cannot be loaded.
    """
    config = structure(AblationConfig, load_yaml(path), source=str(path))
    base_path = _find_base(config.base, path)
    raw = _read_base(base_path, config.overrides, str(path))
    base = resolve_experiment(raw, base=base_path.parent, source=str(base_path))
    seeds = (base.sections.seed,) if config.seeds is None else config.seeds
    possible = [seed for seed in seeds if seed >= 0]
    variants = dict(_variants(config))
    faults = [*_name_faults(config, variants), *_seed_faults(config, seeds), *_overlap_faults(config)]
    baseline = BASE if config.baseline is None else config.baseline
    if baseline not in variants:
        known = ", ".join(variants) or "none"
        faults.append(Fault("baseline", f"no run is named {baseline!r}{nearest(baseline, variants)}", f"runs: {known}"))
    planned: dict[str, list[PlannedRun]] = {}
    broken: dict[str, list[Fault]] = {}
    for name, nodes in variants.items():
        try:
            changed = replace_nodes(raw, nodes)
            variant = resolve_experiment(changed, base=base_path.parent, source=f"{base_path} ({name})")
            planned[name] = _plan(name, variant, possible, base, out)
        except ConfigError as error:
            broken[name] = error.faults
    faults += _once(broken)
    if faults:
        raise ConfigError(faults, str(path))
    return Ablation(path, config, baseline, tuple(run for runs in planned.values() for run in runs))


def _find_base(base: Path, path: Path) -> Path:
    try:
        return find_config(base, path.parent)
    except ConfigError as error:
        raise ConfigError([Fault("base", str(fault)) for fault in error.faults], str(path)) from None


def _read_base(path: Path, overrides: Sequence[str], source: str) -> dict[str, Any]:
    try:
        return apply_overrides(load_yaml(path), list(overrides))
    except ConfigError as error:
        place = "overrides" if error.source == "overrides" else "base"
        raise ConfigError([Fault(place, str(fault)) for fault in error.faults], source) from None


def _once(broken: Mapping[str, Sequence[Fault]]) -> Iterator[Fault]:
    """The faults of the runs, each with the first run that has it."""
    names: dict[Fault, list[str]] = {}
    for name, faults in broken.items():
        for fault in faults:
            names.setdefault(fault, []).append(name)
    for fault, (first, *others) in names.items():
        more = f" (and in {len(others)} more runs)" if others else ""
        yield Fault(f"run {first!r}{more}: {fault.path}", fault.problem, fault.remedy)


def fingerprint(plain: Mapping[str, Any]) -> str:
    """Twelve hex digits that tell resolved configs apart; the order of keys does not matter.

    Left out is what changes no result, and pretraining stages that ``initialize`` replaces. A pretraining
    folder of an ablation counts by its name, which holds the hash of what was trained there. Other files
    count by their path: what they contain is not read.
    """
    data = json.loads(json.dumps(plain))
    for *path, last in _IRRELEVANT:
        node = data
        for key in path:
            node = node.get(key) or {}
        node.pop(last, None)
    parts = data.get("initialize") or {}
    data["pretraining"] = [stage for stage in data.get("pretraining") or () if not parts.get(stage["part"])]
    for part, folder in parts.items():
        if folder and Path(folder).parent.name == "pretraining" and _STAGE_FOLDER.fullmatch(Path(folder).name):
            parts[part] = Path(folder).name
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _variants(config: AblationConfig) -> Iterator[tuple[str, Nodes]]:
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


def _plan(name: str, variant: Experiment, seeds: Sequence[int], base: Experiment, out: Path) -> list[PlannedRun]:
    """The runs of a variant. Its stages keep the seed of the base: seeds vary the main training alone."""
    stages = [
        _plan_stage(stage, variant, out)
        for stage in variant.sections.pretraining
        if getattr(variant.sections.initialize, stage.part) is None
    ]
    folders = {part: stage.folder for part, stage in stages}
    runs = []
    for seed in seeds:
        unstaged = _vary(variant, seed, {})
        experiment = _vary(variant, seed, folders)
        reference = {**base.to_plain(), "seed": seed}
        changes = tuple(
            f"{at}: {_brief(old)} -> {_brief(new, full=True)}"
            for at, old, new in differences(reference, unstaged.to_plain())
        )
        id, planned = fingerprint(experiment.to_plain()), tuple(stage for _, stage in stages)
        runs.append(PlannedRun(name, seed, id, experiment, unstaged, planned, changes))
    return runs


def _plan_stage(stage: Stage, variant: Experiment, out: Path) -> tuple[str, PlannedStage]:
    experiment = variant.stage(stage)
    folder = out.resolve() / "pretraining" / f"{stage.name}-{fingerprint(experiment.to_plain())}"
    return stage.part, PlannedStage(stage.name, folder, experiment)


def _vary(variant: Experiment, seed: int, initialize: Mapping[str, Path]) -> Experiment:
    """A resolved experiment with another seed, and starting from other folders."""
    sections = replace(variant.sections, seed=seed, initialize=replace(variant.sections.initialize, **initialize))
    nodes = {"seed": seed} | {f"initialize.{part}": str(folder) for part, folder in initialize.items()}
    return replace(variant, sections=sections, raw=replace_nodes(variant.raw, nodes))


def _brief(node: Any, *, full: bool = False) -> str:
    """A node in a line: components by their name, and with their options where ``full``."""
    if isinstance(node, Mapping) and "name" in node:
        options = node.get("config") or {}
        shown = ", ".join(f"{key} {_brief(value)}" for key, value in options.items()) if full else ""
        return f"{node['name']} ({shown})" if shown else str(node["name"])
    if isinstance(node, (list, tuple)):
        return f"[{', '.join(_brief(item, full=full) for item in node)}]"
    return str(node)


def _name_faults(config: AblationConfig, variants: Mapping[str, Nodes]) -> Iterator[Fault]:
    axes = config.axes or {}
    if not variants:
        yield Fault("axes", "the file describes no run", "give axes or runs")
    for axis, values in axes.items():
        if not values:
            yield Fault(f"axes.{axis}", "has no values", "give at least one, e.g. {none: {alignment: []}}")
    generated = {name for name, _ in _variants(replace(config, runs=None))}
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


def _seed_faults(config: AblationConfig, seeds: Sequence[int]) -> Iterator[Fault]:
    if not seeds:
        yield Fault("seeds", "needs at least one seed", "e.g. [1, 2, 3]")
    if len(set(seeds)) != len(seeds):
        yield Fault("seeds", f"a seed stands twice in {list(seeds)}", "give each once")
    if any(seed < 0 for seed in seeds):
        yield Fault("seeds", f"must be at least 0, got {list(seeds)}")


def _overlap_faults(config: AblationConfig) -> Iterator[Fault]:
    """In a grid, two axes that write the same node: the later would silently win."""
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
