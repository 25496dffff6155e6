"""Interface of layouts of shards: the shards of a folder, and the rows of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from aista.data.manifest import Row
from aista.schema import Options, option, required

__all__ = ["Shard", "ShardFolder", "StreamRow"]


class Shard(NamedTuple):
    """A part of a corpus that is read at once.

    Attributes:
        name: As messages name it, its number say.
        files: Its files, in an order that the layout knows.
    """

    name: str
    files: tuple[Path, ...]


class StreamRow(NamedTuple):
    """A row of a shard, unconverted.

    Attributes:
        place: Its place, for messages: ``cuts.000003.jsonl.gz:7``.
        row: Its ``audio`` is relative to the stream's folder; "" where no audio was asked for.
        kind: Kind of its fault, e.g. ``"no audio"``; "" where it can be used.
        fault: The rule, what was found, and the remedy.
    """

    place: str
    row: Row
    kind: str = ""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class ShardFolder(Options, ABC):
    """A folder of shards; a component of kind ``stream``.

    The folder lies on a file system: recordings are read from the middle of its archives.
    """

    path: Path = required("Folder of the shards.")
    shards_at_once: int = option(
        16, "Rows of this many shards are shuffled and sorted into batches together.", minimum=1, maximum=100_000
    )

    @abstractmethod
    def shards(self, *, with_audio: bool) -> tuple[Shard, ...]:
        """The shards in the order of their names. Reads no row.

        Args:
            with_audio: The audio is needed.

        Raises:
            DataError: there are none, a file of one is missing, or an archive is cut short.
        """

    @abstractmethod
    def rows(self, shard: Shard, *, with_audio: bool) -> Iterator[StreamRow]:
        """The rows of a shard, in their order.

        Args:
            shard: One of ``shards``.
            with_audio: Say where each row's audio is.

        Raises:
            DataError: the shard cannot be read.
        """
