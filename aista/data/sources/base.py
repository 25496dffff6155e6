"""What every layout that ``aista data import`` reads offers: parts with columns, and their rows one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["Entry", "Part", "Recording", "Source", "flatten", "split_of"]

SPLITS = {
    "train": ("train", "training", "trn"),
    "dev": ("dev", "development", "val", "valid", "validation", "validate"),
    "test": ("test", "testing", "tst"),
}
"""A manifest's split -> what it is called elsewhere."""


@dataclass(frozen=True)
class Recording:
    """Where an utterance's audio is.

    Attributes:
        path: A file, or what else a manifest's column ``audio`` may hold; with ``content`` the name that the bytes had.
        content: The bytes of the encoded file, where no file of its own holds them.
        start: Seconds before the utterance begins.
        seconds: How long it lasts; None: to the end.
    """

    path: str = ""
    content: bytes | None = field(default=None, repr=False)
    start: float = 0.0
    seconds: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the utterance is all of the file."""
        return self.start == 0 and self.seconds is None


@dataclass(frozen=True)
class Entry:
    """One row as its source holds it.

    Attributes:
        place: Where it stands, as messages name it: ``metadata.csv:3``.
        fields: Column -> value: texts, numbers, None, and for audio a path, ``{"bytes": ..., "path": ...}`` or a
            ``Recording``.
        fault: Why it cannot be read; "" where it can.
    """

    place: str
    fields: Mapping[str, Any]
    fault: str = ""


@dataclass(frozen=True)
class Part:
    """A piece of a source whose rows have the same columns: a file, a folder, a split.

    Attributes:
        name: As messages name it.
        columns: What its rows hold, as far as that can be told without reading all of them.
        entries: Begins to read the rows; memory must not grow with their number.
        split: ``train``, ``dev``, ``test`` or another name; "" where the source does not say.
        folders: Where relative paths of audio may start, the likeliest first.
        total: Number of rows, for a progress bar; None if that is not known.
    """

    name: str
    columns: tuple[str, ...]
    entries: Callable[[], Iterator[Entry]]
    split: str = ""
    folders: tuple[Path, ...] = ()
    total: int | None = None


class Source(ABC):
    """A layout of corpora. Nothing of a corpus is executed, be it a script, a pickle or a command in a table."""

    usual: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Columns of a manifest -> their names in this layout, tried before the names that are usual everywhere."""
    is_general: ClassVar[bool] = False
    """Whether it also reads what a more particular layout recognises, which then goes first."""

    @classmethod
    @abstractmethod
    def recognises(cls, place: str) -> bool:
        """Whether a path or name looks like this layout. Reads little, and raises nothing."""

    @abstractmethod
    def parts(self, place: str) -> list[Part]:
        """The pieces of the corpus at ``place``, at least one.

        Raises:
            DataError: it cannot be read, or is of another layout.
        """


def split_of(name: str) -> str:
    """The manifest's split for a name such as ``validation``: train, dev, test, or the name itself."""
    return next((split for split, names in SPLITS.items() if name.lower() in names), name)


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted columns: ``translation.fr``; audio with its ``bytes`` and ``path`` stays together."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not set(value) <= {"bytes", "path"}:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat
