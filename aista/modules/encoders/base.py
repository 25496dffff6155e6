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
    """The input that pretrained weights were trained on; a run with another feature is refused before training.

    Attributes:
        content: Kind of features, as in ``aista.data.features.base.Feature.content``.
        sample_rate: Sample rate of the waveforms in Hz.
        remedy: The value of ``data.feature`` that gives this input, as written in a config.
    """

    content: str
    sample_rate: int
    remedy: str


class SpeechEncoder(nn.Module, ABC):
    """Audio or features -> frame states. A subclass implements ``encode``, ``output_lengths`` and ``layers``.

    A component of kind ``encoder`` is called as ``factory(config, *, feature_dim)``; ``feature_dim``
    is the channels M of the configured features, or 0 for raw waveforms. It raises ValueError if it
    cannot take such input. Options that name pretrained weights have a method ``skeleton(*, feature_dim)``:
    the same encoder with arbitrary weights, which an export fills; the pretrained weights are not read. It works on the
    meta device too.
    """

    output_dim: int
    """Width E of the frame states."""

    length_range: tuple[int, int] = (1, sys.maxsize)
    """Minimum and maximum length of the input of ``forward``, in frames or samples."""

    max_length_option: str | None = None
    """The option that sets the maximum length, for the message about a longer row."""

    expected_input: ExpectedInput | None = None
    """The input that the weights were trained on; None for training from scratch."""

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
        """Like ``forward``, with lengths inside ``length_range`` and ``audio`` zero in the padding."""

    @abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Compute the lengths that ``forward`` returns, ``[B]`` -> ``[B]``, without running it.

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
