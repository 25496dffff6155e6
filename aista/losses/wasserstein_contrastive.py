"""Contrastive loss with the negative optimal-transport distance between state sequences as similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from aista.losses.arguments import at_most
from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.contrast import contrast, same_key, transcript_keys, transcripts_of
from aista.losses.costs import Cost
from aista.losses.sides import checked, row_result
from aista.losses.solvers.base import OTSolver, check_geometry
from aista.losses.solvers.pairwise import no_autocast
from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.types import LayerStates

__all__ = ["WassersteinContrastive", "WassersteinContrastiveConfig"]


@dataclass(frozen=True, kw_only=True)
class WassersteinContrastiveConfig(Options):
    """Options of the contrastive transport loss."""

    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    solver: Component = component("ot_solver", "sinkhorn", "How each pair's transport problem is solved.")
    temperature: float = option(
        0.1, "Temperature of the distances; a smaller one gives the hardest negatives more weight.", above=0
    )
    max_candidates: int = option(
        8,
        "Maximum number of candidates per row: itself and the next rows of the batch, cyclically.",
        minimum=2,
        maximum=1_000_000,
    )


@register("alignment_loss", "wasserstein_contrastive", config=WassersteinContrastiveConfig)
class WassersteinContrastive(AlignmentLoss):
    """InfoNCE over utterances with the similarity ``s(x_i, y_j) = -OT(x_i, y_j)``, in both directions.

    ``l_i = -1/2 log softmax_j(-OT(x_i, y_j) / tau)_i - 1/2 log softmax_j(-OT(x_j, y_i) / tau)_i``. The candidates of
    row i are itself and at most ``max_candidates - 1`` rows of the same layer after it (before it in the second
    direction), cyclically, rows without a side left out and rows with the same transcript masked. Both directions
    use the same pairs, so C candidates cost ``L B C`` transport problems, solved in one call: C times the cost and
    the memory of ``ot``, states included. Candidates come from this process alone. As in ``infonce``, an uninformative
    row has ``ln C``.

    Sources: Züfle & Niehues 2025 (arXiv 2412.15712) contrast so at layers of an LLM; Le et al. 2023
    (arXiv 2301.11716) use the distance itself, which is ``ot``. Choose it over ``ot`` where distances collapse because
    all sequences are drawn together, over ``infonce`` where a pooled vector describes a sequence poorly.
    """

    needs = ("transcripts",)
    batch_statistic = True

    def __init__(self, config: WassersteinContrastiveConfig) -> None:
        self.cost = cast(Cost, build("cost", config.cost, at="cost"))
        self.solver = cast(OTSolver, build("ot_solver", config.solver, at="solver"))
        check_geometry(self.solver, self.cost)
        self.config = config

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        states = checked(states, detach_text=detach_text)
        transcripts = transcripts_of(states, context)
        num_rows = len(transcripts)
        present = states.present
        states = states._replace(speech_lengths=states.speech_lengths.masked_fill(~present, 0))
        keys = transcript_keys(transcripts, states.text_lengths[:num_rows])
        num_present = present[:num_rows].sum()
        # The rows with both sides; where their number cannot be read the others too, behind them.
        anchors = (~present[:num_rows]).to(torch.uint8).argsort(stable=True)[: at_most(num_present, num_rows)]
        period = num_present.clamp_min(1)
        pairs = _pairs(len(anchors), period, self.config.max_candidates)
        with no_autocast(states.speech.device):
            distances_LNC = self._distances(states, anchors[pairs], context.num_layers)
            results = _both_directions(
                distances_LNC / self.config.temperature, same_key(keys, keys)[anchors][:, anchors], period
            )
        rows = (torch.arange(context.num_layers, device=anchors.device)[:, None] * num_rows + anchors).flatten()
        zeros = results[0].new_zeros(len(present))
        values, best, candidates = (zeros.index_copy(0, rows, z.to(zeros.dtype).flatten()) for z in results)
        return row_result(values, present, accuracy=best, candidates=candidates)

    def _distances(self, states: LayerStates, pairs_2NC: Tensor, num_layers: int) -> Tensor:
        """Transport of every pair at every layer, ``[L, N, C]``, in one call of the solver."""
        num_rows = len(states.speech) // num_layers
        offsets = torch.arange(num_layers, device=pairs_2NC.device)[:, None] * num_rows
        x_rows, y_rows = ((offsets + rows.flatten()).flatten() for rows in pairs_2NC.unbind())
        transport = self.solver(
            states.speech[x_rows],
            states.text[y_rows],
            states.speech_lengths[x_rows],
            states.text_lengths[y_rows],
            cost=self.cost,
        )
        return transport.value.reshape(num_layers, *pairs_2NC.shape[1:])


def _pairs(num: int, period: Tensor, most: int) -> Tensor:
    """``[2, N, C]``: anchor n meets the anchors n, n + 1, ..., n + C - 1, modulo the scalar ``period``."""
    anchors = torch.arange(num, device=period.device)[:, None]
    others = (anchors + torch.arange(min(most, max(num, 1)), device=period.device)) % period
    return torch.stack([anchors.expand_as(others), others])


def _both_directions(distances_LNC: Tensor, is_same_NN: Tensor, period: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``[L, N]`` loss, accuracy and number of candidates; the positive is the first of the C."""
    num, most = distances_LNC.shape[1:]
    anchors = torch.arange(num, device=distances_LNC.device)[:, None]
    shift = torch.arange(most, device=distances_LNC.device)
    positive = torch.zeros_like(anchors[:, 0])
    behind, before = (anchors + shift) % period, (anchors - shift) % period
    # The text of row n was compared with the speech of row n - k as that row's k-th pair.
    losses, bests, counts = [], [], []
    for distances, others in ((distances_LNC, behind), (distances_LNC[:, before, shift], before)):
        is_candidate = ~is_same_NN[anchors, others] & (shift < period)  # once around all are met
        loss, best = contrast(-distances, is_candidate, positive)
        losses.append(loss)
        bests.append(best.to(loss.dtype))
        counts.append((1 + is_candidate.sum(1)).to(loss.dtype).expand_as(loss))
    return (losses[0] + losses[1]) / 2, (bests[0] + bests[1]) / 2, (counts[0] + counts[1]) / 2
