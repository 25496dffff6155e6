"""Interface of augmentations."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["Augmentation"]


class Augmentation(ABC):
    """A random change of training input.

    A component of kind ``augmentation`` is called as ``factory(config)``. All its randomness comes
    from the given generator, which the dataset seeds from (seed, epoch, utterance id), so that neither
    the number of workers nor resuming changes a batch. It must be picklable.
    """

    needs_frames: bool = True
    """Whether it works on ``[F, M]`` frames only, not on waveforms."""

    @abstractmethod
    def __call__(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Change one utterance.

        Args:
            features: ``[F, M]`` frames, or a ``[W]`` waveform where ``needs_frames`` is False. Not to
                be changed in place.
            generator: The only source of randomness.

        Returns:
            The changed input, with the same number of dimensions and channels.
        """
