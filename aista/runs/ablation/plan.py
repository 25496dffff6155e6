"""The plan of an ablation file: a base experiment, axes whose values replace nodes of its config, and seeds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aista.config import differences, load_yaml, replace_nodes
from aista.data.row_tasks import usual_task
from aista.errors import ConfigError, Fault
from aista.plain import is_given
from aista.registry import nearest
from aista.run_folder.parsing import parsing
from aista.run_folder.run_names import ablation_run_label
from aista.runs.ablation.variants import (
    BASE,
    AblationConfig,
    early_probe_faults,
    find_faults,
    task_faults,
    transcript_faults,
    variants,
)
from aista.schema import structure
from aista.shipped import find_config
from aista.tasks.experiment import Experiment, Stage, read_config, resolve_experiment
from aista.tasks.hub_models import pin_models

__all__ = ["MODELS", "Ablation", "PlannedRun", "PlannedStage", "fingerprint", "load_ablation"]

MODELS = "models.json"
_STAGE_FOLDER = re.compile(r"[\w.-]+-[0-9a-f]{12}")


@dataclass(frozen=True)
class PlannedStage:
    """A pretraining stage shared by one or more runs: its experiment and folder."""

    name: str
    folder: Path
    experiment: Experiment

    @property
    def starts_from(self) -> frozenset[Path]:
        """Folders of the stages that must be trained first."""
        return frozenset(self.experiment.sections.initialize.given().values())


@dataclass(frozen=True)
class PlannedRun:
    """One training of the ablation.

    Attributes:
        name: The row of the table.
        seed: Its seed.
        id: Hash of its resolved config; runs with equal ids are one training.
        experiment: The experiment, initialised from the folders of ``stages``.
        unstaged: The experiment without these folders, for checks before the stages are trained.
        stages: Stages that must be trained first.
        changes: Differences of the resolved config from the base's, one line each.
    """

    name: str
    seed: int
    id: str
    experiment: Experiment
    unstaged: Experiment
    stages: tuple[PlannedStage, ...]
    changes: tuple[str, ...]

    @property
    def label(self) -> str:
        """Name and seed."""
        return ablation_run_label(self.name, self.seed)


@dataclass(frozen=True)
class Ablation:
    """A checked ablation file; ``runs`` are in the order of names in the file, then of seeds.

    All runs use the same commit of a model on the hub: ``commits`` by name.
    """

    source: Path
    config: AblationConfig
    baseline: str
    runs: tuple[PlannedRun, ...]
    commits: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The rows of the table."""
        return tuple(dict.fromkeys(run.name for run in self.runs))

    @property
    def tasks(self) -> tuple[str, ...]:
        """Scored tasks of rows, that of the main table first; empty where the baseline has a single task."""
        of_baseline = (run.experiment.sections.data.tasks for run in self.runs if run.name == self.baseline)
        return self.config.tasks or (usual_task(next(of_baseline)),)


def load_ablation(path: Path, out: Path) -> Ablation:
    """Read an ablation file and resolve the config of every run.

    Args:
        path: The file.
        out: Folder of the ablation; pretraining stages lie in ``out/pretraining/NAME-HASH``.

    Raises:
        ConfigError: every fault of the file, or of the base config.
        PluginError: a plug-in of the base cannot be loaded.
    """
    config = structure(AblationConfig, load_yaml(path), source=str(path))
    base_path = _find_base(config.base, path)
    raw = _read_base(base_path, config.overrides, str(path))
    base = pin_models(resolve_experiment(raw, base=path.parent, source=str(base_path)), _read_commits(out))
    commits = base.commits
    seeds = (base.sections.seed,) if config.seeds is None else config.seeds
    possible = [seed for seed in seeds if seed >= 0]
    changes = dict(variants(config))
    faults = find_faults(config, changes, seeds)
    baseline = BASE if config.baseline is None else config.baseline
    if baseline not in changes:
        known = ", ".join(changes) or "none"
        faults.append(Fault("baseline", f"no run is named {baseline!r}{nearest(baseline, changes)}", f"runs: {known}"))
    planned: dict[str, list[PlannedRun]] = {}
    broken: dict[str, list[Fault]] = {}
    for name, nodes in changes.items():
        try:
            changed = replace_nodes(raw, nodes)
            variant = resolve_experiment(changed, base=path.parent, source=f"{base_path} ({name})")
            variant = pin_models(variant, commits)
            commits = variant.commits
            planned[name] = _plan(name, variant, possible, base, out)
        except ConfigError as error:
            broken[name] = error.faults
    faults += _once(broken)
    faults += early_probe_faults(config, [run.experiment for run in planned.get(baseline, ())])
    experiments = [run.experiment for runs in planned.values() for run in runs]
    faults += [*transcript_faults(config, experiments), *task_faults(config, experiments)]
    if faults:
        raise ConfigError(faults, str(path))
    return Ablation(path, config, baseline, tuple(run for runs in planned.values() for run in runs), commits)


