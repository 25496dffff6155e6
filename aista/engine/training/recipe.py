"""The recipe that runs any task on fairseq2's Trainer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fairseq2.composition import register_model_family
from fairseq2.metrics import format_as_float
from fairseq2.metrics.recorders import MetricDescriptor, MetricRecorder
from fairseq2.recipe import Recipe, RecipeContext
from fairseq2.runtime.dependency import DependencyContainer
from fairseq2.task import Task as Fairseq2Task
from torch import Tensor, nn
from typing_extensions import override

from aista.engine.claim import is_main_process
from aista.engine.compat import (
    PatienceStopper,
    guard_state_files,
    keep_in_log_files,
    set_early_stopper,
    settle_once_restored,
)
from aista.engine.trackers import Trackers
from aista.engine.training.blocks import apply_activation_checkpointing, apply_fsdp
from aista.engine.training.finite_steps import FiniteSteps
from aista.engine.training.layer_chooser import LayerChooser
from aista.engine.training.optimizer import check_parameter_groups, register_optimizer
from aista.engine.training.recipe_config import FAMILY, SCORE, RecipeConfig
from aista.engine.training.recorder import RunRecorder
from aista.engine.training.resharding import resume_from_other_processes
from aista.engine.training.run_data import RunData
from aista.engine.training.units import TaskEvalUnit, TaskTrainUnit
from aista.engine.training.validation import ValidationScores, past_scores
from aista.errors import RunError
from aista.modules.lsm import LargeSpeechTextModel
from aista.run_folder.parsing import write_object
from aista.run_folder.paths import RunPaths
from aista.scoring.base import Metric
from aista.tasks.base import Task
from aista.tasks.decoding import Decoder
from aista.tasks.speech_translation import SpeechTranslationTask
from aista.tasks.training import EvaluationConfig, TrainerConfig

__all__ = ["TaskRecipe"]

log = logging.getLogger("aista.train")


@dataclass(kw_only=True)
class ModelFamilyConfig:
    """The config that fairseq2 stores beside checkpoints: the experiment, as plain data."""

    experiment: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TaskRecipe(Recipe):
    """Wraps a task, its readers and its starting weights for ``fairseq2.recipe.run``.

    Attributes:
        task: The task to train.
        run_dir: RUN; metrics and selection are written there.
        trainer: aista's trainer options.
        evaluation: Rows and scores of validation.
        decoder: Its search.
        metrics: Scores of validation.
        initial: Part name -> weights that the part starts from.
        data: Train and dev rows.
        trackers: Trackers that also receive the metrics.
        verify: Compare a checkpoint with its checksums before resuming from it.
    """

    task: Task
    run_dir: Path
    trainer: TrainerConfig
    evaluation: EvaluationConfig
    decoder: Decoder
    metrics: Sequence[Metric]
    initial: Mapping[str, Mapping[str, Tensor]]
    data: RunData
    trackers: Trackers
    verify: bool

    @property
    @override
    def config_kls(self) -> type[object]:
        return RecipeConfig

    def has_static_autograd_graph(self, context: RecipeContext) -> bool:
        """Whether every trained parameter takes part in every step."""
        return not self.task.skips_parameters

    def register(self, container: DependencyContainer) -> None:
        """Register the task's model, its optimiser and score and our recorder with fairseq2."""
        register_optimizer(container)
        register_model_family(
            container,
            FAMILY,
            kls=nn.Module,
            config_kls=ModelFamilyConfig,
            factory=lambda _: self.task.build_model(),
            supports_meta=False,
            fsdp_applier=apply_fsdp,
            layerwise_ac_applier=apply_activation_checkpointing,
        )
        descriptor = MetricDescriptor(SCORE, "Score", 10, format_as_float, higher_better=True)
        container.collection.register_instance(MetricDescriptor, descriptor)
        recorder = RunRecorder(RunPaths(self.run_dir), self.trainer.max_steps, self.trackers)
        container.collection.register(MetricRecorder, lambda _: recorder)  # type: ignore[type-abstract]

    def setup_model(self, context: RecipeContext, model: nn.Module, newly_initialized: bool) -> nn.Module:
        """Load the starting weights of pretrained parts, freeze what is not trained, and prepare the data."""
        keep_in_log_files()
        if newly_initialized:
            for part, weights in self.initial.items():
                load_part(model, part, self._named_as_in(model, part, weights))
            if isinstance(model, LargeSpeechTextModel) and "adapter" not in self.initial:
                model.match_scales(self.task.tokenizer.vocab_size)
        table = self.task.select_trainable(model)
        check_parameter_groups(self.trainer, model)
        log.info("parameters to train:\n%s", table)
        if is_main_process():
            write_object(RunPaths(self.run_dir).parameters_file, table.to_json())
        gangs = context.gangs
        self.data.prepare(model, self.run_dir, gangs.dp.rank, gangs.dp.size, str(gangs.device))
        return model

    def _named_as_in(self, model: nn.Module, part: str, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        tuning = self.task.tunings.get(part)
        return weights if tuning is None else tuning.starting_weights(getattr(model, part), weights)

    def create_task(self, context: RecipeContext) -> Fairseq2Task:
        gangs = context.gangs
        model, bare = context.get_data_parallel_model(), context.get_model()
        reader = self.data.training_reader(gangs.dp.rank, gangs.dp.size)
        dev_reader = self.data.dev_reader(gangs.dp.rank, gangs.dp.size)
        checkpoints = context.get_checkpoint_manager()
        guard_state_files(checkpoints, gangs.root, verify=self.verify)
        last = checkpoints.maybe_get_last_step_number(exclude_model_only=True) or 0
        past = past_scores(RunPaths(self.run_dir).metrics_file("valid"), last)
        scores = ValidationScores(self.task, gangs.root, past)
        chooser = self._chooser(bare, str(gangs.device), writes=gangs.root.rank == 0)
        steps = FiniteSteps(reader, gangs.root, self.trainer.max_skipped_steps)
        unit = TaskTrainUnit(self.task, model, chooser, scores, steps, self.trainer.max_steps)
        validation: list[TaskEvalUnit] = []
        if dev_reader is not None:
            metrics = self.metrics if self.data.has_references else ()
            evaluation, decoder = self.evaluation, self.decoder
            validation.append(TaskEvalUnit(self.task, model, bare, metrics, decoder, evaluation, gangs.dp, scores))
        trainer = context.create_trainer(unit, reader, validation, [dev_reader] if dev_reader is not None else [])
        steps.attach(trainer)
        resume_from_other_processes(trainer)
        if self.trainer.early_stopping_patience:
            history = [score for _, score in past]
            set_early_stopper(trainer, PatienceStopper(self.trainer.early_stopping_patience, history))
        if gangs.root.rank == 0:
            self.trackers.open(last)
        if last:
            log.info("going on from the checkpoint of step %d", last)
            unit.restore(last)
            settle_once_restored(trainer, validate=bool(validation) and self._lacks_score(last, past))
        return trainer

    def _lacks_score(self, step: int, past: Iterable[tuple[int, float]]) -> bool:
        """Whether the validation of a step is missing."""
        interval = self.trainer.validate_every
        is_due = step >= self.trainer.max_steps or (interval and step % interval == 0)
        return bool(is_due) and step not in dict(past)

    def _chooser(self, model: nn.Module, device: str, *, writes: bool) -> LayerChooser | None:
        """None for tasks without alignment."""
        if not isinstance(self.task, SpeechTranslationTask) or not self.task.alignment.terms:
            return None
        assert isinstance(model, LargeSpeechTextModel)
        selection = self.task.build_selection(model.llm.num_layers)
        batches = partial(self.data.probe_batches, selection.probe_size, device)
        file = RunPaths(self.run_dir).selection_file
        return LayerChooser(self.task, selection, file, batches, writes=writes, report=self.trackers.log_choice)


def load_part(model: nn.Module, part: str, weights: Mapping[str, Tensor]) -> None:
    """Load ``part`` (encoder, adapter, llm) of a model from weights of the same architecture.

    Raises:
        RunError: the architectures differ; names the first differing tensors.
    """
    target = getattr(model, part)
    current = target.state_dict()
    missing, unknown = sorted(current.keys() - weights.keys()), sorted(weights.keys() - current.keys())
    shapes = [
        f"{name}: {tuple(weights[name].shape)} given, {tuple(current[name].shape)} wanted"
        for name in current.keys() & weights.keys()
        if current[name].shape != weights[name].shape
    ]
    if missing or unknown or shapes:
        details = [f"missing {missing[:3]}"] * bool(missing) + [f"unknown {unknown[:3]}"] * bool(unknown) + shapes[:3]
        raise RunError(
            f"initialize.{part}: the run folder's {part} has another architecture ({'; '.join(details)}); "
            f"give both runs the same {part} config, its tuning included"
        )
    target.load_state_dict(weights)
