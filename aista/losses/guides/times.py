"""A guide by word times of the manifest, with soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aista.losses.base import AlignmentContext
from aista.losses.contrast import transcripts_of
from aista.losses.guides.base import Guidance, Guide
from aista.losses.words import word_places
from aista.registry import register
from aista.schema import Options, option
from aista.types import LayerStates, length_mask

__all__ = ["Times"]


@register("guide", "times")
@dataclass(frozen=True, kw_only=True)
class Times(Options, Guide):
    """Word times from the manifest, with soft edges that reflect the times' uncertainty.

    ``w_pt = exp(-d^2 / (2 width^2))``, where d is the distance, in positions, of position p's centre from the span of
    the word that token t belongs to: 1 inside, by a Gaussian lower outside. All tokens of a word share its span.
    Tokens of words without times are unknown.

    Needs the manifest's column ``word_times`` in training, and an adapter whose positions are even in time.
    Cost per row: ``P T``. Choose it where a forced aligner works; ``word_aligned`` compares whole words inside hard
    edges.
    """

    needs = ("transcripts", "words")

    width: float = option(
        1.0, "Softness of a word's edges: standard deviation of the times' error, in speech positions.", minimum=0.1
    )

    def __call__(self, states: LayerStates, context: AlignmentContext) -> Guidance:
        num_rows = len(transcripts_of(states, context))
        dtype = torch.promote_types(states.speech.dtype, torch.float32)
        words = word_places(states._replace(speech=states.speech.detach().to(dtype)), context.words, num_rows)
        centre = torch.arange(states.speech.shape[1], device=states.speech.device, dtype=dtype) + 0.5
        gap_BNP = torch.maximum(words.start_BN[..., None] - centre, centre - words.stop_BN[..., None]).clamp_min(0)
        tokens_BNT = words.tokens(states.text.shape[1]) & words.inside_BN[..., None]
        weights_BPT = (-0.5 * (gap_BNP / self.width).square()).exp().mT @ tokens_BNT.to(dtype)
        weights, known = (z.repeat(context.num_layers, *[1] * (z.dim() - 1)) for z in (weights_BPT, tokens_BNT.any(1)))
        return Guidance(_inside(weights, states), known)


def _inside(weights_RPT: Tensor, states: LayerStates) -> Tensor:
    inside_RP = length_mask(states.speech_lengths, weights_RPT.shape[1])
    return weights_RPT.clamp_max(1).masked_fill(~inside_RP[:, :, None], 0)
