"""export.json: the origin of an exported folder, and the SHA-256 of its files, checked before they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aista.errors import RunError
from aista.files import hash_file, write_json
from aista.model_folder import inside, read_json
from aista.run_folder.checksums import require_intact
from aista.run_folder.paths import RunPaths

__all__ = ["CARD", "RECORD", "Record", "check_files", "check_replaceable", "hash_files", "read_object"]

RECORD = "export.json"
CARD = "README.md"
_REMEDY = "copy the folder again, or export it again"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".h5", ".msgpack")
_READ = (".json", ".jinja", ".model", ".safetensors", ".tiktoken", ".spm", ".vocab")


@dataclass(frozen=True)
class Record:
    """The content of export.json.

    Attributes:
        run: Hash of the run's config.
        kind: ``whole``, ``merged`` or ``trainable``.
        step: The checkpoint's.
        score: Its validation score.
        files: Relative path -> SHA-256.
    """

    run: str
    kind: str
    step: int
    score: float | None
    files: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Write export.json, with a checksum of its own."""
        write_json(folder / RECORD, {**asdict(self), "sha256": _digest(asdict(self))})

    @classmethod
    def read(cls, folder: Path) -> Record:
        """The record of an exported folder.

        Raises:
            RunError: it is missing or damaged.
        """
        data = read_object(folder / RECORD)
        types: dict[str, Any] = {"run": str, "kind": str, "step": int, "score": (float, int, type(None)), "files": dict}
        is_sound = data.pop("sha256", None) == _digest(data) and data.keys() == types.keys()
        if not is_sound or not all(isinstance(data[key], kind) for key, kind in types.items()):
            raise RunError(f"{folder / RECORD}: damaged, or of another version of aista; {_REMEDY}")
        return cls(**data)


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file of an exported folder; raises RunError naming the file where there is none."""
    try:
        return read_json(file)
    except FileNotFoundError as error:
        raise RunError(f"{file}: missing; {_REMEDY}") from error
    except ValueError as error:
        raise RunError(f"{error}; {_REMEDY}") from error


def hash_files(folder: Path) -> dict[str, str]:
    """Relative path and SHA-256 of every file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def check_files(folder: Path, record: Record, *, verify: bool) -> None:
    """Check every file of an exported folder before any is read.

    Args:
        folder: The exported folder.
        record: Its record.
        verify: Compare what is read with its SHA-256; the card is the user's to edit.

    Raises:
        RunError: a file lies outside of the folder, could run code, was added or changed after the export, or is
            missing.
    """
    results = (RunPaths(folder).evaluation_dir, RunPaths(folder).probe_dir)
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        _require_inside(folder, name)
        if file.suffix in _PICKLES:
            raise RunError(
                f"{file}: a format that can run code when it is read, which aista never exports; remove it, or get the "
                "folder from a source that you trust"
            )
        is_read = file.suffix in _READ and not any(part.startswith(".") for part in Path(name).parts)
        is_result = any(file.is_relative_to(place) for place in results)
        if is_read and not is_result and name != RECORD and name not in record.files:
            raise RunError(f"{file}: was added after the export and would be read; remove it")
    for name, sha256 in record.files.items():
        _require_inside(folder, name)
        if verify and name != CARD:
            require_intact(folder / name, sha256, _REMEDY)


def check_replaceable(out: Path, run: str, kind: str) -> None:
    """Raise RunError unless a folder is free, or holds just the files of an earlier export of the same run and kind.

    Args:
        out: Folder to write to.
        run: As in the record.
        kind: As in the record.
    """
    if not out.is_dir():
        if out.exists():
            raise RunError(f"{out}: is not a folder; choose another name, or remove it")
        return
    present = [path for path in out.rglob("*") if path.is_symlink() or not path.is_dir() or not any(path.iterdir())]
    if not present:
        return
    record = Record.read(out) if (out / RECORD).is_file() else None
    if record is None or (record.run, record.kind) != (run, kind):
        raise RunError(f"{out}: exists and is not this export of that run; choose another folder, or remove it")
    for path in sorted(present):
        name = path.relative_to(out).as_posix()
        if name == RECORD and not path.is_symlink():
            continue
        if path.is_symlink() or not path.is_file() or record.files.get(name) != hash_file(path):
            raise RunError(f"{out}: {name} was added or changed after the export; move it away, or export elsewhere")


def _require_inside(folder: Path, name: str) -> None:
    try:
        inside(folder, name)
    except ValueError as error:
        raise RunError(str(error)) from error


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
