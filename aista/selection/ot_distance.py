"""Layer selection by transport costs of true pairs relative to mismatched pairs."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import option, section
from aista.selection.pair_transport import PairTransport, TransportConfig
from aista.selection.ranked import RankedConfig, RankedSelection

__all__ = ["OTDistanceSelection", "OTDistanceSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class OTDistanceSelectionConfig(RankedConfig):
    """Options of ``ot_distance``."""

    mismatches: int = option(
        4,
        "Number of mismatched utterances to compare each utterance's transport cost with.",
        minimum=1,
        maximum=1_000_000,
    )
    transport: TransportConfig = section(TransportConfig, "How the transport cost of a pair is computed.")


@register("layer_selection", "ot_distance", config=OTDistanceSelectionConfig)
class OTDistanceSelection(RankedSelection):
    """Align the layers with the best transport separation: ``1 - mean OT(true pairs) / mean OT(mismatched pairs)``.

    A ratio, because a small distance alone is no evidence of alignment: collapsed states have the smallest. In the
    ratio they score 0.

    Choose it where individual words matter, not the pooled mean: it compares all states, by the distance that the loss
    minimises, at (1 + mismatches) transport problems per utterance and layer.
    """

    measure = "ot_separation"

    def __init__(self, config: OTDistanceSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.mismatches = config.mismatches
        self.transport = PairTransport(config.transport)
