"""Interface between tasks and the engine: model, loss, decoding and usable rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from aista.data.features.base import Feature
from aista.data.manifest import Row
from aista.data.row_checks import Limit
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import ConfigError, Fault
from aista.modules.llms.base import GenerationConfig
from aista.modules.trainable import ParameterTable, select_trainable
from aista.schema import Component
from aista.tasks.experiment import Sections
from aista.tasks.parts import Pretrained, build_part, build_tunings
from aista.tasks.prompts import Prompts
from aista.types import Hypothesis, SpeechBatch

__all__ = ["Logged", "LossPart", "Metrics", "Task", "TaskLoss"]

Logged = tuple[Tensor, Tensor | float | None]
"""A mean over a batch with the batch's weight in the mean over batches (0: not counted; None: a sum instead).

Tensors stay on the device and are read where the log is written.
"""

Metrics = Mapping[str, Logged]
"""Name -> logged value."""


class LossPart(NamedTuple):
    """A scalar to add to the loss of a batch, and its metrics."""

    total: Tensor
    metrics: Metrics


@dataclass(frozen=True)
class TaskLoss:
    """The loss of one batch, as a sum, so that losses of micro-batches and processes can be added.

    Attributes:
        total: Scalar; the trainer divides its gradient by the global number of targets.
        num_targets: Target tokens of this batch; a row without a translation counts as its transcript.
        metrics: Values to log.
    """

    total: Tensor
    num_targets: int
    metrics: Metrics

    @classmethod
    def of_parts(cls, first: LossPart, *others: LossPart, num_targets: int) -> TaskLoss:
        """The sum of the parts, with the metrics of all."""
        total, metrics = first.total, dict(first.metrics)
        for part in others:
            total = total + part.total
            metrics |= part.metrics
        return cls(total, num_targets, metrics)


class Task(ABC):
    """A pure PyTorch task; a component of kind ``task``.

    Its factory is ``factory(config, *, tokenizer, feature)``. The options dataclass has a field ``freeze_params``:
    patterns of parameters that are not trained, declared with ``inherit=False``. Parts of the model whose training
    can be chosen are options of type ``TunedPart``, are built with ``build_part`` and are attributes of the model
    under the option's name. A task that searches overrides ``hypotheses``, any other ``decode``.

    Attributes:
        uses_audio: Whether its batches hold audio.
        feature: Turns recordings into the model's input; None where it uses no audio.
        takes_states: Whether ``loss`` and ``decode`` also take batches of encoder states (``SpeechBatch.encoded``),
            those of the part ``encoder`` of the options and of the model; only then can they be cached.
        translates_text: Whether ``decode_text`` translates transcripts.
        row_tasks: Possible tasks of rows (``data.tasks``); empty where all rows are trained alike.
        prompts: The prompts around the speech in the language model's input; None without a language model.
        tunings: Tunings of the parts, by the option's name.
        pretrained: How ``build_model`` treats pretrained weights: ``load`` them; ``skip`` them, where a model's weights
            are loaded from elsewhere afterwards; or leave such parts on the ``meta`` device, without values.
        parameters: Last result of ``select_trainable``; not set before.
    """

    uses_audio: ClassVar[bool] = True
    takes_states: ClassVar[bool] = False
    translates_text: ClassVar[bool] = False
    row_tasks: ClassVar[tuple[str, ...]] = ()
    scores_translations: ClassVar[bool] = True
    default_metrics: ClassVar[tuple[Component, ...]]
    prompts: Prompts | None = None
    parameters: ParameterTable

    def __init__(self, config: Any, *, tokenizer: TextTokenizer, feature: Feature | None = None) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.feature = feature
        self.tunings = build_tunings(config)
        self.pretrained: Pretrained = "load"

    @classmethod
    def check_options(cls, config: Any, sections: Sections) -> list[Fault]:
        """Faults of the options together with the shared sections that can be found without a tokenizer."""
        return []

    def check(self, sections: Sections) -> list[Fault]:
        """Faults of the shared sections together with the task's options that can be found before a model is built."""
        return []

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Build the model from the config's components, with random or pretrained weights."""

    def build_part(self, name: str, **dependencies: Any) -> Any:
        """Build the part of the option ``name`` (encoder, adapter, llm), prepared for its tuning."""
        spec, tuning = getattr(self.config, name), self.tunings.get(name)
        return build_part(name, spec, tuning, pretrained=self.pretrained, **dependencies)

    def select_trainable(self, model: nn.Module) -> ParameterTable:
        """Set which parameters of the bare model are trained, and count them; call it before training.

        Raises:
            ConfigError: ``freeze_params`` or a tuning cannot be applied.
        """
        try:
            self.parameters = select_trainable(model, self.tunings, self.config.freeze_params)
        except ValueError as error:
            raise ConfigError([Fault("freeze_params", str(error).removeprefix("freeze_params: "))]) from error
        return self.parameters

    @abstractmethod
    def loss(self, model: nn.Module, batch: SpeechBatch) -> TaskLoss:
        """Run ``model`` (possibly wrapped for data parallelism) once and compute the loss."""

    @property
    def searches(self) -> bool:
        """Whether translations come from ``hypotheses``: the task overrides it, and not ``decode``."""
        return type(self).hypotheses is not Task.hypotheses and type(self).decode is Task.decode

    def hypotheses(
        self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig, *, from_text: bool = False
    ) -> list[list[Hypothesis]]:
        """All hypotheses of a search for each row, best first, from the bare (unwrapped) model.

        Args:
            model: The model from ``build_model``.
            batch: Rows, without audio where the transcripts are translated.
            generation: Search options.
            from_text: Translate the transcripts; only where ``translates_text``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not search")

    def decode(self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig) -> list[str]:
        """The best text of each row, from the bare model; ``aista.tasks.decoding`` has other criteria, too."""
        found = self.hypotheses(model, batch, generation)
        return [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in found]

    def decode_text(self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig) -> list[str]:
        """Like ``decode``, from the transcripts; without audio in the batch."""
        found = self.hypotheses(model, batch, generation, from_text=True)
        return [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in found]

    @abstractmethod
    def references(self, batch: SpeechBatch) -> tuple[str, ...]:
        """The texts that hypotheses are scored against."""

    @property
    def needs_translations(self) -> bool:
        """Whether each training row must have a translation; otherwise any text is enough."""
        return self.scores_translations

    @property
    def needs_words(self) -> bool:
        """Whether its loss needs word times (``SpeechBatch.words``)."""
        return False

    @property
    def probes_words(self) -> bool:
        """Whether training compares words of dev by their times, so that dev must have word times."""
        return False

    @property
    def skips_parameters(self) -> bool:
        """Whether a step of training may leave parameters that ``select_trainable`` chose without a gradient.

        Several processes then check in each step which parameters got no gradient.
        """
        return False

    @property
    def min_transcripts(self) -> Mapping[str, int]:
        """Split (train, dev) -> minimum number of rows with a transcript for training; other splits need none."""
        return {}

    @property
    def watches_validation(self) -> bool:
        """Whether ``end_validation`` changes the loss, so that the run must validate."""
        return False

    def start_step(self, step: int, num_steps: int) -> None:  # noqa: B027 -- most tasks do not change
        """Prepare for an optimiser step, ``step`` from 1 to ``num_steps``; called before each one."""

    def end_validation(self, step: int, score: float) -> None:  # noqa: B027 -- nor watch
        """Called before the step that follows a validation, and again for past ones when a run is resumed.

        Args:
            step: Steps trained before the validation.
            score: ``evaluation.score``, oriented so that higher is better; NaN where it was not finite.
        """

    def positions(
        self, model: nn.Module, seconds: Sequence[float], source: Tensor, target: Tensor, *, max_new_tokens: int = 0
    ) -> Tensor | None:
        """Positions of the language model that rows take, which ``data.max_batch_positions`` limits.

        A task with a language model overrides this; others do not. Numbers that depend on the speech are upper bounds.

        Args:
            model: The model from ``build_model``.
            seconds: B durations, 0 without audio.
            source: ``[B]`` tokens of the transcripts.
            target: ``[B]`` tokens of the translations.
            max_new_tokens: Tokens that decoding may add to each row; 0 where rows are only scored.

        Returns:
            ``[B]`` positions of the longest branch; None without a language model.
        """
        return None

    def limits(self, model: nn.Module, *, max_new_tokens: int = 0) -> tuple[Limit, ...]:
        """Limits of the bare model on rows, checked before training and decoding.

        Args:
            model: The model from ``build_model``.
            max_new_tokens: Tokens that decoding may add to each row; 0 where rows are only scored.
        """
        return ()

    def reject(self, row: Row) -> str:
        """Reason why this task cannot use a valid manifest row; "" if it can. Such rows are left out and counted.

        A task that uses every row does not override this, which saves a call for each row.
        """
        return ""
