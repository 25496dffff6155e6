"""What every cache of encoder states offers."""

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
    """What a number of a state takes, in bytes."""

    @abstractmethod
    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that nothing is kept for; sees what other processes have written."""

    @abstractmethod
    def read(self, key: str) -> Tensor:
        """The ``[S, E]`` states of one recording, in the type that they are kept in.

        Raises:
            DataError: they are not there, or not what was written.
        """

    @abstractmethod
    def write(self, states: Mapping[str, Tensor]) -> None:
        """Keep the ``[S, E]`` states of some recordings. After a kill, all of them are kept or none.

        Raises:
            DataError: they cannot be written, or hold numbers that are not finite once they are stored.
        """

    def require_space(self, num_bytes: int) -> None:  # noqa: B027 - not every cache is bounded
        """Called before ``num_bytes`` are written in all.

        Raises:
            DataError: there is less room.
        """

    @abstractmethod
    def __str__(self) -> str:
        """Where it is and how much it holds, for the log."""
