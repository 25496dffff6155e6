"""Distillation of next-token distributions from the text branch to the speech branch; registered as ``kl``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from aista.losses.arguments import is_readable
from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.sides import row_mean, row_result, sides
from aista.losses.solvers.pairwise import no_autocast
from aista.registry import register
from aista.schema import Options, option
from aista.types import LayerStates

__all__ = ["KLAlignment"]


@register("alignment_loss", "kl")
@dataclass(frozen=True, kw_only=True)
class KLAlignment(Options, AlignmentLoss):
    """KL divergence between the next-token distributions of the text branch (teacher) and the speech branch.

    ``tau^2 mean_u KL(softmax(y_u / tau) | softmax(x_u / tau))`` with ``x_u``, ``y_u`` the logits of the u-th target
    token (EOS included) given the speech and given the transcript; in nats per target token, for any batch size.
    It compares predictions, not states, so it does not depend on the selected layers and is computed once per batch.

    Needs the text branch to run to its end over the target too (as ``mt_weight`` does; without gradient unless the
    text side is trained). Cost: that pass and two more projections of the target tokens, in slices and recomputed in
    backward, so that the logits of both branches are never kept. The teacher is only as good as the LLM's translation
    of the transcript: train the LLM on that first, or set ``mt_weight``.

    Sources: Hinton et al. 2015 (arXiv 1503.02531); between the branches of speech translation: Tang et al. 2021
    ("Improving Speech Translation by Understanding and Learning from the Auxiliary Text Translation Task",
    arXiv 2107.05782), Fang et al. 2022 (STEMM, arXiv 2203.10426), Fang & Feng 2023 (CRESS, arXiv 2305.08706). Choose
    it where the text branch translates much better than the speech branch, beside a loss on states or alone.
    """

    compares = "predictions"

    temperature: float = option(
        1.0, "Temperature of both branches' logits; above 1 it softens the teacher's distribution.", above=0
    )

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        """Return each row's divergence per position; see ``AlignmentLoss`` on predictions.

        Raises:
            ValueError: a row has another number of positions on one side than on the other (read on the CPU alone).
        """
        both = sides(states, detach_text=detach_text)
        with no_autocast(both.speech.device):
            lengths = both.text_lengths.masked_fill(~both.present, 0)
            if is_readable(lengths) and bool(((both.speech_lengths != lengths) & both.present).any()):
                raise ValueError(
                    f"kl compares predictions position by position, so both sides need equal lengths, got "
                    f"{both.speech_lengths.tolist()} and {both.text_lengths.tolist()}"
                )
            size = min(both.speech.shape[1], both.text.shape[1])
            return row_result(
                row_mean(self._divergence(both.speech[:, :size], both.text[:, :size]), lengths), both.present
            )

    def _divergence(self, x_BUV: Tensor, y_BUV: Tensor) -> Tensor:
        log_x, log_y = ((z / self.temperature).log_softmax(-1) for z in (x_BUV, y_BUV))
        return self.temperature**2 * functional.kl_div(log_x, log_y, reduction="none", log_target=True).sum(-1)
