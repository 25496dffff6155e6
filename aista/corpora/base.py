"""Interface of dataset preparations for ``aista data NAME``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from aista.corpora.preparation import Folder, PreparationReport, Progress
from aista.schema import Options

__all__ = ["Preparation"]


@dataclass(frozen=True, kw_only=True)
class Preparation(Options, ABC):
    """A dataset's preparation; its fields are its options. The same options and source give the same files."""

    dataset: ClassVar[str]
    """The registered name."""

    def prepare(self, out: Path, *, source: Path | None = None, progress: Progress | None = None) -> PreparationReport:
        """Prepare the dataset in ``out``.

        A folder that is complete is verified and left alone; an interrupted one is continued.

        Args:
            out: Folder to create.
            source: Path of the raw corpus; not needed once complete.
            progress: Called as ``progress(stage, done, total)``.

        Raises:
            DataError: ``source`` is not the corpus, ``out`` holds something else or was changed, or too few rows
                remain.
        """
        folder = Folder(out, self.dataset, self.identity())
        return folder.finished() or self.fill(folder, source, progress or _ignore)

    def identity(self) -> dict[str, Any]:
        """The options that determine the files; folders made with other options are refused."""
        return asdict(self)

    @abstractmethod
    def fill(self, folder: Folder, source: Path | None, progress: Progress) -> PreparationReport:
        """Check the source, then start, fill and seal a folder that is not complete."""


def _ignore(stage: str, done: int, total: int) -> None:
    pass
