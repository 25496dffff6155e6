"""Audio files read by soundfile, which is imported only when a file is decoded."""

from __future__ import annotations

from soundfile import LibsndfileError, SoundFile

__all__ = ["ForwardFile", "LibsndfileError"]


class ForwardFile(SoundFile):  # type: ignore[misc]
    """Reads blocks one after the other; soundfile would seek behind each, which decoders do not do exactly."""

    def seekable(self) -> bool:
        return False
