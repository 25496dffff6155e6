"""Cosine distance between pooled states, or token by token after even resampling of the speech."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn import functional

from aista.losses._regression import LEVEL_HELP, LEVELS, compared
from aista.losses._rows import result, row_mean
from aista.losses.base import AlignmentResult
from aista.losses.ot.pairwise import no_autocast
from aista.registry import register
from aista.schema import option
from aista.types import LayerStates

__all__ = ["CosineAlignment", "CosineAlignmentConfig"]


@dataclass(frozen=True, kw_only=True)
class CosineAlignmentConfig:
    """Options of the cosine loss."""

    level: str = option("mean", LEVEL_HELP, choices=LEVELS)


@register("alignment_loss", "cosine", config=CosineAlignmentConfig)
class CosineAlignment:
    """Cosine distance ``1 - <u, v> / (|u| |v|)`` of the two sides, in [0, 2], whatever the batch size.

    ``u`` and ``v`` are the sides' pooled states; at level ``token`` the mean distance of each text state to
    the speech state at the same share of the utterance. Cost: one pass over the states. No published method
    by itself; pooled, the positive term of ConST (Ye et al. 2022, arXiv 2205.02444) alone.

    Choose it as the simplest baseline. Pooled, it leaves open which state matches which, and nothing keeps
    all utterances from collapsing to one point where the text side moves too (``infonce`` does); at token
    level it trusts an even speaking rate (``soft_dtw`` and ``ot`` search the matching).
    """

    def __init__(self, config: CosineAlignmentConfig) -> None:
        self.level = config.level

    def __call__(self, states: LayerStates, *, detach_text: bool = True) -> AlignmentResult:
        """Return each row's distance; see ``AlignmentLoss``."""
        with no_autocast(states.speech.device):
            u, v, lengths = compared(states, self.level, detach_text=detach_text)
            present = (states.speech_lengths > 0) & (states.text_lengths > 0)
            return result(row_mean(1 - functional.cosine_similarity(u, v, dim=-1, eps=1e-12), lengths), present)
