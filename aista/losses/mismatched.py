"""Control of an alignment loss: compares each row's speech with another row's transcript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.contrast import transcript_keys, transcripts_of
from aista.losses.sides import checked
from aista.registry import build, register
from aista.schema import Component, Options, component
from aista.types import LayerStates

__all__ = ["Mismatched", "MismatchedConfig"]


@dataclass(frozen=True, kw_only=True)
class MismatchedConfig(Options):
    """The loss to control for."""

    loss: Component = component("alignment_loss", "ot", "Alignment loss that compares the mismatched sides.")


@register("alignment_loss", "mismatched", config=MismatchedConfig)
class Mismatched(AlignmentLoss):
    """Control: an alignment loss applied to a row's speech and the transcript of another row of the batch.

    The rows with both sides are sorted by their transcripts' token ids, and each gets the text of the next row, the
    last one of the first, with another transcript; where all are equal, no row takes part. Cost, scale and
    regularisation are those of the loss itself, but it carries no information about what was said: a gain that remains
    does not come from the transcripts.

    Choose it as the control of an experiment that trains on the transcripts by other means too (``mt_weight``), which
    ``data.shuffle_transcripts`` would spoil; without them that is the stronger control, since its pairs are the same
    in every epoch. The pairs here change with the batches. No published method.

    Raises:
        ValueError: the loss compares predictions, or needs word times, which belong to the row's own transcript.
    """

    needs: tuple[str, ...] = ("transcripts",)
    batch_statistic = True

    def __init__(self, config: MismatchedConfig) -> None:
        self.loss = cast(AlignmentLoss, build("alignment_loss", config.loss, at="loss"))
        if self.loss.compares != "states" or "words" in self.loss.needs:
            what = "needs word times" if "words" in self.loss.needs else "compares predictions"
            raise ValueError(
                f"loss must compare states and need no word times, got {config.loss.name!r}, which {what}; "
                "choose another"
            )
        self.needs = tuple(dict.fromkeys((*type(self).needs, *self.loss.needs)))

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        states = checked(states, detach_text=detach_text)
        transcripts = transcripts_of(states, context)
        num_rows = len(transcripts)
        keys = transcript_keys(transcripts, states.text_lengths[:num_rows])
        partner_B = _partners(keys, states.present[:num_rows])
        lengths_B = states.text_lengths[:num_rows][partner_B].masked_fill(partner_B < 0, 0)
        offsets = torch.arange(context.num_layers, device=partner_B.device)[:, None] * num_rows
        rows_R = (partner_B.clamp_min(0) + offsets).flatten()
        swapped = states._replace(text=states.text[rows_R], text_lengths=lengths_B.repeat(context.num_layers))
        context = context._replace(transcripts=transcripts[partner_B.clamp_min(0)], words=None)
        return self.loss(swapped, context, detach_text=detach_text)


def _partners(keys_BT: Tensor, present_B: Tensor) -> Tensor:
    """``[B]`` the row whose text each row gets; -1 for a row without a side, or where no other transcript is there."""
    size = len(keys_BT)
    keys_BT = functional.pad(keys_BT, (0, 1))
    first_BB = (keys_BT[:, None] != keys_BT).to(torch.uint8).argmax(-1)
    own_BB = keys_BT.gather(1, first_BB)  # a row's token where it first differs from the other row
    is_same, row = own_BB == own_BB.mT, torch.arange(size, device=keys_BT.device)
    is_before = (own_BB < own_BB.mT) | (is_same & (row[:, None] < row))
    place_B = (is_before & present_B[:, None]).sum(0)
    steps_BB = (place_B - place_B[:, None]) % max(size, 1)  # from a row on to the other, cyclically
    is_partner = present_B & present_B[:, None] & ~is_same
    steps = functional.pad(steps_BB.masked_fill(~is_partner, size + 1), (0, 1), value=size)
    partner_B = steps.argmin(1)
    return partner_B.masked_fill(partner_B == size, -1)
