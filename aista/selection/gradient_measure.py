"""Agreement between the gradients of cross-entropy and of transport with respect to the speech."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from aista.selection.pair_transport import PairTransport
from aista.types import LayerStates, LsmOutput

__all__ = ["GradientAgreement"]


@dataclass(frozen=True)
class GradientAgreement:
    """Cosine, per utterance, of the gradients of cross-entropy and of a layer's transport cost.

    ``cos(d CE / d x, d OT_l / d x)`` over all positions of an utterance, with x the adapter's output, which the
    gradients of all layers reach, so that they are comparable. Above 0, a small step of x that lowers the transport
    cost also lowers the cross-entropy; below 0 it raises it; unrelated gradients give 0. The text side is a fixed
    target, as in training. Evaluation mode, without dropout.

    Cost: one backward pass of the language model for the cross-entropy and one through l blocks for each layer l:
    about (1 + L / 2) backward passes for all of L blocks. No parameter's gradient is computed or changed.
    Related: gradient similarity between tasks (Du et al. 2018, arXiv 1812.02224).

    Attributes:
        transport: Computes the transport cost.
    """

    transport: PairTransport

    def __call__(self, output: LsmOutput) -> list[Tensor]:
        """``[B]`` fp64 cosines per captured layer, on the CPU; 0 where a gradient vanishes, as in rows without a side.

        Args:
            output: Output of a forward pass with ``input_gradient``.
        """
        assert output.embedded is not None, "the forward must be asked for input_gradient"
        if not bool(output.layer(0).present.any()):
            return [torch.zeros(len(output.nll), dtype=torch.float64) for _ in output.speech]
        with torch.set_grad_enabled(True):  # a probe runs without gradients
            translation = self._gradient(output.nll.sum(), output.embedded)
            losses = [self._loss(output.layer(index)) for index in range(len(output.speech))]
            return [_cosine(translation, self._gradient(loss, output.embedded)) for loss in losses]

    def _loss(self, states: LayerStates) -> Tensor:
        rows = states.present
        sides = states.speech[rows], states.text[rows].detach()
        lengths = states.speech_lengths[rows], states.text_lengths[rows]
        return self.transport.values(*sides, *lengths).sum()

    @staticmethod
    def _gradient(value: Tensor, embedded: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(value, embedded, retain_graph=True, materialize_grads=True)
        return gradient


def _cosine(a_BPD: Tensor, b_BPD: Tensor) -> Tensor:
    flat = (gradient.flatten(1).double() for gradient in (a_BPD, b_BPD))
    unit_a, unit_b = (functional.normalize(side, dim=1, eps=1e-30) for side in flat)
    return (unit_a * unit_b).sum(1).cpu()
