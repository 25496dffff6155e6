"""Runs a real training step on shapes only, and measures its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from aista.data.examples import PromptPair, pad_prompts
from aista.data.tokenizers.base import TextTokenizer
from aista.engine.cost.meter import Operations, StepMeter
from aista.engine.cost.shapes import Shapes, WithoutNumbers, like_gpu
from aista.errors import RunError
from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.selection.base import SelectedLayers, uniform_weights
from aista.tasks.alignment_terms import AlignmentTerms
from aista.tasks.base import Task
from aista.tasks.speech_translation import SpeechTranslationTask
from aista.types import LayerStates, SpeechBatch

__all__ = ["LOSSES", "BatchSizes", "Trace", "Tracer", "make_batch"]

LOSSES = ("alignment", 1)
"""Name under which the operations of the alignment losses are counted."""


@dataclass(frozen=True)
class BatchSizes:
    """Lengths of each row of a batch: encoder input (frames or samples; 0 in text tasks), transcript, translation."""

    inputs: tuple[int, ...]
    source: tuple[int, ...]
    target: tuple[int, ...]

    def share(self, rank: int, world_size: int) -> BatchSizes:
        """The rows of one process."""
        return BatchSizes(*(lengths[rank::world_size] for lengths in (self.inputs, self.source, self.target)))


@dataclass(frozen=True)
class Trace:
    """Cost of one forward and backward pass.

    Attributes:
        operations: (part, number of the pass through it) -> operations.
        peak: Maximum of the bytes of activations, temporaries and gradients.
        gradients_at_peak: Finished gradients among them.
        peak_without_gradients: The same without finished gradients.
        by_type: All operations by the type that they are computed in.
    """

    operations: Mapping[tuple[str, int], Operations] = field(default_factory=dict)
    peak: int = 0
    gradients_at_peak: int = 0
    peak_without_gradients: int = 0
    by_type: Mapping[torch.dtype, int] = field(default_factory=dict)

    @property
    def total(self) -> Operations:
        """Sum over the parts."""
        return Operations(*(sum(column) for column in zip(*self.operations.values(), strict=True)))


class Tracer:
    """Traces steps of one task and model.

    Args:
        task: Its alignment losses are called on random numbers, all else on shapes.
        model: The bare model with what is trained marked. Its numbers are taken away.
        bfloat16: Whether the step runs under autocast.
        on_gpu: Whether to count the memory that a GPU's kernels keep in place of the CPU's.

    Attributes:
        encoded: Whether batches hold cached encoder states in place of audio.
    """

    def __init__(self, task: Task, model: nn.Module, *, bfloat16: bool, on_gpu: bool = True) -> None:
        self.task = task
        self.model = model
        self._bfloat16 = bfloat16
        self.encoded = False
        self._on_gpu = on_gpu
        self._shapes = Shapes()
        self._shapes.convert(model)
        if on_gpu:
            _compute_padding(model)

    def trace(self, sizes: BatchSizes, layers: tuple[int, ...] | None = None) -> Trace:
        """Run forward and backward once on rows of these lengths.

        Args:
            sizes: The rows of one process.
            layers: Layers to align; None is a step before they are chosen, on cross-entropy alone.

        Raises:
            RunError: what a part of the model computes depends on numbers, not on shapes alone.
        """
        stand_ins = _align(self.task, layers)
        if self.encoded:
            encoder: Any = self.model.get_submodule("encoder")
            inputs = torch.tensor(sizes.inputs)
            lengths = encoder.output_lengths(inputs).where(inputs > 0, 0)
            sizes = replace(sizes, inputs=tuple(lengths.tolist()))
        prompts = self.task.prompts
        prompt = prompts.longest if prompts is not None and prompts.vary else None
        batch = make_batch(sizes, self._audio(sizes), self.task.tokenizer, prompt)
        batch = replace(batch, encoded=self.encoded)
        meter = StepMeter(self.model, [batch.audio])
        self.model.train()
        try:
            with meter.measuring(), WithoutNumbers(), like_gpu(self._on_gpu):
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bfloat16):
                    loss = self.task.loss(self.model, batch)
                # Not Tensor.backward: function modes do not reach into what that calls.
                torch.autograd.backward(loss.total / loss.num_targets)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise RunError(
                f"the step cannot be run on shapes alone: what a part of the model computes depends on numbers "
                f"({error}); its cost has to be measured in training"
            ) from error
        finally:
            self.model.zero_grad(set_to_none=True)
        return _sum(meter, [_measure(stand_in) for stand_in in stand_ins if stand_in.seen is not None])

    def _audio(self, sizes: BatchSizes) -> Tensor:
        width = self.model.get_submodule("encoder").output_dim if self.encoded else getattr(self.task.feature, "dim", 0)
        channels = (width,) if width else ()
        return self._shapes.empty(len(sizes.inputs), max(sizes.inputs, default=0), *channels)


def make_batch(
    sizes: BatchSizes, audio: Tensor, tokenizer: TextTokenizer, prompt: PromptPair | None = None
) -> SpeechBatch:
    """A batch of rows of these lengths, with texts of one repeated word.

    Args:
        sizes: The lengths.
        audio: ``[B, W]`` or ``[B, F, M]`` encoder input.
        tokenizer: Has a word that is neither padding nor the end of a text.
        prompt: Prompt of each row; None for the model's own.
    """
    rows, length = len(sizes.inputs), max(sizes.source, default=0)
    word = next(id for id in range(tokenizer.vocab_size) if id not in (tokenizer.pad_id, tokenizer.eos_id))
    return SpeechBatch(
        ids=tuple(map(str, range(rows))),
        audio=audio,
        audio_lengths=torch.tensor(sizes.inputs),
        source=torch.full((rows, length), word),
        source_lengths=torch.tensor(sizes.source),
        target=torch.full((rows, max(sizes.target, default=0)), word),
        target_lengths=torch.tensor(sizes.target),
        words=_words(sizes.source, length),
        prompts=pad_prompts([prompt] * rows, tokenizer.pad_id),
        spoken=None if all(sizes.inputs) else torch.tensor(sizes.inputs).nonzero()[:, 0],
    )


def _words(lengths: Sequence[int], width: int) -> Tensor:
    """Every token of the transcripts as a word, all of the same duration."""
    token = torch.arange(width, dtype=torch.float32).expand(len(lengths), width)
    size = torch.tensor(lengths, dtype=torch.float32).clamp(min=1)[:, None]
    spans = torch.stack([token, token + 1, token / size, (token + 1) / size], dim=-1)
    return spans.masked_fill((token >= size)[..., None], 0)


class _StandIn(AlignmentLoss):
    """Replaces an alignment loss: gradients reach the states, and the loss's arguments are recorded."""

    def __init__(self, loss: AlignmentLoss) -> None:
        self.loss = loss
        self.needs = loss.needs
        self.seen: tuple[LayerStates, AlignmentContext, bool] | None = None

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        self.seen = states, context, detach_text
        text = states.text.detach() if detach_text else states.text
        return AlignmentResult(states.speech.float().mean(dim=(1, 2)) + text.float().mean(dim=(1, 2)), {})


