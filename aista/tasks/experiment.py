"""A whole experiment as one config: task, components, data, training, and pretraining stages."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from aista import registry
from aista.config import apply_overrides, load_yaml, merge
from aista.convert import check_keys
from aista.data.data_config import DataConfig
from aista.errors import ConfigError, Fault, RegistryError
from aista.hub import HubName
from aista.plain import Keep, to_plain
from aista.schema import Component, Options, component, option, required, section, structure
from aista.tasks.training import EvaluationConfig, TrainerConfig

__all__ = [
    "Experiment",
    "Sections",
    "Stage",
    "load_experiment",
    "map_paths",
    "read_config",
    "resolve_experiment",
    "structure_experiment",
]

Part = Literal["encoder", "adapter", "llm"]


@dataclass(frozen=True, kw_only=True)
class Stage(Options):
    """A pretraining stage: a task trained first to initialise a part of the main model."""

    name: str = required("Folder name under RUN/pretraining.")
    task: str = required("Registered task, e.g. text_translation.")
    part: Part = required("The part that the main model is initialised with.")
    config: Mapping[str, Any] | None = option(
        None, "Differences from the main config, e.g. {trainer: {max_steps: 500}}.", finite=False
    )


@dataclass(frozen=True, kw_only=True)
class Initialize(Options):
    """Run folders whose best weights initialise parts of the model, in place of the matching pretraining stages."""

    encoder: Path | None = option(None, "Run folder to take the encoder from.")
    adapter: Path | None = option(None, "Run folder to take the adapter from.")
    llm: Path | None = option(None, "Run folder to take the LLM from.")

    def given(self) -> dict[str, Path]:
        """Part -> folder, for the parts that have one."""
        folders = {part: getattr(self, part) for part in get_args(Part)}
        return {part: folder for part, folder in folders.items() if folder is not None}


@dataclass(frozen=True, kw_only=True)
class Sections(Options):
    """The top-level keys that every task shares; all others are the task's own options."""

    task: str = option("speech_translation", "Registered task.")
    plugins: tuple[Path, ...] = option((), "Python files with components of your own, relative to the config.")
    seed: int = option(1, "Seed of initialisation, shuffling and augmentation.", minimum=0)
    corpus_note: str = option("", "Shown with all results, e.g. that the corpus is synthetic.", weights=False)
    tokenizer: Component = component("tokenizer", None, "Tokenizer of the LLM.")
    data: DataConfig = section(DataConfig, "Manifests, features and batching.")
    trainer: TrainerConfig = section(TrainerConfig, "Optimiser, schedule, checkpoints.")
    evaluation: EvaluationConfig = section(EvaluationConfig, "Search and scores.")
    initialize: Initialize = section(Initialize, "Trained runs to initialise parts from.", inherit=False)
    pretraining: tuple[Stage, ...] = option(
        (), "Tasks trained first, in order; each starts from the parts of those before.", inherit=False
    )


@dataclass(frozen=True)
class Experiment:
    """A structured config.

    Attributes:
        sections: The shared sections.
        task_config: Options of the task named by ``sections.task``.
        raw: The plain mapping it was structured from, with overrides applied.
        source: File it came from, for messages.
        start: Folder that relative paths were resolved against; None: they are relative to the current folder.
        commits: Name on the hub -> the commit to use, in place of its branch's present one; the options then hold
            ``ORG/NAME@COMMIT``.
    """

    sections: Sections
    task_config: Any
    raw: Mapping[str, Any]
    source: str
    start: Path | None = None
    commits: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_plain(self, keep: Keep | None = None) -> dict[str, Any]:
        """Every option, defaults included, as data that YAML can write; with ``keep``, only those options."""
        plain: dict[str, Any] = to_plain(self.sections, keep)
        plain.update(to_plain(self.task_config, keep))
        return plain

    def from_folder(self, start: Path) -> Experiment:
        """The experiment with every path absolute; relative paths are resolved against a folder.

        Names on the hub are kept if they contain a commit; all others are taken as paths.
        """

        def absolute(path: Path) -> Path:
            return Path(os.path.abspath(start / path))

        def pretrained(path: Path) -> Path:
            name = HubName.parse(path)
            return path if name is not None and name.is_pinned else absolute(path)

        sections, config = map_paths((self.sections, self.task_config), absolute, pretrained)
        return dataclasses.replace(self, sections=sections, task_config=config, start=start)

    def with_commits(self, commits: Mapping[str, str]) -> Experiment:
        """The experiment with names on the hub replaced by ``ORG/NAME@COMMIT``, in its stages too."""

        def at_commit(path: Path) -> Path:
            name = HubName.parse(path)
            return path if name is None or str(path) not in commits else name.at(commits[str(path)])

        sections, config = map_paths((self.sections, self.task_config), lambda path: path, at_commit)
        return dataclasses.replace(self, sections=sections, task_config=config, commits=commits)

    def stage(self, stage: Stage, trained: Mapping[str, Path] | None = None) -> Experiment:
        """The experiment of one pretraining stage: this one with another task and its own changes.

        Options declared with ``inherit=False`` are not inherited: they set how the main model is trained (a stage
        trains all of its model unless its own ``config`` says otherwise), depend on that, or are controls.

        Args:
            stage: One of ``sections.pretraining``.
            trained: Part -> run folder from earlier stages or ``initialize``. The stage starts from those parts that
                its task has, unless its own ``config`` names others.

        Raises:
            ConfigError: with paths into ``pretraining[...]``.
        """
        options = _task_options(stage.task, f"pretraining.{stage.name}.task")
        base = _inherited(Sections, self.raw) | _inherited(options, self.raw)
        parts = {field.name for field in dataclasses.fields(options)}
        if starts := {part: os.path.abspath(folder) for part, folder in (trained or {}).items() if part in parts}:
            base["initialize"] = starts
        raw = merge(base, dict(stage.config or {})) | {"task": stage.task}
        source = f"{self.source} (pretraining stage {stage.name!r})"
        return structure_experiment(raw, source=source, start=self.start, commits=self.commits)


