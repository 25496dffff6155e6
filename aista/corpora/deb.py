"""Opens Debian packages: as .deb files, unpacked, or installed."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from aista.errors import DataError

__all__ = ["opened"]

_MAGIC = b"!<arch>\n"
_HEADER = 60


@contextmanager
def opened(source: Path, packages: str, folders: Sequence[str]) -> Iterator[Path]:
    """Yield a folder with the files of packages; .deb files are unpacked to a temporary folder.

    Args:
        source: A .deb file, a folder of them, or a folder that the packages were unpacked or installed to.
        packages: Pattern of the packages' names; other .deb files of a folder are left alone.
        folders: Folders to unpack from a .deb file, e.g. ``usr/share/doc``.

    Raises:
        DataError: there is no such file or folder, or a .deb file cannot be read.
    """
    if source.is_dir():
        files = sorted(source.glob(f"{packages}_*.deb"))
    elif source.is_file():
        files = [source]
    else:
        raise DataError(f"--from {source}: no such file or folder; give .deb files or what they were unpacked to")
    if not files:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="aista-") as name:
        for file in files:
            try:
                _unpack(file, folders, Path(name))
            except (tarfile.TarError, OSError, ValueError) as error:
                raise DataError(
                    f"--from {file}: not a readable Debian package ({error}); download it again, "
                    "or unpack it with dpkg-deb -x and give that folder"
                ) from None
        yield Path(name)


def _unpack(source: Path, folders: Sequence[str], out: Path) -> None:
    """Unpack the files below ``folders`` from the data member of an ar archive, see deb(5)."""
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
                wanted = any(path.is_relative_to(folder) for folder in folders) and ".." not in path.parts
                content = archive.extractfile(member) if wanted and member.isfile() else None
                if content is not None:
                    (out / path.parent).mkdir(parents=True, exist_ok=True)
                    (out / path).write_bytes(content.read())
