"""Records that are passed between subpackages. Tensor names carry their shapes.

B utterances, W samples, F feature frames, M feature channels, S encoder frames, P adapted speech
positions, T transcript tokens, U target tokens, E/D widths, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Hypothesis",
    "LayerStates",
    "LsmOutput",
    "RowPrompts",
    "RowTerm",
    "SpeechBatch",
    "length_mask",
    "zero_padding",
]


class RowPrompts(NamedTuple):
    """The prompt of each row, where rows have different ones; padded on the right.

    Attributes:
        head: ``[B, H]`` ids before the speech, BOS included.
        head_lengths: ``[B]``.
        suffix: ``[B, K]`` ids after the speech.
        suffix_lengths: ``[B]``.
    """

    head: Tensor
    head_lengths: Tensor
    suffix: Tensor
    suffix_lengths: Tensor

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> RowPrompts:
        """The same prompts on ``device``."""
        return RowPrompts(*(part.to(device, non_blocking=non_blocking) for part in self))


@dataclass(frozen=True)
class SpeechBatch:
    """A batch of (speech, transcript, translation) triples, padded on the right.

    Attributes:
        ids: Utterance ids, B of them.
        audio: Encoder input: waveform ``[B, W]`` or features ``[B, F, M]``; ``[B, 0]`` in text-only batches. The
            encoder's output, ``[B, S, E]``, where ``encoded``.
        audio_lengths: ``[B]`` samples or frames.
        source: Transcript token ids ``[B, T]`` without BOS and EOS.
        source_lengths: ``[B]``; 0 where the row has no transcript (it takes part in CE only).
        target: Translation token ids ``[B, U]`` without BOS and EOS.
        target_lengths: ``[B]``; 0 where the row has no translation (it takes part in the alignment only).
        source_text: Transcripts as text; "" where missing.
        target_text: Reference translations as text.
        words: ``[B, N, 4]`` for each word: its first token, the token after its last, and its start and end as
            fractions of the encoder's input; all 0 after a row's last word. None where no loss needs them.
        encoded: Whether ``audio`` holds encoder states, so that the encoder is not run.
        left_out: Number of rows of the batch that could not be read and are missing.
        part_rows: Part of the training data -> number of its rows here; empty where parts are not distinguished.
        tasks: Task of each row (``aista.data.task_rows``); empty where all rows have the same.
        prompts: The prompt of each row; None where all have the model's own.
        spoken: ``[S]`` the rows with audio, on the CPU; None where all have it. The transcript of the others takes the
            place of the speech.
    """

    ids: tuple[str, ...]
    audio: Tensor
    audio_lengths: Tensor
    source: Tensor
    source_lengths: Tensor
    target: Tensor
    target_lengths: Tensor
    source_text: tuple[str, ...] = field(default=())
    target_text: tuple[str, ...] = field(default=())
    words: Tensor | None = None
    encoded: bool = False
    left_out: int = 0
    part_rows: Mapping[str, int] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    prompts: RowPrompts | None = None
    spoken: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def row_weights(self) -> Tensor:
        """``[B]`` weight of each row: the tokens of its translation, or of its transcript without one; EOS included."""
        return torch.where(self.target_lengths > 0, self.target_lengths, self.source_lengths) + 1

    @cached_property
    def num_targets(self) -> int:
        """Sum of the row weights, by which the loss of the batch is divided."""
        return int(self.row_weights.sum())

    @cached_property
    def num_translated(self) -> int:
        """Tokens of the rows with a translation, over which a mean NLL is taken."""
        return int(self.row_weights.where(self.target_lengths > 0, 0).sum())

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> SpeechBatch:
        """The same batch with its tensors on ``device``; tokens are counted first, on the CPU, without a GPU sync."""
        names = ("audio", "audio_lengths", "source", "source_lengths", "target", "target_lengths")
        moved = {n: getattr(self, n).to(device, non_blocking=non_blocking) for n in names}
        words = None if self.words is None else self.words.to(device, non_blocking=non_blocking)
        prompts = None if self.prompts is None else self.prompts.to(device, non_blocking=non_blocking)
        batch = replace(self, **moved, words=words, prompts=prompts)
        vars(batch).update(num_targets=self.num_targets, num_translated=self.num_translated)
        return batch


class LayerStates(NamedTuple):
    """States of one LLM layer for both modalities.

    Attributes:
        speech: ``[B, P, D]`` states at the speech positions.
        speech_lengths: ``[B]``.
        text: ``[B, T, D]`` states at the transcript's tokens.
        text_lengths: ``[B]``; 0 where the row has no transcript.
    """

    speech: Tensor
    speech_lengths: Tensor
    text: Tensor
    text_lengths: Tensor

    @property
    def present(self) -> Tensor:
        """``[B]`` whether a row has both speech and text."""
        return (self.speech_lengths > 0) & (self.text_lengths > 0)


class RowTerm(NamedTuple):
    """A value per row computed inside the model: an additional loss, or a quantity to log.

    Attributes:
        name: Its name in the logs.
        weight: Factor of the loss beside the cross-entropy per token; 0 if the value is only logged.
        value: ``[B]`` fp32, a mean over the row's tokens or positions; 0 in rows that it does not apply to.
        applies: ``[B]`` bool; the mean that is logged is over these rows.
    """

    name: str
    weight: float
    value: Tensor
    applies: Tensor


class LsmOutput(NamedTuple):
    """Result of one forward pass of the large speech-text model (a pytree, so that FSDP2 can hook it).

    Attributes:
        nll: ``[B]`` summed negative log-likelihood of each row's target tokens and EOS, fp32, nats.
        num_targets: ``[B]`` number of those tokens.
        speech: One ``[B, P, D]`` tensor per captured layer, in the order asked for.
        speech_lengths: ``[B]``.
        text: One ``[B, T, D]`` tensor per captured layer.
        text_lengths: ``[B]``.
        mt_nll: ``[B]`` NLL of the targets given the *transcript*; zeros unless asked for.
        terms: The adapter's own losses.
        vocabulary: ``[C, D]`` embeddings of the tokens asked for.
        divergences: ``[B]`` for each comparison of predictions that was asked for, summed over target tokens.
        readings: One ``[B, T, 2]`` per captured layer where asked for: reciprocal rank and probability of each
            transcript token when the output layer is applied to the speech states.
        embedded: ``[B, P, D]`` output of the adapter, a leaf of the speech branch's graph; None unless its gradient was
            asked for.
    """

    nll: Tensor
    num_targets: Tensor
    speech: tuple[Tensor, ...]
    speech_lengths: Tensor
    text: tuple[Tensor, ...]
    text_lengths: Tensor
    mt_nll: Tensor
    terms: tuple[RowTerm, ...] = ()
    vocabulary: Tensor | None = None
    divergences: tuple[Tensor, ...] = ()
    readings: tuple[Tensor, ...] = ()
    embedded: Tensor | None = None

    def layer(self, index: int) -> LayerStates:
        """The states of the ``index``-th captured layer."""
        return LayerStates(self.speech[index], self.speech_lengths, self.text[index], self.text_lengths)


@dataclass(frozen=True)
class Hypothesis:
    """One decoded sequence.

    Attributes:
        ids: Its tokens without BOS and EOS.
        log_probability: The model's log-probability of the tokens and EOS given the prompt.
        guarded: Whether ``no_repeat_ngram`` changed a step of the search that found it.
    """

    ids: tuple[int, ...]
    log_probability: float
    guarded: bool = False

    @property
    def num_tokens(self) -> int:
        """Its length, EOS included."""
        return len(self.ids) + 1

    def score(self, length_penalty: float) -> float:
        """``log_probability / num_tokens ** length_penalty``, by which hypotheses of a row are ranked."""
        divisor: float = self.num_tokens**length_penalty
        return self.log_probability / divisor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """``[B]`` lengths -> ``[B, size]`` bool mask, True where there is content."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def zero_padding(x_BSE: Tensor, lengths: Tensor) -> Tensor:
    """Set what lies beyond each row's length to zero (NaN and inf too); no gradient flows there."""
    mask_BS = length_mask(lengths, x_BSE.size(1))
    return x_BSE.masked_fill(~mask_BS.view(*mask_BS.shape, *(1,) * (x_BSE.dim() - 2)), 0)
