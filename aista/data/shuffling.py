"""Shuffled transcripts: a control in which alignment cannot learn from the right transcripts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from aista.data.manifest_rows import Row, Rows

__all__ = ["shuffle_transcripts"]


def shuffle_transcripts(rows: Sequence[Row], seed: int) -> Rows:
    """Give each row the transcript of another one; speech and translation do not change.

    One cycle through all rows that have a transcript (Sattolo, 1986), so that none keeps its own; two rows with the
    same text may swap them. Rows without a transcript stay without. Word times are left out: those of another recording
    do not apply.

    Choose it to ask whether a gain comes from the *content* of the transcripts: with shuffled ones the loss,
    its scale and its cost are the same, and a remaining gain is regularisation.

    Args:
        rows: Rows of a training manifest.
        seed: Decides the cycle.

    Returns:
        As many rows, in the same order.
    """
    rows = Rows.of(rows)
    texts = rows.texts("src_text")
    places: list[int] = np.flatnonzero(rows.is_filled("src_text")).tolist()
    sources = list(places)
    generator = random.Random(f"transcripts:{seed}")
    for last in range(len(sources) - 1, 0, -1):
        other = generator.randrange(last)
        sources[last], sources[other] = sources[other], sources[last]
    shuffled = list(texts)
    for place, source in zip(places, sources, strict=True):
        shuffled[place] = texts[source]
    return rows.with_texts(src_text=shuffled, word_times=[""] * len(rows))
