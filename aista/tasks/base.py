"""What every task offers to the engine: a model, a loss, decoding and the rows it can use."""

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
"""A mean over a batch and the batch's weight in the mean over batches, 0 where it has no part; None: a sum instead.

Tensors stay on the device and are read where the log is written.
"""

Metrics = Mapping[str, Logged]
"""Name -> what is logged."""


class LossPart(NamedTuple):
    """A scalar that is added to the loss of a batch, and what to log of it."""

    total: Tensor
    metrics: Metrics


@dataclass(frozen=True)
class TaskLoss:
    """The loss of one batch, as a sum, so that it adds up over micro-batches and processes.

    Attributes:
        total: Scalar; the trainer divides its gradient by the global number of targets.
        num_targets: Target tokens of this batch; a row without a translation counts as its transcript.
        metrics: What to log.
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
        row_tasks: What rows can be trained on (``data.tasks``); empty where rows are not told apart.
        prompts: What stands around the speech in the language model's input; None without one.
        tunings: How the parts with a tuning are trained, by the option's name.
        pretrained: What ``build_model`` does about pretrained weights: it loads them; it skips them, where a model
            is built only to have its weights loaded from elsewhere; or it leaves such parts on the meta device,
            without numbers.
        parameters: What ``select_trainable`` returned last; not set before.
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
        """What of the options alone does not fit the shared sections; found where no tokenizer can be loaded, too."""
        return []

    def check(self, sections: Sections) -> list[Fault]:
        """What in the shared sections does not fit the task's options, as far as it shows before a model is built."""
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
            ConfigError: ``freeze_params`` or a tuning cannot be followed.
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
        """Whether translations are those of ``hypotheses``: it has them, and no ``decode`` of its own."""
        return type(self).hypotheses is not Task.hypotheses and type(self).decode is Task.decode

    def hypotheses(
        self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig, *, from_text: bool = False
    ) -> list[list[Hypothesis]]:
        """For each row every hypothesis of a search, best first, from the bare (unwrapped) model.

        Args:
            model: What ``build_model`` returned.
            batch: Rows, without audio where the transcripts are translated.
            generation: Search options.
            from_text: Translate the transcripts; only where ``translates_text``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not search")

    def decode(self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig) -> list[str]:
        """The best text of each row, from the bare model; ``aista.tasks.decoding`` also chooses otherwise."""
        found = self.hypotheses(model, batch, generation)
        return [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in found]

    def decode_text(self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig) -> list[str]:
        """As ``decode``, from the transcripts; without audio in the batch."""
        found = self.hypotheses(model, batch, generation, from_text=True)
        return [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in found]

    @abstractmethod
    def references(self, batch: SpeechBatch) -> tuple[str, ...]:
        """What the hypotheses are scored against."""

    @property
    def needs_translations(self) -> bool:
        """Whether each row that it trains on must have a translation; otherwise it must have some text."""
        return self.scores_translations

    @property
    def needs_words(self) -> bool:
        """Whether its loss needs to know when each word is spoken (``SpeechBatch.words``)."""
        return False

    @property
    def probes_words(self) -> bool:
        """Whether training compares words of dev by their times, so that dev must say when they are spoken."""
        return False

    @property
    def skips_parameters(self) -> bool:
        """Whether a step of training may leave parameters that ``select_trainable`` chose without a gradient.

        Several processes then look in each step for those that got none.
        """
        return False

    @property
    def min_transcripts(self) -> Mapping[str, int]:
        """Split (train, dev) -> fewest rows with a transcript that a training needs of it; the others need none."""
        return {}

    @property
    def watches_validation(self) -> bool:
        """Whether ``end_validation`` changes the loss, so that the run must validate."""
        return False

    def start_step(self, step: int, num_steps: int) -> None:  # noqa: B027 -- most tasks do not change
        """Called before each optimiser step, ``step`` from 1 to ``num_steps``, for what changes with it."""

    def end_validation(self, step: int, score: float) -> None:  # noqa: B027 -- nor watch
        """Called before the step that follows a validation, and again for past ones when a run is resumed.

        Args:
            step: Steps trained before the validation.
            score: ``evaluation.score``, oriented so that higher is better; NaN where it was not finite.
        """

    def positions(
        self, model: nn.Module, seconds: Sequence[float], source: Tensor, target: Tensor, *, max_new_tokens: int = 0
    ) -> Tensor | None:
        """How many positions of the language model rows take; what ``data.max_batch_positions`` is a maximum of.

        A task with a language model overrides this; the others do not. What depends on the speech is an upper bound.

        Args:
            model: What ``build_model`` returned.
            seconds: B durations, 0 without audio.
            source: ``[B]`` tokens of the transcripts.
            target: ``[B]`` tokens of the translations.
            max_new_tokens: Tokens that decoding may add to each row; 0 where rows are only scored.

        Returns:
            ``[B]`` positions of the longest branch; None without a language model.
        """
        return None

    def limits(self, model: nn.Module, *, max_new_tokens: int = 0) -> tuple[Limit, ...]:
        """Bounds of the bare model on the rows it takes, checked before it is trained or decoded with.

        Args:
            model: What ``build_model`` returned.
            max_new_tokens: Tokens that decoding may add to each row; 0 where rows are only scored.
        """
        return ()

    def reject(self, row: Row) -> str:
        """Why a valid manifest row is not for this task; "" if it is. Such rows are set aside and counted.

        A task that takes every row does not override this: a million of them need not be asked for.
        """
        return ""
