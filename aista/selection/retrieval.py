"""Layer selection by cross-modal retrieval, measured after a warm-up (AI-STA's strategy)."""

from __future__ import annotations

from dataclasses import dataclass

from aista.pooling import POOLINGS
from aista.registry import register
from aista.schema import option, section
from aista.selection.curve import ProbeCurve
from aista.selection.metrics import DIRECTIONS, SCORES
from aista.selection.pair_transport import PairTransport, TransportConfig
from aista.selection.ranked import RankedConfig, RankedSelection
from aista.selection.similarity import SIMILARITIES

__all__ = ["RetrievalSelection", "RetrievalSelectionConfig"]


@dataclass(frozen=True, kw_only=True)
class RetrievalSelectionConfig(RankedConfig):
    """Options of ``retrieval``."""

    score: str = option("mrr", "Retrieval score that ranks the layers.", choices=SCORES)
    direction: str = option(
        "both", "Which side queries the other; both is the mean of the two directions.", choices=DIRECTIONS
    )
    similarity: str = option(
        "cosine",
        "Similarity that ranks the candidates: cosine or csls of pooled states, or ot, transport between all states.",
        choices=SIMILARITIES,
    )
    pooling: str = option("mean", "Pooling of a row's states to one vector (cosine, csls).", choices=POOLINGS)
    neighbours: int = option(10, "Number of nearest neighbours in csls.", minimum=1, maximum=1_000_000)
    transport: TransportConfig = section(
        TransportConfig, "Transport of ot, which solves probe_size^2 problems a layer."
    )


@register("layer_selection", "retrieval", config=RetrievalSelectionConfig)
class RetrievalSelection(RankedSelection):
    """Align the layers with the best cross-modal retrieval between speech and text states (AI-STA, arXiv 2503.10211).

    Choose it for a new model or language pair, whose best layers are not known; with ``csls`` where a few states are
    close to all others (hubs), with ``ot`` where pooling would hide differences between layers.
    """

    def __init__(self, config: RetrievalSelectionConfig, *, num_layers: int) -> None:
        super().__init__(config, num_layers=num_layers)
        self.config = config
        self.pooling = config.pooling
        self.similarity = config.similarity
        self.neighbours = config.neighbours
        self.transport = PairTransport(config.transport) if config.similarity == "ot" else None

    @property
    def score_name(self) -> str:
        by = "" if self.config.similarity == "cosine" else f" by {self.config.similarity}"
        return f"{self.config.score} ({self.config.direction}){by}"

    def chance(self, curve: ProbeCurve) -> float:
        return curve.chance.value(self.config.score)

    def read(self, curve: ProbeCurve) -> dict[int, float]:
        return curve.values(self.config.score, self.config.direction)
