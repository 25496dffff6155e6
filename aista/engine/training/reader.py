"""aista's deterministic batches through fairseq2's DataReader interface."""

from __future__ import annotations

from collections.abc import Iterator

from fairseq2.datasets import DataReader
from fairseq2.device import Device, SupportsDeviceTransfer
from typing_extensions import Self, override

from aista.data.loader import BatchLoader
from aista.data.streams.stream_loader import StreamLoader
from aista.types import SpeechBatch

__all__ = ["DeviceBatch", "LoaderReader"]


class DeviceBatch(SupportsDeviceTransfer):
    """A SpeechBatch that the trainer moves to its device."""

    def __init__(self, batch: SpeechBatch) -> None:
        self.batch = batch

    def to(self, device: Device, *, non_blocking: bool = False) -> None:
        """Replace the batch by its copy on ``device``."""
        self.batch = self.batch.to(device, non_blocking=non_blocking)


class LoaderReader(DataReader[DeviceBatch]):
    """Reads ``num_accumulate`` batches per step; its state is the loader's (epoch, position).

    Attributes:
        ids: Ids of the rows that were read last, for one step.
    """

    def __init__(self, loader: BatchLoader | StreamLoader, *, num_accumulate: int = 1) -> None:
        self.ids: tuple[str, ...] = ()
        self._loader = loader
        self._num_accumulate = num_accumulate
        self._batches: Iterator[SpeechBatch] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[DeviceBatch]:
        if self._batches is None:
            self._batches = iter(self._loader)
        batches = []
        for batch in self._batches:
            batches.append(DeviceBatch(batch))
            if len(batches) == self._num_accumulate:
                break
        if not batches:
            self._batches = None
            raise StopIteration
        self.ids = tuple(row for batch in batches for row in batch.batch.ids)
        return batches

    @property
    def is_at_end(self) -> bool:
        """Whether the epoch's last batch was read."""
        return self._loader.is_at_end

    def reset(self) -> None:
        """Go on to the next epoch (the trainer calls this when an epoch's data ends)."""
        self._batches = None
        self._loader.next_epoch()

    def state_dict(self) -> dict[str, object]:
        """Epoch and position of the next unread batch."""
        return dict(self._loader.state_dict())

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        self._batches = None
        self._loader.load_state_dict(state_dict)

    @property
    @override
    def num_accumulate(self) -> int:
        return self._num_accumulate
