"""Makes Debian packages for tests."""

import io
import tarfile
from pathlib import Path


def write_deb(root: Path, path: Path, *, folder: str = "usr", data: str = "data.tar.xz") -> Path:
    """A .deb file as dpkg-deb writes it, with the files of ``root/usr``.

    Args:
        root: Unpacked package.
        path: File to write.
        folder: What ``usr`` is called in it.
        data: Name of the member that holds the files.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:xz") as tar:
        tar.add(root / "usr", arcname=f"./{folder}")
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", data: archive.getvalue()}
    content = b"!<arch>\n"
    for name, member in members.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(member):<10}`\n"
        content += header.encode() + member + b"\n" * (len(member) % 2)
    path.write_bytes(content)
    return path
