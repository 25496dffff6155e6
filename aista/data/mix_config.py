"""The ``data.mix`` section of a training config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aista.schema import Options, option

__all__ = ["MixConfig"]


@dataclass(frozen=True, kw_only=True)
class MixConfig(Options):
    """How much of an epoch comes from which part of the training rows; see ``aista.data.mixture``."""

    by: Literal["manifest", "src_lang", "tgt_lang", "speaker", "task"] = option(
        "manifest", "What makes a part: a manifest, or the rows with one value of a column."
    )
    temperature: float = option(
        1.0,
        "A part's share is in proportion to weight * rows^(1 / temperature): 1 follows the sizes, 5 lifts small parts, "
        "a large one makes all equal.",
        above=0,
    )
    weights: dict[str, float] = option(
        {}, "Part (path of a manifest as in `data`, or a value of the column) -> its factor (default: 1).", above=0
    )