def _read_commits(out: Path) -> dict[str, str]:
    """The commits of models on the hub that the ablation began with."""
    file = out / MODELS
    if not file.is_file():
        return {}
    with parsing(
        file, "; restore it, or remove it: then the hub is asked again, and what has changed there is trained again"
    ):
        return {str(name): str(commit) for name, commit in json.loads(file.read_bytes()).items()}


def _find_base(base: Path, path: Path) -> Path:
    try:
        return find_config(base, path.parent)
    except ConfigError as error:
        raise ConfigError([Fault("base", str(fault)) for fault in error.faults], str(path)) from None


def _read_base(path: Path, overrides: Sequence[str], source: str) -> dict[str, Any]:
    try:
        return read_config(path, overrides)
    except ConfigError as error:
        place = "overrides" if error.source == "overrides" else "base"
        raise ConfigError([Fault(place, str(fault)) for fault in error.faults], source) from None


def _once(broken: Mapping[str, Sequence[Fault]]) -> Iterator[Fault]:
    """The faults of all runs, each reported once with the first run that has it."""
    names: dict[Fault, list[str]] = {}
    for name, faults in broken.items():
        for fault in faults:
            names.setdefault(fault, []).append(name)
    for fault, (first, *others) in names.items():
        more = f" (and in {len(others)} more runs)" if others else ""
        yield Fault(f"run {first!r}{more}: {fault.path}", fault.problem, fault.remedy)


def fingerprint(experiment: Experiment) -> str:
    """Twelve hex digits that identify a training.

    The hash is over options that affect the trained weights and differ from their defaults, so that options added by
    a later aista do not rename runs. Pretraining stages that ``initialize`` replaces are left out. A pretraining
    folder of an ablation is hashed by its name, which contains the hash of its training. Other files are hashed by
    path, not by content.
    """
    data = experiment.to_plain(is_given)
    parts = data.get("initialize") or {}
    data["pretraining"] = [stage for stage in data.get("pretraining") or () if not parts.get(stage["part"])]
    for part, folder in parts.items():
        if Path(folder).parent.name == "pretraining" and _STAGE_FOLDER.fullmatch(Path(folder).name):
            parts[part] = Path(folder).name
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _plan(name: str, variant: Experiment, seeds: Sequence[int], base: Experiment, out: Path) -> list[PlannedRun]:
    """The runs of a variant. Its stages keep the seed of the base: seeds vary only the main training."""
    given = variant.sections.initialize.given()
    folders, stages = dict[str, Path](), list[PlannedStage]()
    for stage in variant.sections.pretraining:
        if stage.part not in given:
            stages.append(_plan_stage(stage, variant.stage(stage, given | folders), out))
            folders[stage.part] = stages[-1].folder
    runs = []
    for seed in seeds:
        unstaged = _vary(variant, seed, {})
        experiment = _vary(variant, seed, folders)
        reference = {**base.to_plain(), "seed": seed}
        changes = tuple(
            f"{at}: {_brief(old)} -> {_brief(new, full=True)}"
            for at, old, new in differences(reference, unstaged.to_plain())
        )
        id = fingerprint(experiment)
        runs.append(PlannedRun(name, seed, id, experiment, unstaged, tuple(stages), changes))
    return runs


def _plan_stage(stage: Stage, experiment: Experiment, out: Path) -> PlannedStage:
    return PlannedStage(
        stage.name, out.resolve() / "pretraining" / f"{stage.name}-{fingerprint(experiment)}", experiment
    )


def _vary(variant: Experiment, seed: int, initialize: Mapping[str, Path]) -> Experiment:
    """A resolved experiment with another seed and other folders to initialise from."""
    sections = replace(variant.sections, seed=seed, initialize=replace(variant.sections.initialize, **initialize))
    nodes = {"seed": seed} | {f"initialize.{part}": str(folder) for part, folder in initialize.items()}
    return replace(variant, sections=sections, raw=replace_nodes(variant.raw, nodes))


def _brief(node: Any, *, full: bool = False) -> str:
    """A config node on one line: components by name, and with their options if ``full``."""
    if isinstance(node, Mapping) and "name" in node:
        options = node.get("config") or {}
        shown = ", ".join(f"{key} {_brief(value)}" for key, value in options.items()) if full else ""
        return f"{node['name']} ({shown})" if shown else str(node["name"])
    if isinstance(node, (list, tuple)):
        return f"[{', '.join(_brief(item, full=full) for item in node)}]"
    return str(node)
