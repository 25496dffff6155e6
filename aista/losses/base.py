"""What every alignment loss takes and gives back."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from aista.types import LayerStates

__all__ = ["AlignmentLoss", "AlignmentResult"]


class AlignmentResult(NamedTuple):
    """The alignment loss of one layer.

    Attributes:
        per_utterance_B: ``[B]`` fp32 loss of each row; 0 with zero gradient where a row has no transcript or no speech.
        diagnostics: Detached scalars for the log, averaged over the rows that take part.
    """

    per_utterance_B: Tensor
    diagnostics: dict[str, Tensor]


class AlignmentLoss(Protocol):
    """A component of kind ``alignment_loss``, called as ``factory(config)``. It has no parameters."""

    def __call__(self, states: LayerStates, *, detach_text: bool = True) -> AlignmentResult:
        """Compare the two modalities of one layer.

        Args:
            states: Padded states of both modalities; what lies in the padding must not matter.
            detach_text: Whether the text side is a fixed target that receives no gradient.
        """
        ...
