"""Encoded utterances, and padded batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aista.data.row_tasks import is_text_row
from aista.data.word_times import WordSpan
from aista.types import RowPrompts, SpeechBatch

__all__ = ["Example", "PromptPair", "collate", "pad_prompts"]

PromptPair = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids before the speech, BOS included, and after it."""


@dataclass(frozen=True)
class Example:
    """One encoded utterance, before padding.

    Attributes:
        id: Utterance id.
        audio: ``[F, M]`` features or ``[W]`` waveform; ``[0]`` without audio; ``[S, E]`` stored encoder states.
        source: Transcript's token ids; empty where there is none.
        target: Translation's token ids.
        source_text: Transcript.
        target_text: Translation.
        words: Places of the transcript's words; empty where unknown or not asked for.
        part: Part of the training data; "" where parts are not distinguished.
        task: Task of the row; "" where all rows have the same.
        prompt: Token ids before the speech, BOS included, and behind it; None for the model's own prompt.
    """

    id: str
    audio: Tensor
    source: list[int]
    target: list[int]
    source_text: str
    target_text: str
    words: tuple[WordSpan, ...] = ()
    part: str = ""
    task: str = ""
    prompt: PromptPair | None = None


def collate(examples: Sequence[Example], pad_id: int, *, encoded: bool = False) -> SpeechBatch:
    """Pad examples on the right: audio with 0, texts with ``pad_id``. Without audio, ``audio`` is ``[B, 0]``."""
    is_text = [is_text_row(example.task) for example in examples]
    return SpeechBatch(
        ids=tuple(example.id for example in examples),
        audio=_pad_audio([example.audio for example in examples]),
        audio_lengths=torch.tensor([len(example.audio) for example in examples]),
        source=_pad_ids([example.source for example in examples], pad_id),
        source_lengths=torch.tensor([len(example.source) for example in examples]),
        target=_pad_ids([example.target for example in examples], pad_id),
        target_lengths=torch.tensor([len(example.target) for example in examples]),
        source_text=tuple(example.source_text for example in examples),
        target_text=tuple(example.target_text for example in examples),
        words=_pad_words([example.words for example in examples]),
        encoded=encoded,
        tasks=tuple(example.task for example in examples) if any(example.task for example in examples) else (),
        prompts=pad_prompts([example.prompt for example in examples], pad_id),
        spoken=torch.tensor([row for row, without in enumerate(is_text) if not without]) if any(is_text) else None,
    )


def _pad_audio(rows: Sequence[Tensor]) -> Tensor:
    """Rows without audio get as many columns as the others have."""
    shape = next((row.shape[1:] for row in rows if len(row)), torch.Size())
    return pad_sequence([row if len(row) else row.new_zeros(0, *shape) for row in rows], batch_first=True)


def pad_prompts(prompts: Sequence[PromptPair | None], pad_id: int) -> RowPrompts | None:
    """The prompts of a batch's rows; None where one of them has none."""
    pairs = [prompt for prompt in prompts if prompt is not None]
    if len(pairs) < len(prompts) or not pairs:
        return None
    heads, suffixes = zip(*pairs, strict=True)
    lengths = (torch.tensor([len(ids) for ids in side]) for side in (heads, suffixes))
    head, suffix = (_pad_ids(side, pad_id) for side in (heads, suffixes))
    head_lengths, suffix_lengths = lengths
    return RowPrompts(head, head_lengths, suffix, suffix_lengths)


def _pad_ids(sequences: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    rows = [torch.tensor(sequence, dtype=torch.int64) for sequence in sequences]
    return pad_sequence(rows, batch_first=True, padding_value=pad_id)


def _pad_words(rows: Sequence[Sequence[WordSpan]]) -> Tensor | None:
    if not any(rows):
        return None
    return pad_sequence([torch.tensor(words, dtype=torch.float32).view(-1, 4) for words in rows], batch_first=True)
