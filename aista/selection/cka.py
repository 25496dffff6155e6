"""Layer selection by linear CKA of speech and text states, measured after a warm-up."""

from __future__ import annotations

from dataclasses import dataclass

from aista.pooling import POOLINGS
from aista.registry import register
from aista.schema import option
from aista.selection.layer_measures import CKA_LEAST
from aista.selection.ranked import RankedConfig, RankedSelection

__all__ = ["CkaSelection", "CkaSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class CkaSelectionConfig(RankedConfig):
    """Options of ``cka``."""

    pooling: str = option("mean", "Pooling of a row's states to one vector.", choices=POOLINGS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probe_size < CKA_LEAST:
            raise ValueError(f"probe_size: the debiased CKA needs at least {CKA_LEAST}, got {self.probe_size}")


@register("layer_selection", "cka", config=CkaSelectionConfig)
class CkaSelection(RankedSelection):
    """Align the layers with the highest debiased linear CKA of speech and text (Kornblith et al. 2019, 1905.00414).

    CKA ignores rotations and scaling: it measures whether utterances that are similar in text are similar in speech,
    not whether the two have the same coordinates. The debiased estimator is about 0 for unrelated states, however wide
    they are; a layer may score below 0.

    Choose it where retrieval is at chance in all layers because speech and text still occupy different subspaces, to
    start alignment at layers that differ by a rotation rather than in content.
    """

    measure = "cka"

    def __init__(self, config: CkaSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.pooling = config.pooling
