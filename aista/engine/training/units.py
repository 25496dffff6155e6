"""Adapts a task to fairseq2's trainer and validator."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from fairseq2.evaluator import EvalUnit
from fairseq2.gang import Gang
from fairseq2.metrics import MetricBag
from fairseq2.trainer import TrainUnit
from torch import Tensor, nn
from typing_extensions import override

from aista.engine.training.finite_steps import FiniteSteps
from aista.engine.training.layer_chooser import LayerChooser
from aista.engine.training.meters import NamedMeans
from aista.engine.training.reader import DeviceBatch
from aista.engine.training.recipe_config import SCORE
from aista.engine.training.validation import ValidationScores
from aista.scoring.base import Metric
from aista.scoring.utterance_inputs import UtteranceInputs
from aista.tasks.base import Task
from aista.tasks.decoding import Decoder
from aista.tasks.training import EvaluationConfig

__all__ = ["TaskEvalUnit", "TaskTrainUnit"]

_MEANS = "task"


class _Decoded(NamedTuple):
    """A dev row that was decoded; sorted by its id."""

    id: str
    hypothesis: str
    reference: str
    source: str


@dataclass(eq=False)
class TaskTrainUnit(TrainUnit[DeviceBatch]):
    """Computes (loss sum, number of targets) of a batch; informs the task of steps and validations, chooses layers."""

    task: Task
    parallel_model: nn.Module
    chooser: LayerChooser | None
    scores: ValidationScores
    steps: FiniteSteps
    num_steps: int

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """One meter for all metrics that the task reports."""
        metric_bag.add(_MEANS, NamedMeans())

    def set_step_nr(self, step_nr: int) -> None:
        self.scores.deliver()
        self.task.start_step(step_nr, self.num_steps)
        if self.chooser is not None:
            self.chooser.before_step(step_nr, self.parallel_model)

    def restore(self, step: int) -> None:
        """Restore the state after a step, before its validation: past scores are known, ``step`` was the last one."""
        self.task.start_step(step, self.num_steps)
        if self.chooser is not None:
            self.chooser.restore(step)

    def process_batch(self, batch: DeviceBatch, metric_bag: MetricBag) -> tuple[Tensor, int]:
        loss = self.task.loss(self.parallel_model, batch.batch)
        means = metric_bag.get(_MEANS, NamedMeans)
        means.update(loss.metrics)
        if batch.batch.left_out:
            means.update({"bad_rows": (torch.tensor(float(batch.batch.left_out)), None)})
        means.update({f"rows/{part}": (torch.tensor(float(n)), None) for part, n in batch.batch.part_rows.items()})
        return loss.total, loss.num_targets

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        values.update(_pop_means(values))
        if self.steps.max_skipped:
            values["skipped_steps"] = self.steps.num_skipped


@dataclass(eq=False)
class TaskEvalUnit(EvalUnit[DeviceBatch]):
    """Validation: NLL of the dev rows with a translation, and scores of those that are decoded.

    Rows without a translation have a part in the loss alone. ``score`` is what picks the best checkpoint, oriented so
    that higher is better.
    """

    task: Task
    parallel_model: nn.Module
    bare_model: nn.Module
    metrics: Sequence[Metric]
    decoder: Decoder
    config: EvaluationConfig
    gang: Gang
    scores: ValidationScores
    _step: int = 0
    _num_decoded: int = 0
    _decoded: list[_Decoded] = field(default_factory=list)
    _values: dict[str, float] = field(default_factory=dict)

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """Losses are means over batches; scores of the whole set are added in the end."""
        metric_bag.add(_MEANS, NamedMeans())
        self._decoded, self._num_decoded = [], 0

    @override
    def set_train_step_nr(self, train_step_nr: int) -> None:
        self._step = train_step_nr

    def process_batch(self, batch: DeviceBatch, metric_bag: MetricBag) -> None:
        """NLL with the data-parallel model, hypotheses with the bare one."""
        data = batch.batch
        loss = self.task.loss(self.parallel_model, data)
        means = metric_bag.get(_MEANS, NamedMeans)
        means.update(loss.metrics)
        if self.config.score == "loss":
            means.update({"loss": (loss.total / loss.num_targets, loss.num_targets)})
        limit = self.config.validation_rows
        if self.metrics and (not limit or self._num_decoded * self.gang.size < limit):
            # Rows without a reference too: processes that share a model decode the same number of batches.
            texts = [item.text for item in self.decoder.decode(self.bare_model, data)]
            self._num_decoded += len(data)
            rows = zip(data.ids, texts, self.task.references(data), data.source_text, strict=True)
            self._decoded += [row for row in map(_Decoded._make, rows) if row.reference]

    def finalize(self, metric_bag: MetricBag) -> None:
        """Gather the hypotheses of all processes and score them."""
        self.scores.ended(self._step)
        rows = self._decoded
        if self.gang.size > 1:
            gathered: list[list[_Decoded]] = [[] for _ in range(self.gang.size)]
            torch.distributed.all_gather_object(gathered, rows)
            rows = sorted(row for part in gathered for row in part)
        self._values = {}
        inputs = UtteranceInputs([row.source for row in rows])
        for metric in self.metrics if rows else ():
            score = metric.score([row.hypothesis for row in rows], [row.reference for row in rows], inputs)
            self._values[score.name] = score.value
            if score.name == self.config.score:
                self._values[SCORE] = score.value if score.higher_is_better else -score.value

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        means = _pop_means(values)
        values.update(means | self._values)
        if self.config.score in means:  # a loss: no metric is called so
            values[SCORE] = -means[self.config.score]
        score = values.get(SCORE)
        if isinstance(score, float):
            self.scores.scored(score)


def _pop_means(values: MutableMapping[str, object]) -> dict[str, float]:
    means = values.pop(_MEANS)
    assert isinstance(means, dict)
    return means
