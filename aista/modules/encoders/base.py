"""What every speech encoder offers."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

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
    """Audio or features -> frame states.

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

    expected_input: ExpectedInput | None = None
    """What the weights were trained on; None where they are trained from scratch."""

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """The blocks, for activation checkpointing and FSDP sharding."""

    @abstractmethod
    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a padded batch.

        Args:
            audio: ``[B, W]`` waveform or ``[B, F, M]`` features.
            lengths: ``[B]`` samples or frames.

        Returns:
            ``[B, S, E]`` states and their ``[B]`` lengths. What lies in the padding never changes
            a row's states.

        Raises:
            DataError: a row's length is outside ``length_range``.
        """

    @abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """The lengths that ``forward`` returns, ``[B]`` -> ``[B]``, without encoding anything.

        Rows that would not fit into the language model are found with it before training starts.
        """
