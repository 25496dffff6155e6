"""Interface of caches of encoder states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from torch import Tensor

__all__ = ["EncoderCache"]


class EncoderCache(ABC):
    """The states of a frozen encoder, by recording.

    A component of kind ``encoder_cache`` is called as ``factory(config, *, identity)``; ``identity`` is plain data with
    all that the states depend on beside the recording, and caches of different identities share nothing. It must be
    picklable (worker processes). Any number of processes may read and write at a time.
    """

    bytes_per_value: int
    """Bytes per number of a state."""

    @abstractmethod
    def missing(self, keys: Iterable[str]) -> list[str]:
        """The ``keys`` without stored states; also considers what other processes have written."""

    @abstractmethod
    def read(self, key: str) -> Tensor:
        """The ``[S, E]`` states of one recording, in the stored dtype.

        Raises:
            DataError: they are not there, or not what was written.
        """

    @abstractmethod
    def write(self, states: Mapping[str, Tensor]) -> None:
        """Store the ``[S, E]`` states of some recordings, atomically: all of them or none.

        Raises:
            DataError: they cannot be written, or hold numbers that are not finite once they are stored.
        """

    def require_space(self, num_bytes: int) -> None:  # noqa: B027 - not every cache is bounded
        """Called before ``num_bytes`` are written in all.

        Raises:
            DataError: there is less space.
        """

    @abstractmethod
    def __str__(self) -> str:
        """Place and size of the cache, for the log."""
