"""Records results about audio files, so that a second start need not read them again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aista.data.audio import AudioInfo, probe_audio
from aista.data.audio_file import file_status
from aista.errors import DataError
from aista.files import write_json

__all__ = ["FileMemory", "ProbeCache"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_VERSION = 2


class FileMemory:
    """Results of a function of audio files, for one manifest, kept in ``.NAME.TOPIC.json`` beside it.

    An entry counts only while the file's size and modification time are what they were. Failures are not recorded, so a
    repaired disk is noticed. ``recall`` may be called from several threads.

    Args:
        manifest: The manifest that names the files.
        topic: What is remembered; part of the file's name.
        compute: (the manifest's ``audio`` field, the manifest's folder) -> values that JSON holds.
        types: Of these values; other entries of the file are ignored.
    """

    def __init__(
        self, manifest: Path, topic: str, compute: Callable[[str, Path], Sequence[Any]], types: Sequence[type]
    ) -> None:
        self._base = manifest.parent
        self._file = manifest.parent / f".{manifest.name}.{topic}.json"
        self._topic = topic
        self._compute = compute
        self._types = [int, int, *types]  # size and time come first
        self._known: dict[str, list[Any]] = self._read()
        self._new: dict[str, list[Any]] = {}

    def recall(self, spec: str) -> Sequence[Any]:
        """What ``compute`` gives for a file, computing only for those that are new or changed."""
        try:
            status = file_status(spec, self._base)
        except DataError:
            return self._compute(spec, self._base)  # reports what is wrong
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(spec)
        if known is not None and known[:2] == stamp:
            return known[2:]
        values = self._compute(spec, self._base)
        self._new[spec] = [*stamp, *values]
        return values

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Result]:
        """``function`` of each item, computed in threads; saves what was recalled even when it is interrupted.

        ``progress`` is called with (items done, items) after each, from the calling thread.
        """
        results: list[Result] = []
        try:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for result in pool.map(function, items):
                    results.append(result)
                    if progress is not None:
                        progress(len(results), len(items))
        finally:
            self.save()
        return results

    def save(self) -> None:
        """Write what is known now; in a folder that cannot be written, do nothing."""
        if not self._new:
            return
        try:
            write_json(self._file, {"version": _VERSION, self._topic: self._known | self._new})
        except OSError:
            return  # only speed is lost

    def _read(self) -> dict[str, list[Any]]:
        """The entries of the file; none where it is missing or not of our making."""
        try:
            data: Any = json.loads(self._file.read_text(encoding="utf-8"))
            entries = data[self._topic] if data["version"] == _VERSION else {}
            return {spec: entry for spec, entry in entries.items() if self._is_whole(entry)}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}

    def _is_whole(self, entry: list[Any]) -> bool:
        return [type(value) for value in entry] == self._types and all(
            value > 0 for value in entry if isinstance(value, int)
        )


class ProbeCache(FileMemory):
    """Outcomes of ``probe_audio``."""

    def __init__(self, manifest: Path, max_seconds: float = math.inf) -> None:
        super().__init__(manifest, "decoded", partial(probe_audio, max_seconds=max_seconds), (int, int, int))

    def probe(self, spec: str) -> AudioInfo:
        """As ``probe_audio``, decoding only what is new or changed; what is known may last longer than allowed."""
        return AudioInfo(*self.recall(spec))
