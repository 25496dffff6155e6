"""Layer selection by token-level alignment paths from transcript to speech."""

from __future__ import annotations

from dataclasses import dataclass

from aista.registry import register
from aista.schema import option
from aista.selection.path_measures import AlignmentPath
from aista.selection.ranked import RankedConfig, RankedSelection

__all__ = ["AlignmentPathSelection", "AlignmentPathSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class AlignmentPathSelectionConfig(RankedConfig):
    """Options of ``alignment_path``."""

    score: str = option(
        "path_contrast",
        "Score of a layer: the path's cosine (as published), its order, or its contrast with mismatched pairs.",
        choices=("path_cosine", "path_order", "path_contrast"),
    )
    mismatches: int = option(
        4,
        "Number of mismatched transcripts that each utterance's speech is compared with.",
        minimum=1,
        maximum=1_000_000,
    )


@register("layer_selection", "alignment_path", config=AlignmentPathSelectionConfig)
class AlignmentPathSelection(RankedSelection):
    """Align the layers with the best token-level path from transcript to speech (Xiang et al. 2025, arXiv 2510.12116).

    ``path_cosine`` is their alignment path score, ``mean_t max_p cos(x_p, y_t)``, of one layer; it is also high where
    all states lie in a narrow cone. ``path_contrast``, ours, subtracts the score of mismatched pairs, on ordered paths;
    see ``aista.selection.path_measures``. Costs ``(1 + mismatches) P T D`` multiplications per utterance and layer
    beside the probe's forward pass.

    Choose it where the alignment loss relies on the order of the words, as with ``position_weight`` or ``soft_dtw``,
    and there are no word times.
    """

    def __init__(self, config: AlignmentPathSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.measure = config.score
        self.measures = (AlignmentPath(config.mismatches),)
