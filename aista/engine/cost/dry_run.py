"""Checks a run and estimates its cost, without reading weights or writing files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from aista.convert import LARGEST
from aista.data.manifest_rows import Rows
from aista.engine.batch_plan import narrow
from aista.engine.cost.cost_table import cost_lines
from aista.engine.cost.device import DEVICES, UTILIZATION
from aista.engine.cost.estimate import CostEstimate, estimate_cost
from aista.engine.cost.fit import Fit, fit_batch
from aista.engine.cost.fit_table import fit_lines
from aista.engine.cost.rows import Assumption, RowLengths
from aista.engine.encoder_cache.cached_encoder import CachedEncoder, require_frozen
from aista.engine.export.description import base_paths
from aista.engine.inputs import Split, load_training_splits
from aista.engine.mixing import mix, plan_lines, plan_record
from aista.engine.precision import forecast
from aista.engine.stream_data import open_stream
from aista.engine.training.optimizer import check_parameter_groups
from aista.errors import AistaError, RunError
from aista.hub import has_weights
from aista.modules.trainable import ParameterTable
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.tasks.hub_models import pin_models
from aista.tasks.preflight import preflight

__all__ = ["DryRun", "dry_run"]


@dataclass(frozen=True)
class DryRun:
    """Result of a dry run.

    Attributes:
        source: The config.
        table: The parameters that would be trained.
        states: Size of the cache of encoder states, one line per split; empty where the config has none.
        missing: Parts whose pretrained weights are missing, and where the config expects them.
        cost: The estimate; None where there is none.
        no_cost: Why there is none.
        fit: The largest batch that fits into a memory; None where none is asked for.
        precision: The choice of ``mixed_precision: auto`` here, or a warning that bfloat16 is slow; else empty.
        mix: Rows that an epoch reads of each part of ``data.mix``; empty without it.
    """

    source: str
    table: ParameterTable
    missing: dict[str, str]
    cost: CostEstimate | None
    no_cost: str = ""
    states: tuple[str, ...] = ()
    precision: str = ""
    fit: Fit | None = None
    mix: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        lines = [f"dry run of {self.source}; nothing was written. Parameters that it would train:", str(self.table)]
        lines += [f"{part}: no weights in {place} yet; a run would stop there" for part, place in self.missing.items()]
        lines += [*self.states, *([self.precision] if self.precision else [])]
        lines += plan_lines(self.mix) if self.mix else []
        return "\n".join([*lines, "", *self._findings()])

    def _findings(self) -> list[str]:
        if self.fit is not None:
            return fit_lines(self.fit)
        return [self.no_cost] if self.cost is None else cost_lines(self.cost)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        cost = None if self.cost is None else self.cost.to_json()
        return {
            "parameters": self.table.to_json(),
            "missing_weights": self.missing,
            "mixed_precision": self.precision,
            "mix": list(self.mix),
            "cost": cost,
            "fit": None if self.fit is None else self.fit.to_json(),
            "note": self.no_cost,
        }


def dry_run(
    experiment: Experiment,
    *,
    assumption: Assumption | None = None,
    processes: Sequence[int] = (),
    device: str = "h100",
    utilization: float = UTILIZATION,
    fit: float | None = None,
) -> DryRun:
    """Check config, files, data and components, and estimate the cost of training or the largest batch.

    Pretrained parts are built from their small config files only, and only these are fetched from the hub; weights
    may be missing.

    Args:
        experiment: The experiment that would be trained.
        assumption: Rows to assume; the data is then not read.
        processes: Numbers of processes to plan for; empty for 1 and 8, or for 1 with ``fit``.
        device: A name among ``DEVICES``.
        utilization: Achieved fraction of the device's peak rate, above 0 and at most 1.
        fit: GiB of a process, above 0, into which the largest batch is to fit; in place of the costs.

    Raises:
        ConfigError: the config has faults.
        DataError: the manifests have faults, or a tokenizer is missing.
    """
    processes = processes or ((1, 8) if fit is None else (1,))
    if fit is not None and len(processes) != 1:
        raise AistaError(f"--fit: plans for one number of processes, got {' '.join(map(str, processes))}; name one")
    data = experiment.sections.data
    experiment = pin_models(experiment)
    task = preflight(experiment, with_data=assumption is None, pretrained="meta")
    if max(processes) > data.batch_size:
        raise AistaError(
            f"--processes: a batch has data.batch_size {data.batch_size} rows, fewer than {max(processes)} processes; "
            "raise the first or name fewer processes"
        )
    splits = load_training_splits(experiment, task) if assumption is None else {}
    model = task.build_model()
    unlimited = experiment if fit is None else _unlimited(experiment)
    narrow(splits, task, model, unlimited)
    table = task.select_trainable(model)
    check_parameter_groups(experiment.sections.trainer, model)
    bases = base_paths(experiment.task_config)
    missing = {part: str(path) for part, (_, path) in bases.items() if not has_weights(path)}
    states = _states(splits, model, experiment)
    mixture = mix(splits["train"], experiment) if "train" in splits else None
    planned = () if mixture is None else tuple(plan_record(mixture, splits["train"]))
    rows = replace(_rows(splits, task, model, unlimited, assumption), mixture=mixture)
    precision = forecast(experiment.sections.trainer.mixed_precision)
    found = partial(DryRun, experiment.source, table, missing, states=states, precision=precision, mix=planned)
    plan: dict[str, Any] = {"processes": processes, "device": DEVICES[device], "utilization": utilization}
    try:
        if fit is not None:
            return found(None, fit=fit_batch(experiment, task, model, rows, gib=fit, processes=processes[0]))
        return found(estimate_cost(experiment, task, model, rows, **plan))
    except RunError as error:
        return found(None, f"no cost is estimated: {error}")


def _unlimited(experiment: Experiment) -> Experiment:
    """The experiment without a limit that excludes rows, where ``data.max_batch_positions`` is to be proposed."""
    data = experiment.sections.data
    if not data.max_batch_positions:
        return experiment
    data = replace(data, max_batch_positions=LARGEST)
    return replace(experiment, sections=replace(experiment.sections, data=data))


def _rows(
    splits: Mapping[str, Split], task: Task, model: nn.Module, experiment: Experiment, assumption: Assumption | None
) -> RowLengths:
    if assumption is None and (stream := open_stream(experiment, task)) is not None:
        rows = Rows.of(stream.within(model).first_window().rows)
        return RowLengths.of_rows(rows, task, f"{stream.stream.path} (the first {len(rows)} rows)")
    if assumption is None:
        return RowLengths.of_split(splits["train"], task)
    return RowLengths.assumed(assumption, experiment.sections.data.max_seconds)


def _states(splits: Mapping[str, Split], model: nn.Module, experiment: Experiment) -> tuple[str, ...]:
    """Estimate the size of the cache of encoder states.

    Raises:
        ConfigError: there is such a cache, and the encoder is trained.
    """
    if experiment.sections.data.encoder_cache is None:
        return ()
    require_frozen(model)
    steps = "steps are counted as they read cached encoder states; encoding each recording once is not included"
    if any(parameter.is_meta for parameter in model.get_submodule("encoder").parameters()):
        return (f"{steps}; which are there depends on the encoder's weights, which a dry run does not read",)
    encoder = CachedEncoder(experiment, model, "cpu")
    return (steps, *(encoder.describe_need(split) for split in splits.values()))
