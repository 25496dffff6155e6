"""The ``data.mix`` section of a training config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aista.schema import Options, option

__all__ = ["MixConfig"]


@dataclass(frozen=True, kw_only=True)
class MixConfig(Options):
    """Shares of an epoch for parts of the training rows; see ``aista.data.mixture``."""

    by: Literal["manifest", "src_lang", "tgt_lang", "speaker", "task"] = option(
        "manifest", "Definition of a part: a manifest, or the rows with the same value of a column."
    )
    temperature: float = option(
        1.0,
        "A part's share is proportional to weight * rows^(1 / temperature): 1 keeps the sizes, 5 raises small parts, a "
        "large value makes all equal.",
        above=0,
    )
    weights: dict[str, float] = option(
        {}, "Part (path of a manifest as in `data`, or a value of the column) -> its factor (default: 1).", above=0
    )
