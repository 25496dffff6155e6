"""Pretrained models that an experiment names on the hub: pinned to commits and fetched before training starts."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aista.convert import join
from aista.errors import ConfigError, Fault
from aista.hub import HubName, Need, commit_of, hub_name, local_folder
from aista.hub_errors import HubError
from aista.tasks.experiment import Experiment

__all__ = ["fetch_models", "pin_models", "pretrained_options"]

log = logging.getLogger("aista.hub")


class PretrainedOption(NamedTuple):
    """A place in a config that names a pretrained model, its value, and the files needed."""

    place: str
    path: Path
    need: Need


def pin_models(experiment: Experiment, known: Mapping[str, str] | None = None, *, closed: bool = False) -> Experiment:
    """Pin every name on the hub to one commit, including those of pretraining stages.

    Args:
        experiment: Paths of local folders are left as they are, even if the hub has a model of that name.
        known: Name -> commit that a run or sweep began with, even if the branch has moved since.
        closed: Refuse names that are not in ``known``, as for an existing run, which began without them.

    Raises:
        ConfigError: every name that the hub does not know, will not give, or cannot be asked for.
    """
    commits = dict(known or {})
    faults: dict[Path, Fault] = {}
    told: set[Path] = set()
    for place, path, _ in pretrained_options(experiment):
        name = HubName.parse(path)
        if name is None or path in told:
            continue
        told.add(path)
        if str(path) in commits:
            _tell_known(path, commits[str(path)])
        elif hub_name(path) is None:
            log.info("%s: a folder here, so the hub is not asked for a model of that name", path)
        elif closed and not name.is_pinned:
            problem = f"no folder {path} here, and this run began without a model of that name on the hub"
            faults[path] = Fault(
                place, problem, "bring the folder back, or choose another run folder for another model"
            )
        else:
            try:
                commits[str(path)] = commit_of(name)
                began = ", as when it began" if closed else ""
                log.info("%s: commit %s of the hub%s", name.repo, commits[str(path)], began)
            except HubError as error:
                faults[path] = Fault(place, str(error))
    if faults:
        raise ConfigError(list(faults.values()), experiment.source)
    return experiment.with_commits(commits)


def fetch_models(experiment: Experiment) -> None:
    """Download the files of all models on the hub, before any other work.

    Raises:
        ConfigError: every model that the hub does not give, or that has no safetensors.
        OSError: the cache cannot be written.
    """
    faults: dict[str, Fault] = {}
    for place, path, need in pretrained_options(experiment):
        try:
            local_folder(path, need)
        except HubError as error:
            faults.setdefault(str(error), Fault(place, str(error)))
    if faults:
        raise ConfigError(list(faults.values()), experiment.source)


def pretrained_options(experiment: Experiment) -> Iterator[PretrainedOption]:
    """Places where an experiment and its pretraining stages (except replaced ones) name pretrained models."""
    yield from _options(experiment.sections, "")
    yield from _options(experiment.task_config, "")
    for stage in experiment.sections.pretraining:
        if getattr(experiment.sections.initialize, stage.part) is None:
            for found in pretrained_options(experiment.stage(stage)):
                yield found._replace(place=f"pretraining.{stage.name}.{found.place}")


def _options(value: Any, at: str) -> Iterator[PretrainedOption]:
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _options(item, f"{at}[{index}]")
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            item, place = getattr(value, field.name), join(at, field.name)
            if "pretrained" in field.metadata and isinstance(item, Path):
                yield PretrainedOption(place, item, field.metadata["pretrained"])
            else:
                yield from _options(item, place)


def _tell_known(path: Path, commit: str) -> None:
    if path.exists():
        log.warning("%s: a folder here now, but it began with commit %s of the hub and keeps to it", path, commit)
    else:
        log.info("%s: commit %s of the hub, as when it began", path, commit)
