"""Remembers which audio files decoded, so that a second start need not decode them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aista.data.audio import AudioInfo, locate, probe_audio
from aista.files import write_json

__all__ = ["ProbeCache"]

_VERSION = 1


class ProbeCache:
    """Outcomes of ``probe_audio`` for one manifest, kept in ``.NAME.decoded.json`` beside it.

    An entry counts only while the file's size and modification time are what they were. Failures
    are not kept, so a mended disk is noticed. ``probe`` may be called from several threads.
    """

    def __init__(self, manifest: Path) -> None:
        self._base = manifest.parent
        self._file = manifest.parent / f".{manifest.name}.decoded.json"
        self._known: dict[str, list[int]] = _read(self._file)
        self._new: dict[str, list[int]] = {}

    def probe(self, spec: str) -> AudioInfo:
        """As ``probe_audio(spec, manifest.parent)``, decoding only what is new or changed."""
        try:
            status = locate(spec, self._base).path.stat()
        except OSError:
            return probe_audio(spec, self._base)  # reports what is wrong
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(spec)
        if known is not None and known[:2] == stamp:
            return AudioInfo(*known[2:])
        info = probe_audio(spec, self._base)
        self._new[spec] = [*stamp, *info]
        return info

    def save(self) -> None:
        """Write what is known now; in a folder that cannot be written, do nothing."""
        if not self._new:
            return
        try:
            write_json(self._file, {"version": _VERSION, "decoded": self._known | self._new})
        except OSError:
            return  # only speed is lost


def _read(file: Path) -> dict[str, list[int]]:
    """The entries of a cache file; none where it is missing or not of our making."""
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8"))
        entries = data["decoded"] if data["version"] == _VERSION else {}
        return {str(spec): [int(number) for number in entry] for spec, entry in entries.items() if len(entry) == 5}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
