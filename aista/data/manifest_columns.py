"""Rewrites columns of a manifest and keeps all others unchanged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from aista.data.manifest import Manifest
from aista.errors import DataError
from aista.files import write_text
from aista.text import read_lines

__all__ = ["moved_audio", "write_columns"]


def write_columns(manifest: Manifest, out: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Write a manifest's lines with other values in some columns, atomically; order and other columns are kept.

    Args:
        manifest: The result of ``read_manifest``.
        out: Output file; may be the manifest itself.
        columns: Name -> a value for each row; a column that the manifest lacks comes last.

    Raises:
        DataError: the file has changed since it was read.
    """
    lines = read_lines(manifest.path, "it was there when the command started")
    header = lines[0].split("\t")
    if [line.split("\t")[header.index("id")].strip() for line in lines[1:]] != manifest.rows.texts("id"):
        raise DataError(f"{manifest.path}: has changed since it was read; repeat the command")
    names = header + [name for name in columns if name not in header]
    written = ["\t".join(names)]
    for index, line in enumerate(lines[1:]):
        cells = dict(zip(header, line.split("\t"), strict=True))
        cells |= {name: values[index] for name, values in columns.items()}
        written.append("\t".join(cells[name] for name in names))
    write_text(out, "\n".join(written) + "\n")


def moved_audio(manifest: Manifest, out: Path) -> list[str]:
    """The rows' ``audio`` for a manifest at ``out``, with relative paths adjusted to its folder."""
    here, there = (os.path.realpath(folder) for folder in (manifest.base, out.parent))
    if here == there:
        return manifest.rows.texts("audio")
    return [_moved(audio, here, there) if audio else "" for audio in manifest.rows.texts("audio")]


def _moved(audio: str, here: str, there: str) -> str:
    if os.path.isabs(audio):
        return audio
    path = os.path.relpath(os.path.join(here, audio), there)
    # Beside a symbolic link, ".." leads elsewhere than the text says.
    same = os.path.realpath(os.path.join(there, path)) == os.path.realpath(os.path.join(here, audio))
    return path if same else os.path.join(here, audio)
