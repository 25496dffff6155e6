"""A guide by occupancies of all monotone alignments: CTC's forward-backward on the states of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from aista.losses.base import AlignmentContext
from aista.losses.costs import Cost
from aista.losses.ctc import NEVER
from aista.losses.guides.base import Guidance, Guide, content_mask
from aista.losses.solvers.problem import Problem, from_states
from aista.registry import build, register
from aista.schema import Component, Options, component, option
from aista.types import LayerStates, length_mask

__all__ = ["Monotone", "MonotoneConfig", "occupancies"]


@dataclass(frozen=True, kw_only=True)
class MonotoneConfig(Options):
    """Scores of positions and tokens."""

    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    temperature: float = option(0.05, "Divides the costs; a smaller one puts more trust in the cheapest path.", above=0)
    blank: float | None = option(
        0.6, "Cost of a position without a token, as in a pause; null: every position has a token."
    )
    position_weight: float = option(
        0.0, "Weight of |i/S - j/T|^power, which favours an even pace; the order is kept without it.", minimum=0
    )
    position_power: float = option(1.0, "The power in that term.", above=0)


@register("guide", "monotone", config=MonotoneConfig)
class Monotone(Guide):
    """Probability of each token at each speech position, summed over all monotone alignments with the transcript.

    A path gives each position a token or the blank; tokens come in order and each has at least one position.
    ``w_pt = P(path_p = t)`` under ``P(path) ~ prod_p exp(-C(p, path_p) / tau)``, ``C(p, blank)`` constant: the
    occupancies of CTC's forward-backward. The normalisation over a vocabulary cancels in them, so the transcript's own
    tokens are enough. At layer 0 the text states are the embeddings, as in ``ctc``. Equal neighbours need no blank
    between them. In a row with fewer positions than tokens, no token is known.

    Cost per row: ``P T D`` and ``P T``, in P steps. Sources: Graves et al. 2006 (CTC); learnt from costs between
    states in order: Badlani et al. 2022 (arXiv 2108.10447), who also prefer the diagonal. Choose it where both sides
    have the same order, as speech and its transcript do, and the states are already aligned to some degree, by CTC
    training of the encoder or by another loss.
    """

    def __init__(self, config: MonotoneConfig) -> None:
        self.cost = cast(Cost, build("cost", config.cost, at="cost"))
        self.config = config

    @torch.no_grad()
    def __call__(self, states: LayerStates, context: AlignmentContext) -> Guidance:
        problem = from_states(
            *(states.speech, states.text, states.speech_lengths, states.text_lengths),
            cost=self.cost,
            position_weight=self.config.position_weight,
            position_power=self.config.position_power,
        )
        weights = problem.restore_padded(self._occupancies(problem), 0, 1)
        fits = states.speech_lengths >= states.text_lengths
        return Guidance(weights, content_mask(states) & fits[:, None])

    def _occupancies(self, problem: Problem) -> Tensor:
        blank = NEVER if self.config.blank is None else -self.config.blank / self.config.temperature
        lengths = problem.x_lengths.clamp_min(1), problem.y_lengths.clamp_min(1)
        return occupancies(-problem.cost / self.config.temperature, *lengths, blank=blank)


def occupancies(scores_NPT: Tensor, speech_lengths: Tensor, text_lengths: Tensor, *, blank: float) -> Tensor:
    """The probability that token t is spoken at position p, over all monotone paths.

    Args:
        scores_NPT: ``[N, P, T]`` logits of positions and tokens; what lies in the padding does not matter.
        speech_lengths: ``[N]``, at least 1.
        text_lengths: ``[N]``, at least 1.
        blank: Logit of the blank (no token).

    Returns:
        ``[N, P, T]``, detached; 0 in the padding and where a row has fewer positions than tokens.
    """
    if not len(scores_NPT):
        return scores_NPT.detach()
    num_positions, num_tokens = scores_NPT.shape[1:]
    is_token = length_mask(text_lengths, num_tokens)
    scores = functional.pad(scores_NPT.detach().masked_fill(~is_token[:, None], NEVER), (1, 0), value=blank)
    with torch.inference_mode(False), torch.set_grad_enabled(True):
        lengths = speech_lengths.clone(), text_lengths.clone()  # what was made in inference mode cannot be taped
        targets = torch.arange(1, num_tokens + 1, device=scores.device).expand(len(scores), -1)
        logp = scores.clone().log_softmax(-1).transpose(0, 1).requires_grad_()
        nll = functional.ctc_loss(logp, targets, *lengths, blank=0, reduction="none", zero_infinity=True)
        (grad,) = torch.autograd.grad(nll.sum(), logp)  # of CTC by its log-probabilities: exp(logp) - occupancy
    found = (logp.detach().exp() - grad).transpose(0, 1)[..., 1:].clamp(0, 1)
    inside = length_mask(speech_lengths, num_positions)[:, :, None] & is_token[:, None]
    return found.masked_fill(~(inside & (speech_lengths >= text_lengths)[:, None, None]), 0)
