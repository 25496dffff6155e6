"""The source of results: a checkpoint and a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from aista.errors import RunError
from aista.run_folder.paths import split_label

__all__ = ["Source", "differing_data"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A checkpoint and the manifest that it was evaluated or probed on.

    Attributes:
        checkpoint: Its name.
        split: The value of ``--split``: a split's name, or a manifest's path.
        manifest: Resolved path; empty in older results, which do not record it.
        sha256: SHA-256 of the manifest; empty where ``manifest`` is.
        input: Text input in place of speech: ``transcripts``, or a file of recognised ones; else empty.
    """

    checkpoint: str
    split: str
    manifest: str = ""
    sha256: str = ""
    input: str = ""

    def __str__(self) -> str:
        source = f" from {self.input}" if self.input else ""
        return f"{self.checkpoint or 'an unknown checkpoint'} on {self.split}{source}"

    def to_json(self) -> dict[str, str]:
        """Plain data, which ``of`` reads; the input only where it is not the speech."""
        return {name: value for name, value in asdict(self).items() if value or name != "input"}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Source:
        """Read the source from the record of results; missing fields are empty."""
        return cls(**{field.name: str(record.get(field.name, "")) for field in fields(cls)})

    @property
    def details(self) -> str:
        """The checkpoint, the path of the manifest and the start of its SHA-256, as far as they are known."""
        return f"{self} ({self.manifest}, SHA-256 {self.sha256[:12]})" if self.sha256 else str(self)

    def require_same(self, old: Source, place: Path, *, checkpoint: bool = True) -> None:
        """Refuse to replace the results of ``old`` in ``place`` unless they are of the same manifest and checkpoint.

        Args:
            old: Source of the existing results; where it has no SHA-256, the split is compared.
            place: File or folder of the results.
            checkpoint: Whether the checkpoint must be the same too.

        Raises:
            RunError: they differ.
        """
        ours, theirs = (self.sha256, old.sha256) if old.sha256 else (split_label(self.split), split_label(old.split))
        if ours != theirs or (checkpoint and self.checkpoint != old.checkpoint):
            raise RunError(
                f"{place}: holds the results of {old.details}, which those of {self.details} do not replace; "
                "move them away, or choose another name"
            )


def differing_data(sources: Mapping[str, Source]) -> str:
    """A warning where manifests with different contents are compared, else ""; ``sources`` is label -> source.

    Ids and references may be equal although the recordings differ.
    """
    if len({source.sha256 for source in sources.values()} - {""}) < 2:
        return ""
    return "evaluated on manifests of different contents: " + "; ".join(
        f"{label}: {source.details}" for label, source in sources.items()
    )
