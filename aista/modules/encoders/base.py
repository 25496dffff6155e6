"""Base class of speech encoders."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from aista.errors import DataError
from aista.types import zero_padding

__all__ = ["ExpectedInput", "SpeechEncoder"]


class ExpectedInput(NamedTuple):
    """What pretrained weights were trained on; a run with another feature is refused before it trains.

    Attributes:
        content: What the numbers are, as ``aista.data.features.base.Feature.content`` says it.
        sample_rate: Rate in Hz of the waveforms behind them.
        remedy: The value of ``data.feature`` that gives it, as a user writes it.
    """

    content: str
    sample_rate: int
    remedy: str


class SpeechEncoder(nn.Module, ABC):
    """Audio or features -> frame states. A subclass implements ``encode``, ``output_lengths`` and ``layers``.

    A component of kind ``encoder`` is called as ``factory(config, *, feature_dim)``; ``feature_dim``
    is the channels M of the configured features, or 0 for raw waveforms. It raises ValueError if it
    cannot take such input. Options that name pretrained weights have a method ``skeleton(*, feature_dim)``:
    the same encoder with arbitrary weights, built without theirs, which an exported folder fills. It works on the meta
    device too.
    """

    output_dim: int
    """Width E of the frame states."""

    length_range: tuple[int, int] = (1, sys.maxsize)
    """Shortest and longest input that ``forward`` takes, in frames or samples."""

    max_length_option: str | None = None
    """The option that sets the longest input, for the message about a longer row."""

    expected_input: ExpectedInput | None = None
    """What the weights were trained on; None where they are trained from scratch."""

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """The blocks, for activation checkpointing and FSDP sharding."""

    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a padded batch, its lengths checked and its padding cleared.

        Args:
            audio: ``[B, W]`` waveform or ``[B, F, M]`` features.
            lengths: ``[B]`` samples or frames.

        Returns:
            ``[B, S, E]`` states and their ``[B]`` lengths. The content of the padding never changes
            a row's states.

        Raises:
            DataError: a row's length is outside ``length_range``.
        """
        self._check_lengths(lengths.tolist(), "samples" if audio.dim() == 2 else "feature frames")
        return self.encode(zero_padding(audio, lengths), lengths)

    @abstractmethod
    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As ``forward``; the lengths lie inside ``length_range`` and ``audio`` is zero in the padding."""

    @abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """The lengths that ``forward`` returns, ``[B]`` -> ``[B]``, without encoding anything.

        Rows that would not fit into the language model are found with it before training starts.
        """

    def _check_lengths(self, lengths: list[int], unit: str) -> None:
        minimum, maximum = self.length_range
        for row, length in enumerate(lengths):
            if length < minimum:
                rule = f"at least {minimum}; drop the row, or raise data.min_seconds"
            elif length > maximum:
                option = f", raise {self.max_length_option}" if self.max_length_option else ""
                rule = f"at most {maximum}; drop the row{option}, or lower data.max_seconds"
            else:
                continue
            raise DataError(f"row {row} of the batch has {length} {unit}; the encoder takes {rule}")
