"""Sound files by soundfile, imported where one is decoded: models run on features without it."""

from __future__ import annotations

from soundfile import LibsndfileError, SoundFile

__all__ = ["ForwardFile", "LibsndfileError"]


class ForwardFile(SoundFile):  # type: ignore[misc]
    """Reads blocks one after the other; soundfile would seek behind each, which decoders do not do exactly."""

    def seekable(self) -> bool:
        return False
