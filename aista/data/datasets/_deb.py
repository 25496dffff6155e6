"""Opens a Debian package: as a file, unpacked, or by the folder that is wanted from it."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from aista.errors import DataError

__all__ = ["opened"]

_MAGIC = b"!<arch>\n"
_HEADER = 60


@contextmanager
def opened(source: Path, folder: str) -> Iterator[Path]:
    """Yield the path of the package's ``folder``; what a .deb file holds is unpacked to a temporary place.

    Args:
        source: A .deb file, the root that one was unpacked to, or ``folder`` itself wherever it lies.
        folder: Path inside the package.

    Raises:
        DataError: there is no such file or folder, or the package lacks ``folder`` or cannot be read.
    """
    if source.is_dir():
        inside = source / folder
        yield inside if inside.is_dir() else source
        return
    if not source.is_file():
        raise DataError(f"--from {source}: no such file or folder; give a .deb file or what it was unpacked to")
    with tempfile.TemporaryDirectory(prefix="aista-") as name:
        try:
            _unpack(source, folder, Path(name))
        except (tarfile.TarError, OSError, ValueError) as error:
            raise DataError(
                f"--from {source}: not a readable Debian package ({error}); download it again, "
                "or unpack it with dpkg-deb -x and give that folder"
            ) from None
        if not (Path(name) / folder).is_dir():
            raise DataError(f"--from {source}: this package holds no {folder}/; is it the right one?")
        yield Path(name) / folder


def _unpack(source: Path, folder: str, out: Path) -> None:
    """Unpack the files below ``folder`` from the data member of an ar archive, see deb(5)."""
    with source.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as an ar archive")
        while header := file.read(_HEADER):
            name, size = header[:16].decode("ascii").strip().removesuffix("/"), int(header[48:58])
            if name.startswith("data.tar"):
                break
            file.seek(size + size % 2, io.SEEK_CUR)
        else:
            raise ValueError("it holds no data.tar")
        # tarfile takes an archive that is cut off between two files for a whole one.
        if file.tell() + size > source.stat().st_size:
            raise ValueError("it is cut short")
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                content = (
                    archive.extractfile(member) if path.is_relative_to(folder) and ".." not in path.parts else None
                )
                if content is not None:
                    (out / path.parent).mkdir(parents=True, exist_ok=True)
                    (out / path).write_bytes(content.read())
