"""A task inside fairseq2's trainer and validator."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

import torch
from fairseq2.evaluator import EvalUnit
from fairseq2.gang import Gang
from fairseq2.metrics import MetricBag
from fairseq2.trainer import TrainUnit
from torch import Tensor, nn
from typing_extensions import override

from aista.engine.training.layer_chooser import LayerChooser
from aista.engine.training.meters import NamedMeans
from aista.engine.training.reader import DeviceBatch
from aista.engine.training.recipe_config import SCORE
from aista.engine.training.validation import ValidationScores
from aista.scoring.base import Metric
from aista.tasks.base import Task
from aista.tasks.training import EvaluationConfig

__all__ = ["TaskEvalUnit", "TaskTrainUnit"]

_MEANS = "task"


class TaskTrainUnit(TrainUnit[DeviceBatch]):
    """Turns a batch into (loss sum, number of targets); tells the task of steps and validations, and chooses layers."""

    def __init__(
        self, task: Task, model: nn.Module, chooser: LayerChooser | None, scores: ValidationScores, num_steps: int
    ) -> None:
        self._task = task
        self._model = model
        self._chooser = chooser
        self._scores = scores
        self._num_steps = num_steps

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """One meter for all metrics that the task reports."""
        metric_bag.add(_MEANS, NamedMeans())

    def set_step_nr(self, step_nr: int) -> None:
        self._scores.deliver()
        self._task.start_step(step_nr, self._num_steps)
        if self._chooser is not None:
            self._chooser.before_step(step_nr, self._model)

    def process_batch(self, batch: DeviceBatch, metric_bag: MetricBag) -> tuple[Tensor, int]:
        loss = self._task.loss(self._model, batch.batch)
        metric_bag.get(_MEANS, NamedMeans).update(loss.metrics)
        return loss.total, loss.num_targets

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        values.update(_pop_means(values))


class TaskEvalUnit(EvalUnit[DeviceBatch]):
    """Validation: NLL of all dev rows, and scores of the decoded ones.

    ``score`` is what picks the best checkpoint, oriented so that higher is better.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        bare_model: nn.Module,
        metrics: Sequence[Metric],
        config: EvaluationConfig,
        gang: Gang,
        scores: ValidationScores,
    ) -> None:
        self._task = task
        self._model = model
        self._bare_model = bare_model
        self._metrics = metrics
        self._config = config
        self._gang = gang
        self._scores = scores
        self._step = 0
        self._pairs: list[tuple[str, str, str]] = []
        self._values: dict[str, float] = {}

    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        """Losses are means over batches; scores of the whole set are added in the end."""
        metric_bag.add(_MEANS, NamedMeans())
        self._pairs = []

    @override
    def set_train_step_nr(self, train_step_nr: int) -> None:
        self._step = train_step_nr

    def process_batch(self, batch: DeviceBatch, metric_bag: MetricBag) -> None:
        """NLL with the data-parallel model, hypotheses with the bare one."""
        data = batch.batch
        loss = self._task.loss(self._model, data)
        means = metric_bag.get(_MEANS, NamedMeans)
        means.update(loss.metrics)
        if self._config.score == "loss":
            means.update({"loss": (loss.total / loss.num_targets, loss.num_targets)})
        limit = self._config.validation_rows
        decoded = len(self._pairs) * self._gang.size
        if self._metrics and (not limit or decoded < limit):
            hypotheses = self._task.decode(self._bare_model, data, self._config.generation)
            self._pairs += zip(data.ids, hypotheses, self._task.references(data), strict=True)

    def finalize(self, metric_bag: MetricBag) -> None:
        """Gather the hypotheses of all processes and score them."""
        self._scores.ended(self._step)
        pairs = self._pairs
        if self._gang.size > 1:
            gathered: list[list[tuple[str, str, str]]] = [[] for _ in range(self._gang.size)]
            torch.distributed.all_gather_object(gathered, pairs)
            pairs = sorted(pair for part in gathered for pair in part)
        self._values = {}
        for metric in self._metrics if pairs else ():
            score = metric.score([hypothesis for _, hypothesis, _ in pairs], [ref for *_, ref in pairs])
            self._values[score.name] = score.value
            if score.name == self._config.score:
                self._values[SCORE] = score.value if score.higher_is_better else -score.value

    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        means = _pop_means(values)
        values.update(means | self._values)
        if self._config.score in means:  # a loss: no metric is called so
            values[SCORE] = -means[self._config.score]
        score = values.get(SCORE)
        if isinstance(score, float):
            self._scores.scored(score)


def _pop_means(values: MutableMapping[str, object]) -> dict[str, float]:
    means = values.pop(_MEANS)
    assert isinstance(means, dict)
    return means
