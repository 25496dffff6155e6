"""Contrastive loss: a row's speech must be nearer to its own transcript than to the others of the batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.contrast import transcript_keys, transcripts_of
from aista.losses.in_batch import Items, contrast_in_batch
from aista.losses.sides import POOLINGS, row_result, sides
from aista.losses.solvers.pairwise import no_autocast
from aista.pooling import pool
from aista.registry import register
from aista.schema import Options, option
from aista.types import LayerStates

__all__ = ["InfoNCE"]


@register("alignment_loss", "infonce")
@dataclass(frozen=True, kw_only=True)
class InfoNCE(Options, AlignmentLoss):
    """InfoNCE over the utterances of a batch: speech retrieves its own transcript, and the transcript its speech.

    ``l_i = -1/2 log softmax_j(s(x_i, y_j) / tau)_i - 1/2 log softmax_j(s(x_j, y_i) / tau)_i``. ``s`` is the cosine of
    pooled states; at level ``token`` the mean over the text's tokens of the best cosine with any speech state (MaxSim).
    Candidates are the rows of the same layer that have both sides, except those with the same transcript. An
    uninformative row has ``ln C`` for C candidates, so the scale grows with the logarithm of the batch (the diagnostic
    ``candidates`` says C).

    With several processes the candidates are gathered with their gradients: W processes with B rows each have the
    values and gradients of one with W B rows. Smaller micro-batches mean fewer negatives and another loss.

    Needs a batch of several rows. Cost per layer: ``B C D``; at level ``token`` ``B C P T D``, with one row's ``C P T``
    in memory at a time. Sources: van den Oord et al. 2018 (arXiv 1807.03748); ConST, Ye et al. 2022 (arXiv 2205.02444),
    mean-pooled; MaxSim: Khattab & Zaharia 2020 (ColBERT, arXiv 2004.12832). Choose it where whole utterances must be
    distinguished (retrieval) and batches are large; ``ot`` where states must be matched within an utterance.
    """

    needs = ("transcripts",)
    batch_statistic = True

    level: str = option(
        "mean", "Similarity of two rows: cosine of mean or max states, or token by token.", choices=(*POOLINGS, "token")
    )
    temperature: float = option(
        0.1, "Temperature of the similarities; a smaller one gives the hardest negatives more weight.", above=0
    )
    gather: bool = option(True, "Gather negatives from all data-parallel processes, not only from this one.")

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        both = sides(states, detach_text=detach_text)
        with no_autocast(both.speech.device):
            values, best, candidates = self._solve(both, context)
        return row_result(values, states.present, accuracy=best, candidates=candidates)

    def _solve(self, both: LayerStates, context: AlignmentContext) -> tuple[Tensor, Tensor, Tensor]:
        """``[L * B]`` loss, share of the directions whose positive is best, and number of candidates."""
        transcripts = transcripts_of(both, context)
        num_rows = len(transcripts)
        x, x_lengths = self._features(both.speech, both.speech_lengths)
        y, y_lengths = self._features(both.text, both.text_lengths)
        items = Items(
            x.view(context.num_layers, num_rows, *x.shape[1:]),
            y.view(context.num_layers, num_rows, *y.shape[1:]),
            x_lengths[:num_rows],
            y_lengths[:num_rows],
            transcript_keys(transcripts, both.text_lengths[:num_rows]),
        )
        loss, best, candidates = contrast_in_batch(items, self.temperature, gather=self.gather)
        return loss.flatten(), best.flatten(), candidates.repeat(context.num_layers)

    def _features(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors ``[L * B, N, D]`` and how many of each row's N are content; N is 1 if pooled."""
        if self.level != "token":
            states, lengths = pool(states, lengths, self.level)[:, None], (lengths > 0).long()
        return functional.normalize(states, dim=-1), lengths
