"""What every length and modality adapter offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["Adapter"]


class Adapter(nn.Module, ABC):
    """Encoder frames -> fewer positions of the LLM's width.

    A component of kind ``adapter`` is called as ``factory(config, *, input_dim, output_dim)``.
    """

    @abstractmethod
    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Adapt a padded batch.

        Args:
            states: ``[B, S, E]`` encoder states.
            lengths: ``[B]``, each at least 1.

        Returns:
            ``[B, P, D]`` speech embeddings and their ``[B]`` lengths, each at least 1. What lies in
            the padding never changes a row's output.
        """

    @abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """The lengths that ``forward`` returns, ``[B]`` -> ``[B]``, without adapting anything."""

    def match_output_scale(self, rms: float) -> None:
        """Give an untrained adapter outputs of this root mean square per coordinate.

        Called once with the RMS of the LLM's token embeddings, so that speech enters the LLM at the
        scale it knows. Does nothing unless the adapter overrides it.
        """
