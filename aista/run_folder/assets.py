"""Assets with which a run can be opened elsewhere: its start folder, and its own copies of small files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aista.files import hash_file
from aista.run_folder.checksums import require_intact
from aista.run_folder.parsing import parsing, require_mapping, unsealed, write_object
from aista.run_folder.paths import RunPaths

__all__ = ["Assets"]


@dataclass(frozen=True)
class Assets:
    """The record of a run's assets.

    Attributes:
        started_in: Folder in which training was started.
        nodes: Config path -> the node that names the run's own copy, with paths relative to RUN/assets.
    """

    started_in: Path
    nodes: Mapping[str, Any]

    @property
    def start(self) -> Path:
        """Folder that relative paths of the run's config start from; the current one where it no longer exists."""
        return self.started_in if self.started_in.is_dir() else Path.cwd()

    def save(self, folder: Path) -> None:
        """Write the record into the folder of the assets, which may still have a temporary name."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        record = {
            "started_in": str(self.started_in),
            "nodes": self.nodes,
            "sha256": {path.relative_to(folder).as_posix(): hash_file(path) for path in files},
        }
        write_object(folder / RunPaths(folder).assets_file.name, record)

    @classmethod
    def load(cls, run: RunPaths) -> Assets:
        """Read a run's record; a run without a record counts as started in the current folder.

        Raises:
            RunError: the record is damaged, or a file that it names.
        """
        file = run.assets_file
        if not file.is_file():
            return cls(Path.cwd(), {})
        remedy = f"restore it, or remove {run.assets_dir}: then the originals are read"
        with parsing(file, f"; {remedy}"):
            data = unsealed(json.loads(file.read_bytes()))
            for name, sha256 in data.get("sha256", {}).items():
                require_intact(run.assets_dir / name, sha256, remedy)
            return cls(Path(str(data["started_in"])), require_mapping(data["nodes"], file))
