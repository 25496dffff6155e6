"""SHA-256 of state files: recorded when they are written, compared before they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from aista.errors import RunError
from aista.files import hash_file, write_json
from aista.run_folder.parsing import parsing
from aista.run_folder.paths import CHECKSUMS, RunPaths

__all__ = ["check_state_file", "require_complete", "require_intact", "way_back", "write_checksums"]


def require_intact(file: Path, sha256: str, remedy: str) -> None:
    """Compare a file with its recorded SHA-256.

    Raises:
        RunError: the file is missing or differs; ends with ``remedy``.
        OSError: it cannot be read.
    """
    if damage := _damage(file, sha256):
        raise RunError(f"{file}: {damage}; {remedy}")


def write_checksums(checkpoint: Path, checksums: Mapping[str, str]) -> None:
    """Write into a checkpoint's folder the SHA-256 of each of its files, by relative path."""
    write_json(checkpoint / CHECKSUMS, dict(sorted(checksums.items())))


def require_complete(checkpoint: Path) -> None:
    """Check that all files of a checkpoint exist, without reading them.

    Raises:
        RunError: a file or the list of files is missing; names intact checkpoints.
    """
    _complete(checkpoint)


def check_state_file(checkpoint: Path, file: Path) -> None:
    """Compare a file of a checkpoint with the SHA-256 that was recorded when it was written.

    Raises:
        RunError: it is missing or differs, or there is no record of it; names intact checkpoints.
        OSError: it cannot be read.
    """
    sha256 = _complete(checkpoint).get(file.relative_to(checkpoint).as_posix())
    if sha256 is None:
        raise RunError(f"{file}: not in {checkpoint / CHECKSUMS}; {way_back(checkpoint)}")
    if damage := _damage(file, sha256):
        raise RunError(f"{file}: {damage}; {way_back(checkpoint)}")


def way_back(checkpoint: Path) -> str:
    """The remedy for a damaged checkpoint; reads all others of its run to find intact ones."""
    run = RunPaths(checkpoint.parent.parent)
    others = (step for step in run.checkpoint_steps() if run.checkpoint_dir(step) != checkpoint)
    whole = [step for step in others if _is_whole(run.checkpoint_dir(step))]
    if not whole:
        return "no other checkpoint of this run is intact: restore it from a copy, or train again in a new run folder"
    return (
        f"intact are the checkpoints of steps {', '.join(map(str, whole))}: name one (--checkpoint {whole[-1]}), or "
        f"remove {checkpoint} and repeat the command, which then goes on from the checkpoints that are left"
    )


def _is_whole(checkpoint: Path) -> bool:
    try:
        return not any(_damage(checkpoint / name, sha256) for name, sha256 in _read(checkpoint).items())
    except (RunError, OSError):
        return False


def _complete(checkpoint: Path) -> dict[str, str]:
    """The checksums of a checkpoint, all of whose files exist."""
    try:
        checksums = _read(checkpoint)
    except RunError as error:
        raise RunError(f"{error}; {way_back(checkpoint)}") from error
    missing = [name for name in checksums if not (checkpoint / name).is_file()]
    if missing:
        raise RunError(f"{checkpoint / missing[0]}: missing; {way_back(checkpoint)}")
    return checksums


def _read(checkpoint: Path) -> dict[str, str]:
    file = checkpoint / CHECKSUMS
    if not file.is_file():
        raise RunError(
            f"{file}: missing; the checkpoint is damaged, or of an earlier aista, whose weights --no-verify reads"
        )
    with parsing(file):
        checksums = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(checksums, dict) or not checksums:
            raise ValueError("expects a mapping from each state file to its SHA-256")
        return {name: str(sha256) for name, sha256 in checksums.items()}


def _damage(file: Path, sha256: str) -> str:
    """Describe how a file differs from its recorded checksum; empty where it does not."""
    if not file.is_file():
        return "missing"
    actual = hash_file(file)
    return "" if actual == sha256 else f"damaged: its SHA-256 is {actual}, but {sha256} was written"
