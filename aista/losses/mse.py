"""Mean squared error between pooled states, or token by token after even resampling of the speech."""

from __future__ import annotations

from dataclasses import dataclass

from aista.losses._regression import LEVEL_HELP, LEVELS, compared
from aista.losses._rows import result, row_mean
from aista.losses.base import AlignmentResult
from aista.losses.ot.pairwise import no_autocast
from aista.registry import register
from aista.schema import option
from aista.types import LayerStates

__all__ = ["MSEAlignment", "MSEAlignmentConfig"]


@dataclass(frozen=True, kw_only=True)
class MSEAlignmentConfig:
    """Options of the squared error."""

    level: str = option("mean", LEVEL_HELP, choices=LEVELS)


@register("alignment_loss", "mse", config=MSEAlignmentConfig)
class MSEAlignment:
    """Squared error ``|u - v|^2 / D`` of the two sides, per channel, whatever the batch size.

    ``u`` and ``v`` as in ``cosine``. Cost: one pass over the states. Source: Liu et al. 2020 ("Bridging the
    Modality Gap for Speech-to-Text Translation", arXiv 2010.14920), who shrink the speech to the text's length by a
    learned mechanism; the even resampling in its place is aista's choice.

    Choose it over ``cosine`` where the speech states should take the text states' norms as well, as the
    embeddings that enter an LLM's first block. Its scale is that of the layer: tune the weight per layer.
    """

    def __init__(self, config: MSEAlignmentConfig) -> None:
        self.level = config.level

    def __call__(self, states: LayerStates, *, detach_text: bool = True) -> AlignmentResult:
        """Return each row's error; see ``AlignmentLoss``."""
        with no_autocast(states.speech.device):
            u, v, lengths = compared(states, self.level, detach_text=detach_text)
            present = (states.speech_lengths > 0) & (states.text_lengths > 0)
            return result(row_mean((u - v).square().mean(-1), lengths), present)
