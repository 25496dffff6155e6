"""Contrastive loss between tokens, or short runs of tokens, located in the speech by a guide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.contrast import transcript_keys, transcripts_of
from aista.losses.guides.base import Guidance, Guide
from aista.losses.in_batch import Items, contrast_in_batch, row_means
from aista.losses.sides import row_result, sides
from aista.losses.solvers.pairwise import no_autocast
from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.types import LayerStates

__all__ = ["TokenContrast", "TokenContrastConfig"]


@dataclass(frozen=True, kw_only=True)
class TokenContrastConfig(Options):
    """Options of the contrast between tokens."""

    guide: Component = component("guide", "monotone", "Guide to the position of each token in the speech.")
    span: int = option(
        1,
        "Number of consecutive tokens compared as one; choose more than 1 if tokens are parts of words.",
        minimum=1,
        maximum=64,
    )
    temperature: float = option(
        0.2, "Temperature of the cosines; a smaller one gives the hardest negatives more weight.", above=0
    )
    gather: bool = option(True, "Gather negatives from all data-parallel processes, not only from this one.")


@register("alignment_loss", "token_contrast", config=TokenContrastConfig)
class TokenContrast(AlignmentLoss):
    """InfoNCE over the tokens of a batch, located in the speech by a guide: ``word_aligned`` without word times.

    An item is a run of ``span`` consecutive tokens (of all in a shorter row); runs overlap. Its text is the mean of
    its tokens' states, its speech the mean of the positions by the guide's weights,
    ``x_i = sum_p w_pi h_p / sum_p w_pi``, ``w_pi = sum_{t in i} w_pt``, which are constants: the guide locates a
    token, the contrast makes the speech there similar to it and dissimilar to others. Item i has
    ``-1/2 log softmax_v(cos(x_i, y_v) / tau)_i - 1/2 log softmax_v(cos(x_v, y_i) / tau)_i``, a row the mean over its
    items. Candidates are the items of the same layer in all rows, except equal ones. Tokens unknown to the guide are
    left out. Guide and states improve together: better states give a sharper guide.

    Cost per layer for N tokens in the batch: ``N^2 D`` and the guide's. The contrast is that of WACO (Ouyang, Ye & Li
    2023, arXiv 2212.09359), which has words at given times; guides and runs are aista's choice. Choose it where word
    times are not available, or with the guide ``times`` where they are inexact; on the embedded corpus it came close to
    ``word_aligned`` with exact times (docs/evidence/sharper_alignment.md, exploratory).
    """

    needs: tuple[str, ...] = ("transcripts",)
    batch_statistic = True

    def __init__(self, config: TokenContrastConfig) -> None:
        self.config = config
        self.guide = cast(Guide, build("guide", config.guide, at="guide"))
        self.needs = tuple(dict.fromkeys((*type(self).needs, *self.guide.needs)))

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        both = sides(states, detach_text=detach_text)
        with no_autocast(both.speech.device):
            transcripts = transcripts_of(both, context)
            guidance = self.guide(both, context)
            known_BT = guidance.known_RT.view(context.num_layers, len(transcripts), both.text.shape[1]).all(0)
            inside_BT = _starts(known_BT, both.text_lengths[: len(transcripts)], self.config.span)
            items = self._items(both, guidance.weights_RPT.mT, inside_BT, transcripts, context.num_layers)
            loss, best, candidates = contrast_in_batch(items, self.config.temperature, gather=self.config.gather)
            rows = [row_means(values, inside_BT) for values in (loss, best, candidates.expand_as(loss))]
        counts = inside_BT.sum(1).repeat(context.num_layers)
        peak = _peak(guidance)
        return row_result(rows[0], counts > 0, accuracy=rows[1], candidates=rows[2], items=counts, peak=peak)

    def _items(
        self, both: LayerStates, weights_RTP: Tensor, inside_BT: Tensor, transcripts: Tensor, num_layers: int
    ) -> Items:
        """The run that starts at each token of each row; absent where ``inside_BT`` says so."""
        span, num_tokens = self.config.span, inside_BT.shape[1]
        weights_RTP = _runs(weights_RTP.to(both.speech.dtype), span).sum(-1)
        total = weights_RTP.sum(-1, keepdim=True)
        speech_RTD = (weights_RTP @ both.speech) / total.masked_fill(total == 0, 1)
        text_RTD = _runs(both.text, span).sum(-1)  # the cosine ignores by how many it is divided
        x, y = (
            functional.normalize(side, dim=-1).view(num_layers, inside_BT.numel(), 1, side.shape[-1])
            for side in (speech_RTD, text_RTD)
        )
        lengths = inside_BT.flatten().long()
        ids = transcript_keys(transcripts, both.text_lengths[: len(transcripts)])
        ids = functional.pad(ids, (0, num_tokens - ids.shape[1]))  # a negative number cuts off
        return Items(x, y, lengths, lengths, _runs(ids[..., None], span).reshape(len(lengths), span))


def _runs(values_BTX: Tensor, span: int) -> Tensor:
    """``[B, T, X]`` -> ``[B, T, X, span]`` the values of a token and of those behind it; 0 behind the last."""
    if not values_BTX.numel():  # padding and unfolding refuse what is empty
        return values_BTX[..., None].expand(*values_BTX.shape, span)
    return functional.pad(values_BTX, (0, 0, 0, span - 1)).unfold(1, span, 1)


def _starts(known_BT: Tensor, lengths_B: Tensor, span: int) -> Tensor:
    """``[B, T]`` the tokens at which a run starts: all of it is known, and it is ``span`` long or the whole row."""
    size = torch.minimum(lengths_B, torch.full_like(lengths_B, span))[:, None]
    num_known = _runs(known_BT[..., None].long(), span).sum((-2, -1))
    return (num_known == size) & (size > 0)


def _peak(guidance: Guidance) -> Tensor:
    """``[R]`` the largest weight of a token, mean over the row's tokens: how sharp the guide is."""
    weights, known = guidance
    peaks = weights.amax(1) if weights.shape[1] else weights.sum(1)
    return torch.where(known, peaks, 0).sum(-1) / known.sum(-1).clamp_min(1)
