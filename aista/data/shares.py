"""The rows of a batch for one process, and reading them where some may be faulty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aista.data.dataset import SpeechTextDataset
from aista.data.examples import Example
from aista.errors import DataError
from aista.types import SpeechBatch

__all__ = ["read_share", "spares_of"]

_SPARES = 16  # rows that may stand in for a share without a good one


def spares_of(batches: Sequence[tuple[int, ...]], place: int, rank: int, world_size: int) -> tuple[int, ...]:
    """Spare rows for one process's rows ``rank::world_size`` of a batch: the batch's other rows, then the next batch.

    Args:
        batches: Row numbers of each global batch.
        place: Index among them.
        rank: The process' number.
        world_size: Number of processes.
    """
    others = (row for number, row in enumerate(batches[place]) if number % world_size != rank)
    return (*others, *batches[(place + 1) % len(batches)])[:_SPARES]


def read_share(
    dataset: SpeechTextDataset, epochs: Sequence[int], own: Sequence[int], spares: Sequence[int]
) -> tuple[SpeechBatch | None, list[tuple[int, DataError]]]:
    """Read rows and leave out unreadable ones; if none is left, read a spare, as all processes must make each step.

    Args:
        dataset: Has the rows.
        epochs: The epoch of each row; a spare is read as in that of the first.
        own: Places of the rows.
        spares: Places of those that may stand in.

    Returns:
        The batch, None where nothing can be read; and the rows that cannot, each with its error.
    """
    examples: list[Example] = []
    failed: list[tuple[int, DataError]] = []
    for place, row in enumerate((*own, *spares)):
        if place >= len(own) and examples:
            break
        try:
            examples.append(dataset.example(row, epochs[place if place < len(own) else 0]))
        except DataError as error:
            failed.append((row, error))
    left_out = len({row for row, _ in failed} & set(own))
    return (replace(dataset.collate(examples), left_out=left_out) if examples else None), failed
