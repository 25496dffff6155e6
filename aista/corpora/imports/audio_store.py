"""Audio of an imported corpus: files stay in place; bytes and segments are written into the new folder."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import soundfile

from aista.corpora.imports.media_shelf import DecodedMedia, MediaShelf
from aista.data.audio_file import MissingAudioError, UndecodableAudioError, locate, open_audio, shown
from aista.data.sources.base import Recording
from aista.errors import DataError
from aista.files import replacing

__all__ = ["AUDIO_FOLDER", "AudioStore", "SegmentError"]

AUDIO_FOLDER = "audio"
_ENDINGS = ("", ".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
_MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}
_OVERSHOOT = 0.5  # seconds by which a segment may end behind its recording, as in Kaldi's extract-segments
_SAME = 0.05  # seconds that a segment may lack of the whole file


class SegmentError(DataError):
    """A segment that does not lie within its recording."""


class AudioStore:
    """Determines each recording's ``audio`` field. Thread-safe.

    What it writes is named after its content, so that a repeated import writes nothing twice.

    Args:
        out: Folder of the manifests.
        folders: Folders that relative paths may start from, the most likely first.
    """

    def __init__(self, out: Path, folders: Sequence[Path]) -> None:
        self._out = out
        self._folders = folders
        self._shelf = MediaShelf()

    def place(self, recording: Recording, id: str) -> str:
        """The manifest's ``audio`` for a recording, which is written to a file if it is not one.

        Raises:
            MissingAudioError: no such file.
            SegmentError: a segment does not lie within its recording.
            UndecodableAudioError: a segment's file is not audio.
        """
        if recording.content is not None:
            return self._stored(recording, recording.content, id)
        spec = self._find(recording.path)
        if recording.is_whole:
            return self._shown(spec)
        status = os.stat(locate(spec, Path()).path)
        name = f"{spec}:{status.st_size}:{status.st_mtime_ns}"
        return self._cut(name.encode(), spec, recording, id) or self._shown(spec)

    def _stored(self, recording: Recording, content: bytes, id: str) -> str:
        if not recording.is_whole and (cut := self._cut(content, io.BytesIO(content), recording, id)):
            return cut
        ending = next((ending for magic, ending in _MAGIC.items() if content.startswith(magic)), "")
        name = _name(id, content, ending or Path(recording.path).suffix)
        if not (self._out / name).is_file():
            with replacing(self._out / name) as temporary:
                temporary.write_bytes(content)
        return name

    def _cut(self, identity: bytes, source: Any, recording: Recording, id: str) -> str:
        """Write a segment to a file and return its name, or "" where it is the whole recording."""
        if recording.seconds is not None:
            name = _segment_name(id, identity, recording.start, recording.seconds)
            if (self._out / name).is_file():  # of an interrupted import: long recordings are not decoded again
                return name
        with self._opened(source, recording.path or id) as file:
            seconds = file.frames / file.samplerate
            length = seconds - recording.start if recording.seconds is None else recording.seconds
            end = recording.start + length
            if length <= 0 or recording.start >= seconds or end > seconds + _OVERSHOOT:
                raise SegmentError(
                    f"a segment must lie within its recording of {seconds:.2f} s, got {recording.start:.2f}-{end:.2f} s"
                )
            if recording.start == 0 and abs(length - seconds) <= _SAME:
                return ""
            name = _segment_name(id, identity, recording.start, length)
            if not (self._out / name).is_file():
                file.seek(round(recording.start * file.samplerate))
                samples_WC = file.read(round(length * file.samplerate), dtype="float32", always_2d=True)
                samples_W = samples_WC.mean(axis=1)
                is_fine = file.subtype in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")
                with replacing(self._out / name) as temporary:
                    soundfile.write(
                        str(temporary),
                        samples_W / max(1.0, float(abs(samples_W).max(initial=0))),
                        file.samplerate,
                        format="FLAC",
                        subtype="PCM_24" if is_fine else "PCM_16",
                    )
            return name

    @contextmanager
    def _opened(self, source: Any, name: str) -> Iterator[soundfile.SoundFile | DecodedMedia]:
        if isinstance(source, str) and (media := self._shelf.find(source)) is not None:
            yield media
            return
        try:
            with ExitStack() as opened:
                if isinstance(source, str) and locate(source, Path()).length is not None:
                    _, source = opened.enter_context(open_audio(source, Path()))
                yield opened.enter_context(soundfile.SoundFile(source))
        except (soundfile.LibsndfileError, TypeError) as error:
            raise UndecodableAudioError(f"{shown(name)}: no segment of it can be read ({error})") from None

    def _find(self, path: str) -> str:
        """The path or part of an archive, absolute."""
        folders = [Path()] if os.path.isabs(path) else list(self._folders)
        for folder, ending in ((folder, ending) for ending in _ENDINGS for folder in folders):
            location = locate(path + ending, folder)
            if os.path.isfile(location.path):
                absolute = os.path.abspath(location.path)
                return absolute if location.length is None else f"{absolute}:{location.offset}:{location.length}"
        places = ", ".join(str(folder) for folder in folders)
        raise MissingAudioError(f"{shown(path)}: no such file in {places}")

    def _shown(self, spec: str) -> str:
        """Relative to the manifests where the file lies below their folder's parent, so that both can move together."""
        base = os.path.abspath(self._out)
        inside = spec.startswith(os.path.join(os.path.dirname(base), ""))
        return os.path.relpath(spec, base) if inside else spec


def _segment_name(id: str, identity: bytes, start: float, seconds: float) -> str:
    return _name(id, b"%b:%f:%f" % (identity, start, start + seconds), ".flac")


def _name(id: str, identity: bytes, ending: str) -> str:
    """``audio/3f/ID-3f0a1b2c3d4e.flac``: a readable name, unique by content, in small folders."""
    digest = hashlib.blake2b(identity, digest_size=6).hexdigest()
    readable = re.sub(r"[^\w.-]+", "_", id)[:60].strip(".")
    return f"{AUDIO_FOLDER}/{digest[:2]}/{readable}-{digest}{ending.lower()[:8]}"
