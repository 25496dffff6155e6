"""SpecAugment: random masks over time and frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from aista.data.augmentations.base import Augmentation
from aista.registry import register
from aista.schema import Options, option

__all__ = ["SpecAugment"]


@register("augmentation", "spec_augment")
@dataclass(frozen=True, kw_only=True)
class SpecAugment(Options, Augmentation):
    """SpecAugment (Park et al. 2019): masks blocks of frames and of channels, without time warping.

    A mask's width is ``floor(u * limit)``, u uniform in [0, 1), and its start is uniform where it
    fits, as in ``torchaudio.functional.mask_along_axis``, but drawn from the given generator. ``limit``
    is the option's width; for time (and time alone) at most ``max_time_fraction`` of the frames.

    Choose it for encoders trained or tuned on little data. Before a frozen encoder it keeps the adapter from memorising
    a small corpus, but its states cannot be cached then. Source: park2019specaugment.
    """

    num_time_masks: int = option(2, "Masks over time.", minimum=0, maximum=1_000)
    max_time_width: int = option(50, "Upper bound of a time mask's width in frames.", minimum=1, maximum=1_000_000)
    max_time_fraction: float = option(
        0.2, "Upper bound of a time mask's width as a fraction of the utterance.", above=0, maximum=1
    )
    num_frequency_masks: int = option(2, "Masks over frequency.", minimum=0, maximum=1_000)
    max_frequency_width: int = option(
        27, "Upper bound of a frequency mask's width in channels.", minimum=1, maximum=1_000_000
    )
    fill: Literal["mean", "zero"] = option("mean", "Value of masked entries: the utterance's mean, or 0.")

    def __call__(self, features: Tensor, generator: torch.Generator) -> Tensor:
        num_frames, num_channels = features.shape
        fill = features.mean() if self.fill == "mean" else features.new_zeros(())
        mask_FM = torch.zeros(num_frames, num_channels, dtype=torch.bool)
        time_limit = min(self.max_time_width, int(num_frames * self.max_time_fraction))
        frequency_limit = min(self.max_frequency_width, num_channels)
        for _ in range(self.num_time_masks):
            start, end = _draw(num_frames, time_limit, generator)
            mask_FM[start:end] = True
        for _ in range(self.num_frequency_masks):
            start, end = _draw(num_channels, frequency_limit, generator)
            mask_FM[:, start:end] = True
        return torch.where(mask_FM, fill, features)


def _draw(size: int, limit: int, generator: torch.Generator) -> tuple[int, int]:
    if limit < 1:
        return 0, 0
    width = torch.rand(1, generator=generator) * limit
    start = torch.rand(1, generator=generator) * (size - width)
    return int(start), int(start) + int(width)
