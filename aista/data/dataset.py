"""Manifest rows -> examples."""

from __future__ import annotations

import copy
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from aista.data.audio import one_thread, read_audio
from aista.data.augmentations.base import Augmentation
from aista.data.examples import Example, PromptPair, collate
from aista.data.features.base import Feature
from aista.data.manifest_rows import Row, Rows
from aista.data.mixture import Mixture
from aista.data.row_checks import FaultyRowError, RowChecks
from aista.data.row_tasks import is_text_row
from aista.data.tokenizers.base import TextTokenizer
from aista.data.word_times import WordSpan, word_spans
from aista.errors import DataError
from aista.types import SpeechBatch

__all__ = ["SpeechTextDataset"]

_CHARACTERS_PER_SECOND = 15.0


class SpeechTextDataset:
    """Rows of a manifest as examples.

    An example is a function of (row, seed, epoch): neither the process that computes it nor the
    number of threads changes a bit.

    Args:
        rows: Rows to serve.
        base: Folder that relative audio paths start from.
        feature: Turns waveforms into input; None serves the texts alone (language-model training).
        tokenizer: Encodes transcripts and translations.
        augmentation: Changes features, in training only: leave it out in evaluation.
        seed: With the epoch and the row's id, the seed of the augmentation.
        words: Say where the words lie, from the column ``word_times``.
        cache: Keep features in memory, before augmentation. Worker processes would each keep their own.

    Raises:
        DataError: the augmentation needs frames and the feature gives waveforms.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        base: Path,
        feature: Feature | None,
        tokenizer: TextTokenizer,
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        words: bool = False,
        cache: bool = False,
    ) -> None:
        if augmentation is not None and augmentation.needs_frames and feature is not None and feature.dim == 0:
            raise DataError(
                f"data.augmentation: {type(augmentation).__name__} changes frames, got the feature "
                f"{type(feature).__name__}, which gives waveforms; choose data.feature log_mel or no augmentation"
            )
        self.rows = Rows.of(rows)
        self.feature = feature
        self.tokenizer = tokenizer
        self._base = base
        self._augmentation = augmentation
        self._seed = seed
        self._words = words
        self._states: Callable[[Row], Tensor] | None = None
        self._checks: RowChecks | None = None
        self._mixture: Mixture | None = None
        self._prompts: Callable[[Row, int], PromptPair] | None = None
        self._has_wordings = False
        self._cache: dict[int, Tensor] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.rows)

    def with_rows(self, rows: Sequence[Row]) -> SpeechTextDataset:
        """The same dataset over other rows of the same manifest."""
        other = copy.copy(self)
        other.rows = Rows.of(rows)
        other._mixture = None  # its parts and the cache's keys are places in the rows
        other._cache = None if self._cache is None else {}
        return other

    def texts_alone(self) -> SpeechTextDataset:
        """The same rows without their audio, which is not read."""
        other = copy.copy(self)
        other.feature, other._augmentation, other._states = None, None, None
        return other

    def with_states(self, states: Callable[[Row], Tensor]) -> SpeechTextDataset:
        """The same dataset with ``[S, E]`` encoder states of each row in place of its audio, which is not read."""
        other = copy.copy(self)
        other._states = states
        return other

    def with_checks(self, checks: RowChecks | None) -> SpeechTextDataset:
        """The same dataset, which checks rows as it reads them; None leaves that out."""
        other = copy.copy(self)
        other._checks = checks
        return other

    def with_parts(self, mixture: Mixture) -> SpeechTextDataset:
        """The same dataset, with batches that count their rows of each part of the mixture."""
        other = copy.copy(self)
        other._mixture = mixture
        return other

    def with_prompts(self, prompts: Callable[[Row, int], PromptPair], *, wordings: bool) -> SpeechTextDataset:
        """The same dataset, with a prompt for each row.

        Args:
            prompts: Called with a row and a number that chooses among the wordings of its prompt.
            wordings: Choose another one in each epoch, by seed, epoch and row; else always the first.
        """
        other = copy.copy(self)
        other._prompts, other._has_wordings = prompts, wordings
        return other

    def with_words(self) -> SpeechTextDataset:
        """The same dataset, with places of words in its batches if its tokenizer has character offsets."""
        other = copy.copy(self)
        other._words = type(self.tokenizer).offsets is not TextTokenizer.offsets
        return other

    def lengths(self) -> NDArray[np.float64]:
        """Lengths by which batches are sorted: seconds of each row, or tokens of its texts without audio.

        Texts among rows with audio count as the seconds that take about as long to say.
        """
        if self.feature is not None:
            return _with_spoken_texts(self.rows)
        encode = self.tokenizer.encode
        texts = zip(self.rows.texts("src_text"), self.rows.texts("tgt_text"), strict=True)
        return np.array([float(len(encode(source)) + len(encode(target))) for source, target in texts])

    def example(self, index: int, epoch: int) -> Example:
        """The row ``index`` as it is in ``epoch``; where parts are mixed, in that pass of its part.

        Raises:
            DataError: its audio is missing, undecodable, or longer than the feature takes, or its states are damaged,
                or the row does not stand the checks.
        """
        row = self.rows[index]
        if self.feature is not None and is_text_row(row.task):
            audio = self._no_audio(row)
        elif self._states is not None:
            audio = self._states(row)
        else:
            audio = self._no_audio(row) if self.feature is None else self._audio(index, row, self.feature, epoch)
        source, target = self.tokenizer.encode(row.src_text), self.tokenizer.encode(row.tgt_text)
        part = "" if self._mixture is None else self._mixture.names[self._mixture.part[index]]
        texts = (row.src_text, row.tgt_text)
        return Example(
            row.id, audio, source, target, *texts, self._spans(row), part, row.task, self._prompt(row, epoch)
        )

    def batch(self, indices: Sequence[int], epoch: int) -> SpeechBatch:
        """The rows ``indices`` as a padded batch."""
        return self.collate([self.example(index, epoch) for index in indices])

    def collate(self, examples: Sequence[Example]) -> SpeechBatch:
        """Examples of this dataset as a padded batch."""
        batch = collate(examples, self.tokenizer.pad_id, encoded=self._states is not None)
        if self._mixture is None:
            return batch
        counts = Counter(example.part for example in examples)
        return replace(batch, part_rows={name: counts[name] for name in self._mixture.names})

    def _prompt(self, row: Row, epoch: int) -> PromptPair | None:
        if self._prompts is None:
            return None
        draw = _random_number(self._seed, epoch, f"prompt {row.task} {row.id}") if self._has_wordings else 0
        return self._prompts(row, draw)

    def _spans(self, row: Row) -> tuple[WordSpan, ...]:
        if not self._words or self.feature is None:
            return ()
        seconds = self.feature.covered_seconds(row.seconds)
        return tuple(word_spans(row.src_text, row.word_times, self.tokenizer, seconds))

    def _audio(self, index: int, row: Row, feature: Feature, epoch: int) -> Tensor:
        with one_thread():
            audio = self._cache.get(index) if self._cache is not None else None
            if audio is None:
                audio = self._features(row, feature)
                if self._cache is not None:
                    self._cache[index] = audio
            if self._augmentation is None:
                return audio
            return self._augmentation(audio, _generator(self._seed, epoch, row.id))

    def _no_audio(self, row: Row) -> Tensor:
        self._check(row, 0.0)
        return torch.zeros(0)

    def _check(self, row: Row, seconds: float) -> None:
        findings = [] if self._checks is None else self._checks.of_read_row(row, seconds)
        if findings:
            raise FaultyRowError(findings)

    def _features(self, row: Row, feature: Feature) -> Tensor:
        if not row.audio:
            raise DataError(
                f"row {row.id!r}: must name an audio file here, got a text-only row; take it out or add audio"
            )
        longest = math.inf if self._checks is None else self._checks.config.max_seconds
        wave_W = read_audio(row.audio, self._base, feature.sample_rate, max_seconds=longest)
        self._check(row, len(wave_W) / feature.sample_rate)
        try:
            return feature(wave_W)
        except ValueError as error:
            raise DataError(f"row {row.id!r}: {row.audio}: {error}") from error


def _with_spoken_texts(rows: Rows) -> NDArray[np.float64]:
    """``[rows]`` durations in seconds; for text rows, an estimate from their transcripts."""
    seconds, has_audio = rows.seconds(), rows.is_filled("audio")
    if has_audio.all():
        return seconds
    characters = pc.utf8_length(rows.column("src_text")).to_numpy()
    return np.where(has_audio, seconds, characters / _CHARACTERS_PER_SECOND)


def _generator(seed: int, epoch: int, id: str) -> torch.Generator:
    return torch.Generator().manual_seed(_random_number(seed, epoch, id))


def _random_number(seed: int, epoch: int, id: str) -> int:
    digest = hashlib.blake2b(f"{seed}:{epoch}:{id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