def load_experiment(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    start: Path | None = None,
    commits: Mapping[str, str] | None = None,
) -> Experiment:
    """Read a config file, apply ``key=value`` overrides, load its plug-ins, and structure it.

    Args:
        path: The file.
        overrides: As on the command line.
        start: Folder that relative paths, except those of the file's plug-ins, start from; None means the current one.
        commits: As in ``Experiment``.

    Raises:
        ConfigError: every fault at once.
        PluginError: a plug-in cannot be loaded.
    """
    raw = read_config(path, overrides)
    return resolve_experiment(raw, base=start or Path(), source=str(path), start=start, commits=commits)


def read_config(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A config file as plain data, overrides applied. The file's plug-ins start from its folder, and become absolute.

    Raises:
        ConfigError: every fault of the file, or of the overrides.
    """
    raw = load_yaml(path)
    if plugins := _plugins(raw):
        raw["plugins"] = [os.path.abspath(path.parent / item) for item in plugins]
    return apply_overrides(raw, list(overrides))


def resolve_experiment(
    raw: Mapping[str, Any],
    *,
    base: Path,
    source: str,
    start: Path | None = None,
    commits: Mapping[str, str] | None = None,
) -> Experiment:
    """Load the plug-ins of a config given as plain data, and structure it and its stages.

    Args:
        raw: The config as plain data.
        base: Folder that relative plug-in paths start from.
        source: Its origin, for messages.
        start: As in ``load_experiment``.
        commits: As in ``Experiment``.

    Raises:
        ConfigError: every fault at once.
        PluginError: a plug-in cannot be loaded.
    """
    if plugins := _plugins(raw):
        registry.load_plugins(plugins, base=base)
        raw = {**raw, "plugins": [str((base / item).resolve()) for item in plugins]}
    experiment = structure_experiment(raw, source=source, start=start, commits=commits)
    faults: list[Fault] = []
    for stage in experiment.sections.pretraining:
        try:
            experiment.stage(stage)
        except ConfigError as error:
            faults += [
                Fault(f"pretraining.{stage.name}.{fault.path}", fault.problem, fault.remedy) for fault in error.faults
            ]
    if faults:
        raise ConfigError(faults, source)
    return experiment


def structure_experiment(
    raw: Mapping[str, Any],
    *,
    source: str = "config",
    start: Path | None = None,
    commits: Mapping[str, str] | None = None,
) -> Experiment:
    """Split the top level between the shared sections and the task's options, and structure both."""
    faults: list[Fault] = []
    task = raw.get("task", "speech_translation")
    cls = _task_options(task if isinstance(task, str) else repr(task), "task", source)
    shared, options = ({field.name for field in dataclasses.fields(kind)} for kind in (Sections, cls))
    check_keys(raw, sorted(shared | options), "", faults, owner=f"task {task!r}")
    sections = _collect(Sections, {key: raw[key] for key in raw if key in shared}, source, faults)
    config = _collect(cls, {key: raw[key] for key in raw if key in options}, source, faults)
    if sections is not None and sections.tokenizer is None:
        faults.append(Fault("tokenizer", "is required", "e.g. {name: sentencepiece, config: {path: data/spm.model}}"))
    if faults:
        raise ConfigError(faults, source)
    experiment = Experiment(sections, config, dict(raw), source, start).with_commits(commits or {})
    return experiment if start is None else experiment.from_folder(start)


def map_paths(
    value: Any, change: Callable[[Path], Path], change_pretrained: Callable[[Path], Path] | None = None
) -> Any:
    """Options with every path mapped by a function; paths of pretrained models by another one, if given."""
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, tuple):
        return tuple(map_paths(item, change, change_pretrained) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    pretrained = change_pretrained or change
    changes = {
        field.name: (pretrained if "pretrained" in field.metadata else change, pretrained)
        for field in dataclasses.fields(value)
        if field.init
    }
    changed = {name: map_paths(getattr(value, name), *functions) for name, functions in changes.items()}
    return dataclasses.replace(value, **changed)


def _plugins(raw: Mapping[str, Any]) -> list[str]:
    """The plug-ins of a config; none where they are no list of paths, which is a fault to be found."""
    plugins = raw.get("plugins")
    return plugins if isinstance(plugins, list) and all(isinstance(item, str) for item in plugins) else []


def _collect(cls: type[Any], data: Mapping[str, Any], source: str, faults: list[Fault]) -> Any:
    try:
        return structure(cls, data, source=source)
    except ConfigError as error:
        faults.extend(error.faults)
        return None


def _inherited(cls: type[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the main config that a stage with the options ``cls`` inherits."""
    inherited = {}
    for field in dataclasses.fields(cls):
        if field.name not in raw or not field.metadata.get("inherit", True):
            continue
        value, nested = raw[field.name], field.metadata.get("section") or field.metadata.get("type")
        inherited[field.name] = _inherited(nested, value) if nested and isinstance(value, Mapping) else value
    return inherited


def _task_options(task: str, at: str, source: str = "config") -> type[Any]:
    try:
        entry = registry.get("task", task)
    except RegistryError as error:
        raise ConfigError([Fault(at, str(error))], source) from None
    assert entry.config is not None
    return entry.config
