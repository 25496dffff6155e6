"""Cache of segment scores in files, for neural metrics, which take minutes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from aista.files import explain, write_json

__all__ = ["ScoreCache", "user_cache"]

log = logging.getLogger("aista.scoring")


def user_cache() -> Path:
    """The folder ``aista`` of the user's cache: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "aista")


class ScoreCache:
    """Key -> score. Each call of ``add`` writes a new file atomically, so that processes may share the cache.

    Args:
        folder: Folder of the files; made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, float] = {}
        self._read: set[str] = set()

    def scores(self) -> Mapping[str, float]:
        """All known scores, including new ones of other processes. A damaged file is reported and ignored."""
        for path in sorted(self._folder.glob("*.json")):
            if path.name in self._read:
                continue
            self._read.add(path.name)
            try:
                found = json.loads(path.read_bytes())
                self._known |= {str(key): float(score) for key, score in found.items()}
            except (OSError, ValueError, TypeError, AttributeError) as error:
                log.warning("%s: cannot be read and is left out (%s); remove it", path, error)
        return self._known

    def add(self, scores: Mapping[str, float]) -> None:
        """Store new scores. If they cannot be written, a warning says so and they are kept in memory only."""
        self._known |= scores
        name = hashlib.sha256("".join(sorted(scores)).encode()).hexdigest()[:32] + ".json"
        self._read.add(name)
        try:
            write_json(self._folder / name, dict(scores))
        except OSError as error:
            log.warning("scores are not kept for the next time: %s", explain(error, self._folder / name, "written"))
