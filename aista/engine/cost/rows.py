"""Lengths of a run's rows, from its manifest or assumed, and the batches that they form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import nn

from aista.data.features.base import Feature
from aista.data.manifest_rows import Rows
from aista.data.mixture import Mixture
from aista.engine.batch_plan import length_batches
from aista.engine.cost.trace import BatchSizes
from aista.engine.inputs import Split
from aista.errors import AistaError, DataError, RunError
from aista.modules.lsm import LargeSpeechTextModel
from aista.registry import nearest
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.tasks.limits import input_lengths, text_lengths

__all__ = ["Assumption", "Batches", "RowLengths", "Summary", "parse_assumption", "plan_batches", "summarize"]


@dataclass(frozen=True)
class Assumption:
    """Assumed rows, in place of a corpus.

    Durations are log-normal with this mean and a standard deviation of ``spread`` times the mean; of each quantile
    ``(i + 1/2) / rows`` there is one row. Tokens are in proportion to the duration.

    Attributes:
        rows: Number of rows.
        seconds: Mean duration; 0 for text tasks.
        source: Mean tokens of a transcript.
        target: Mean tokens of a translation.
        spread: Standard deviation of the durations over their mean.
    """

    rows: int
    seconds: float
    source: float
    target: float
    spread: float = 0.35

    def __str__(self) -> str:
        return (
            f"assumed: {self.rows:,} rows, on average {self.seconds:g} s, {self.source:g} transcript tokens and "
            f"{self.target:g} target tokens, durations log-normal with a spread of {self.spread:g}"
        )


@dataclass(frozen=True)
class RowLengths:
    """Seconds and tokens of every row, their origin, and the mixture of an epoch."""

    origin: str
    seconds: tuple[float, ...]
    source: tuple[int, ...]
    target: tuple[int, ...]
    mixture: Mixture | None = None

    @classmethod
    def of_split(cls, split: Split, task: Task) -> RowLengths:
        """The lengths of the rows that a task can use."""
        origin = ", ".join(str(inspection.manifest) for inspection in split.inspections)
        return cls.of_rows(split.dataset.rows, task, origin)

    @classmethod
    def of_rows(cls, rows: Rows, task: Task, origin: str) -> RowLengths:
        """The lengths of rows from ``origin``."""
        source, target = (tuple(lengths.tolist()) for lengths in text_lengths(rows, task.tokenizer))
        seconds = tuple(rows.seconds().tolist()) if task.uses_audio else (0.0,) * len(rows)
        return cls(origin, seconds, source, target)

    @classmethod
    def assumed(cls, assumption: Assumption, longest: float) -> RowLengths:
        """The lengths of assumed rows, at most ``longest`` seconds each."""
        sigma = math.sqrt(math.log1p(assumption.spread**2))
        normal = NormalDist(-(sigma**2) / 2, sigma)
        factors = [math.exp(normal.inv_cdf((row + 0.5) / assumption.rows)) for row in range(assumption.rows)]
        if assumption.seconds:
            factors = [min(factor, longest / assumption.seconds) for factor in factors]
        source, target = (
            tuple(max(1, round(mean * factor)) for factor in factors) for mean in (assumption.source, assumption.target)
        )
        return cls(str(assumption), tuple(assumption.seconds * factor for factor in factors), source, target)

    def positions(self, task: Task, model: nn.Module) -> tuple[int, ...] | None:
        """Positions of the LLM that each row takes; None for a task without one."""
        found = task.positions(model, self.seconds, torch.tensor(self.source), torch.tensor(self.target))
        return None if found is None else tuple(found.tolist())

    def batch(self, rows: Sequence[int], feature: Feature | None) -> BatchSizes:
        """Some rows as a batch; ``feature`` is None where they have no audio."""
        seconds = [self.seconds[row] for row in rows]
        sizes = [0] * len(rows) if feature is None else input_lengths(seconds, feature).tolist()
        inputs = tuple(size if duration else 0 for size, duration in zip(sizes, seconds, strict=True))
        return BatchSizes(inputs, tuple(self.source[row] for row in rows), tuple(self.target[row] for row in rows))


class Summary(NamedTuple):
    """Mean, 95th percentile and maximum of a length over rows."""

    mean: float
    p95: float
    maximum: float


class Padded(NamedTuple):
    """A batch in padded form: rows, and the longest of them in seconds (tokens in text tasks)."""

    rows: int
    longest: float

    @property
    def size(self) -> float:
        """Rows times longest row."""
        return self.rows * self.longest


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch, and two representative ones.

    Attributes:
        padded: Every batch.
        mean: Rows of the batch whose size is nearest to the mean.
        largest: Rows of the batch of the largest size.
    """

    padded: tuple[Padded, ...]
    mean: BatchSizes
    largest: BatchSizes

    @property
    def mean_index(self) -> int:
        """Description of the batch ``mean``."""
        average = sum(batch.size for batch in self.padded) / len(self.padded)
        return min(range(len(self.padded)), key=lambda index: abs(self.padded[index].size - average))

    @property
    def largest_index(self) -> int:
        """Description of the batch ``largest``."""
        return max(range(len(self.padded)), key=lambda index: self.padded[index].size)

    def over_epoch(self, mean: float, largest: float) -> float:
        """The sum over all batches of a quantity that is known for two of them.

        A batch of B rows, the longest of length L, counts ``a B L + b B L^2``, as operations do; ``a`` and ``b`` follow
        from the two.
        """
        one, two = self.padded[self.mean_index], self.padded[self.largest_index]
        sizes = sum(batch.size for batch in self.padded)
        bend = (
            (largest / two.size - mean / one.size) / (two.longest - one.longest) if two.longest > one.longest else 0.0
        )
        squares = sum(batch.size * batch.longest for batch in self.padded)
        return (mean / one.size - bend * one.longest) * sizes + bend * squares


