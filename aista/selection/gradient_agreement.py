"""Layer selection by agreement between the gradients of alignment and of cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import option, section
from aista.selection.gradient_measure import GradientAgreement
from aista.selection.pair_transport import PairTransport, TransportConfig
from aista.selection.ranked import RankedConfig, RankedSelection

__all__ = ["GradientAgreementSelection", "GradientAgreementSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class GradientAgreementSelectionConfig(RankedConfig):
    """Options of ``gradient_agreement``."""

    transport: TransportConfig = section(TransportConfig, "The transport cost whose gradient is compared.")
    position_weight: float = option(0.0, "Weight of the positional term in the cost, as in the loss ``ot``.", minimum=0)


@register("layer_selection", "gradient_agreement", config=GradientAgreementSelectionConfig)
class GradientAgreementSelection(RankedSelection):
    """Align the layers whose transport cost and the cross-entropy have the most similar gradients.

    The score ``gradient_cosine`` is the mean over utterances of ``cos(d CE / d x, d OT_l / d x)``, with x the adapter's
    output; see ``aista.selection.gradient_measure``. Costs about ``1 + L / 2`` backward passes of the language model
    beside the probe's forward pass, and the memory of a training step's activations.

    Choose it where alignment may work against the translation: it is the only strategy that considers the translation
    loss. Give it the solver and ``position_weight`` of the alignment loss.
    """

    measure = "gradient_cosine"

    def __init__(self, config: GradientAgreementSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.agreement = GradientAgreement(PairTransport(config.transport, config.position_weight))
