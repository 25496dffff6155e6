"""Cache of decoded recordings in forward-only containers, from which segments are cut."""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from aista.data.audio_file import UndecodableAudioError, open_audio, shown
from aista.data.media_file import Container, MediaFile, find_container

__all__ = ["DecodedMedia", "MediaShelf"]

_HEAD = 64  # bytes by which containers are known
_BLOCK = 1 << 18  # samples
_KEPT = 2  # recordings: segments come in order, and threads are at most at the border of two


class DecodedMedia:
    """A whole recording, the mean of its channels, read as ``soundfile.SoundFile`` is."""

    subtype = "PCM_16"

    def __init__(self, samples_W: NDArray[np.float32], samplerate: int) -> None:
        self._samples_W = samples_W
        self.samplerate = samplerate
        self.frames = len(samples_W)
        self._place = 0

    def seek(self, place: int) -> None:
        """Go to a sample."""
        self._place = place

    def read(self, frames: int, **_: object) -> NDArray[np.float32]:
        """The next ``[W, 1]`` samples."""
        return self._samples_W[self._place : self._place + frames, None]


class MediaShelf:
    """Decodes each recording once for all its consecutive segments. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[str, tuple[NDArray[np.float32], int]] = OrderedDict()

    def find(self, spec: str) -> DecodedMedia | None:
        """The recording; None where libsndfile reads it, and so any part of it.

        Raises:
            MissingAudioError: no such file.
            UndecodableAudioError: it cannot be decoded to its end, or PyAV is not installed.
        """
        with open_audio(spec, Path()) as (_, part):
            container = find_container(part.read(_HEAD))
        if container is None:
            return None
        with self._lock:
            if spec not in self._held:
                self._held[spec] = _decoded(spec, container)
            self._held.move_to_end(spec)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
            return DecodedMedia(*self._held[spec])


def _decoded(spec: str, container: Container) -> tuple[NDArray[np.float32], int]:
    blocks_W = [np.zeros(0, np.float32)]
    with open_audio(spec, Path()) as (_, part):
        try:
            with MediaFile(io.BufferedReader(part), container) as media:
                while len(block_WC := media.read(_BLOCK)):
                    blocks_W.append(block_WC.mean(axis=1))
        except ValueError as error:
            raise UndecodableAudioError(f"{shown(spec)}: {error}") from error
    samples_W = np.concatenate(blocks_W)
    if len(samples_W) < media.frames:
        raise UndecodableAudioError(
            f"{shown(spec)}: it announces {media.frames} samples, only {len(samples_W)} can be decoded; copy it again"
        )
    return samples_W, media.samplerate