def parse_assumption(text: str) -> Assumption:
    """Parse assumed rows: ``rows=290000,seconds=5.4,source=11,target=14``, optionally with ``spread``.

    Raises:
        AistaError: a name is missing or unknown, or a value is not a number above 0.
    """
    values: dict[str, float] = {}
    known = tuple(Assumption.__dataclass_fields__)
    for item in text.split(","):
        name, _, value = item.strip().partition("=")
        if name not in known:
            raise AistaError(f"--assume: unknown name {name!r}{nearest(name, known)}; give {', '.join(known)}")
        try:
            values[name] = float(value)
        except ValueError:
            values[name] = math.nan
        if not 0 <= values[name] < math.inf or (name == "rows" and values[name] < 1):
            raise AistaError(f"--assume: {name} must be a number of at least {int(name == 'rows')}, got {value!r}")
    missing = [name for name in known[:4] if name not in values]
    if missing:
        raise AistaError(f"--assume: {missing[0]} is missing; for example rows=290000,seconds=5.4,source=11,target=14")
    return Assumption(**{**values, "rows": int(values["rows"])})  # type: ignore[arg-type]


def plan_batches(
    rows: RowLengths, experiment: Experiment, feature: Feature | None, world_size: int, positions: Sequence[int] | None
) -> Batches:
    """The batches that training would take from these rows in its first epoch.

    Args:
        rows: Their lengths.
        experiment: Its data section limits the batches.
        feature: Feature of the task; None where it uses no audio.
        world_size: Processes that share a batch.
        positions: Positions of the LLM that each row takes; None without one.

    Raises:
        RunError: so many processes cannot each have a row of every batch.
    """
    sizes = rows.seconds if feature is not None else [a + b for a, b in zip(rows.source, rows.target, strict=True)]
    try:
        batches = length_batches(
            sizes,
            experiment,
            with_audio=feature is not None,
            world_size=world_size,
            positions=positions,
            mixture=rows.mixture,
        )
        plan = batches.plan(0)
    except DataError as error:
        raise RunError(f"for {world_size} processes: {error}, or plan for fewer with --processes") from error
    padded = tuple(Padded(len(batch), max(sizes[row] for row in batch)) for batch in plan)
    nothing = BatchSizes((), (), ())
    found = Batches(padded, nothing, nothing)
    return replace(
        found,
        mean=rows.batch(plan[found.mean_index], feature),
        largest=rows.batch(plan[found.largest_index], feature),
    )


def summarize(rows: RowLengths, model: nn.Module, task: Task) -> dict[str, Summary]:
    """Lengths of the rows by name: seconds, encoder input, tokens, and positions in the language model."""
    lengths: dict[str, Sequence[float]] = {}
    feature, prompts = task.feature, task.prompts
    if feature is not None:
        inputs = input_lengths(rows.seconds, feature)
        lengths["seconds"] = rows.seconds
        lengths["encoder frames" if feature.dim else "encoder samples"] = inputs.tolist()
    lengths |= {"transcript tokens": rows.source, "translation tokens": rows.target}
    if feature is not None and prompts is not None and isinstance(model, LargeSpeechTextModel):
        speech = model.speech_positions(inputs).tolist()
        prompt = prompts.num_positions
        lengths["speech positions"] = speech
        lengths["prompt positions"] = [prompt] * len(speech)
        lengths["LLM positions"] = [a + b + prompt for a, b in zip(speech, rows.target, strict=True)]
    return {name: _summary(values) for name, values in lengths.items()}


def _summary(values: Sequence[float]) -> Summary:
    ordered = sorted(values)
    return Summary(sum(ordered) / len(ordered), ordered[math.ceil(0.95 * len(ordered)) - 1], ordered[-1])
