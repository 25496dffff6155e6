"""Interface of tunings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

__all__ = ["Tuning"]


class Tuning(ABC):
    """Which parameters of one part of the model (encoder, adapter or LLM) are trained.

    A component of kind ``tuning`` is called as ``factory(config)``. It never changes the function of an untrained part.
    """

    def prepare(self, part: nn.Module) -> None:  # noqa: B027 - most tunings add nothing
        """Add parameters to the newly built part, such as LoRA's; called once.

        Does nothing unless the tuning overrides it.

        Raises:
            ValueError: the part lacks the modules that the options name.
        """

    @abstractmethod
    def trainable(self, part: nn.Module) -> Sequence[nn.Parameter]:
        """The parameters of a prepared part that are trained; all others of the part stay as they are.

        Raises:
            ValueError: the part lacks the modules that the options name.
        """

    def merge(self, part: nn.Module) -> None:  # noqa: B027 - most tunings add nothing
        """Undo ``prepare`` on a trained part: what it added goes into the part's own weights.

        Raises:
            ValueError: the merged weights are not finite.
        """

    def starting_weights(self, part: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights that another run trained, under the names that they have in the prepared part.

        Args:
            part: The prepared part.
            weights: State of the same part, either prepared in the same way or as it was built.
        """
        return weights