def _compute_padding(model: nn.Module) -> None:
    """Disable the removal of padding in language models of transformers, which is used on CPUs only."""
    modules: Iterable[Any] = model.modules()
    for module in modules:
        if hasattr(module, "joins_rows"):
            module.joins_rows = False


def _align(task: Task, layers: tuple[int, ...] | None) -> list[_StandIn]:
    if not isinstance(task, SpeechTranslationTask):
        return []
    task.selected = None if layers is None else SelectedLayers(layers, uniform_weights(len(layers)), "")
    task.alignment = AlignmentTerms(
        [replace(term, loss=_stand_in(term.loss)) for term in task.alignment.terms],
        text_gradient=task.config.text_gradient,
    )
    return [term.loss for term in task.alignment.terms if isinstance(term.loss, _StandIn)]


def _stand_in(loss: AlignmentLoss) -> AlignmentLoss:
    """A new replacement for a loss of states, or for the replacement of an earlier trace."""
    if loss.compares == "predictions":
        return loss
    return _StandIn(loss.loss if isinstance(loss, _StandIn) else loss)


def _measure(stand_in: _StandIn) -> StepMeter:
    """Run a loss forward and backward on random states of the shapes that its replacement recorded."""
    assert stand_in.seen is not None
    states, context, detach_text = stand_in.seen
    generator = torch.Generator().manual_seed(0)

    def numbers(tensor: Tensor | None) -> Any:
        return None if tensor is None else torch.randn(tensor.shape, generator=generator)

    real = states._replace(speech=numbers(states.speech).requires_grad_(), text=numbers(states.text))
    if not detach_text:
        real.text.requires_grad_()
    context = context._replace(vocabulary=numbers(context.vocabulary))
    meter = StepMeter(nn.Module(), [real.speech, real.text])
    with meter.measuring():
        result = stand_in.loss(real, context, detach_text=detach_text)
        result.per_utterance_B.sum().backward()  # type: ignore[no-untyped-call]
    return meter


def _sum(step: StepMeter, losses: Sequence[StepMeter]) -> Trace:
    """The sum of a step's costs and those of the alignment losses, which run while all activations are in memory."""
    operations = {place: Operations(*counts) for place, counts in step.operations.items()}
    by_type = Counter(step.by_type)
    for meter in losses:
        by_type.update(meter.by_type)
    if losses:
        counts = [count for meter in losses for count in meter.operations.values()]
        operations[LOSSES] = Operations(*(sum(column) for column in zip((0, 0, 0), *counts, strict=True)))
    more = max((meter.peak for meter in losses), default=0)
    return Trace(operations, step.peak + more, step.gradients_at_peak, step.peak_without_gradients + more, by_type)
