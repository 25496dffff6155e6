"""Contrastive loss between words: a word's speech must be nearer to its own tokens than to other words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.contrast import transcripts_of
from aista.losses.in_batch import Items, contrast_in_batch, row_means
from aista.losses.sides import row_result, sides
from aista.losses.solvers.pairwise import no_autocast
from aista.losses.words import WordPlaces, word_places
from aista.registry import register
from aista.schema import Options, option
from aista.types import LayerStates

__all__ = ["WordAligned"]

MULTIPLIER = 6364136223846793005  # Knuth's, of linear congruences modulo 2^64


@register("alignment_loss", "word_aligned")
@dataclass(frozen=True, kw_only=True)
class WordAligned(Options, AlignmentLoss):
    """InfoNCE over the words of a batch, located in the speech by given word times (WACO).

    A word's speech is the mean of the states within its time, weighted by overlap; its text the mean of its tokens'
    states. A word w has ``-1/2 log softmax_v(cos(x_w, y_v) / tau)_w - 1/2 log softmax_v(cos(x_v, y_w) /
    tau)_w``, a row the mean over its words. Candidates are the words of the same layer in all rows, except equal words.
    The paper's code uses one direction by default.

    Needs the manifest's column ``word_times`` in training, and an adapter whose positions are even in time; rows and
    words without times are left out. Cost per layer for N words in the batch: ``N^2 D``. Source: Ouyang, Ye & Li 2023
    (WACO, arXiv 2212.09359). Choose it where a forced aligner exists for the transcripts' language and speech is
    scarce: the paper's gains are largest there. ``ot`` finds the matching itself.
    """

    needs = ("transcripts", "words")
    batch_statistic = True

    temperature: float = option(
        0.2, "Temperature of the cosines; a smaller one gives the hardest negatives more weight.", above=0
    )
    gather: bool = option(True, "Gather negatives from all data-parallel processes, not only from this one.")

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        both = sides(states, detach_text=detach_text)
        with no_autocast(both.speech.device):
            words = _words(both, transcripts_of(both, context), context.words)
            loss, best, candidates = self._solve(both, words, context)
            rows = [row_means(values, words.inside_BN) for values in (loss, best, candidates.expand_as(loss))]
        counts = words.inside_BN.sum(1).repeat(context.num_layers)
        return row_result(rows[0], counts > 0, accuracy=rows[1], candidates=rows[2], words=counts)

    def _solve(self, both: LayerStates, words: _Words, context: AlignmentContext) -> tuple[Tensor, Tensor, Tensor]:
        """``[L, B * N]`` loss and share of the directions whose positive is best; ``[B * N]`` candidates."""
        num_items = words.inside_BN.numel()
        x, y = (
            functional.normalize(_pool(states, weights, context.num_layers), dim=-1).view(
                context.num_layers, num_items, 1, states.shape[-1]
            )
            for states, weights in ((both.speech, words.speech_BNP), (both.text, words.text_BNT))
        )
        lengths = words.inside_BN.flatten().long()
        items = Items(x, y, lengths, lengths, words.keys_BN1.flatten(0, 1))
        return contrast_in_batch(items, self.temperature, gather=self.gather)


class _Words(NamedTuple):
    """Places of the words of B rows; N is the maximum number of words in a row."""

    inside_BN: Tensor
    speech_BNP: Tensor  # weights of the speech states
    text_BNT: Tensor  # weights of the tokens
    keys_BN1: Tensor  # equal where two words have the same tokens


def _words(both: LayerStates, transcripts: Tensor, spans: Tensor | None) -> _Words:
    places = word_places(both, spans, len(transcripts))
    text = places.tokens(both.text.shape[1])
    speech = _overlap(places, both.speech.shape[1])
    keys = _keys(places, transcripts)
    return _Words(places.inside_BN, speech * places.inside_BN[..., None], text.to(both.text.dtype), keys)


def _overlap(places: WordPlaces, num_positions: int) -> Tensor:
    """``[B, N, P]`` how much of a speech position, which is one unit long, each word covers."""
    start, stop = places.start_BN[..., None], places.stop_BN[..., None]
    position = torch.arange(num_positions, device=start.device, dtype=start.dtype)
    return (torch.minimum(position + 1, stop) - torch.maximum(position, start)).clamp_min(0)


def _keys(places: WordPlaces, transcripts: Tensor) -> Tensor:
    """``[B, N, 1]`` a polynomial of each word's token ids, modulo 2^64, by which equal words are known.

    Two other words share one with a chance of about 2^-64. Ids themselves would be as wide as the longest word, which
    the host would have to wait for.
    """
    inside_BNT = places.tokens(transcripts.shape[1])
    powers_T = torch.full(transcripts.shape[1:], MULTIPLIER, device=transcripts.device).cumprod(0)
    number_BNT = torch.arange(len(powers_T), device=transcripts.device) - places.first_BN[..., None]  # in the word
    terms_BNT = (transcripts[:, None] + 1) * powers_T[number_BNT.clamp_min(0)]
    return terms_BNT.masked_fill(~inside_BNT, 0).sum(-1, keepdim=True)


def _pool(states: Tensor, weights_BNP: Tensor, num_layers: int) -> Tensor:
    """``[L * B, P, D]`` -> ``[L, B, N, D]`` weighted means; 0 where all weights are."""
    states_LBPD = states.view(num_layers, len(states) // num_layers, *states.shape[1:])
    total = weights_BNP.sum(-1, keepdim=True)
    return (weights_BNP @ states_LBPD) / total.masked_fill(total == 0, 1)
