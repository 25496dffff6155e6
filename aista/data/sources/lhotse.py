"""Cuts of Lhotse."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import soundfile
from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, Recording, Source, flatten
from aista.data.sources.corpus_files import find_files, first_objects
from aista.errors import DataError
from aista.extras import require
from aista.registry import register
from aista.schema import Options

__all__ = ["Lhotse"]

_SUFFIXES = (".jsonl",)
_LOOKED_AT = 100
_SAME = 1e-3  # seconds by which the end of a whole recording may differ


@register("source", "lhotse")
@dataclass(frozen=True, kw_only=True)
class Lhotse(Options, Source):
    """Lhotse cuts in .jsonl or .jsonl.gz: one file, or a folder with a file for each split.

    A cut with several supervisions becomes several rows. Texts are the supervision's ``text`` and the texts among the
    custom fields of both, such as ``translation``. A cut that is all of a file refers to it; of others, mixed and
    augmented ones too, the audio is rendered by Lhotse and stored.

    Choose it for what a recipe of Lhotse or icefall prepared; a Lhotse Shar is a ``stream``.
    """

    @classmethod
    @override
    def recognises(cls, place: str) -> bool:
        try:
            kinds = [first_objects(file, 1)[0].get("type") for file, _ in find_files(place, _SUFFIXES)]
        except DataError:
            return False
        return all(str(kind).endswith("Cut") for kind in kinds)

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        lhotse = require("lhotse", "--format lhotse", DataError)
        return [_part(lhotse, file, split) for file, split in find_files(place, _SUFFIXES)]


def _part(lhotse: Any, file: Path, split: str) -> Part:
    columns: dict[str, None] = {"audio": None}
    for _, cut in islice(_cuts(lhotse, file), _LOOKED_AT):
        columns |= dict.fromkeys(_fields(cut))
    return Part(str(file), tuple(columns), lambda: _entries(lhotse, file), split, (Path(), file.parent))


def _cuts(lhotse: Any, file: Path) -> Iterator[tuple[str, Any]]:
    """Each cut with one supervision or none, and its place."""
    try:
        for number, cut in enumerate(lhotse.CutSet.from_jsonl_lazy(file), 1):
            single = [cut] if len(cut.supervisions) <= 1 else cut.trim_to_supervisions(keep_overlapping=False)
            for part in single:
                yield f"{file.name}:{number}", part
    except (ValueError, KeyError, TypeError, AssertionError, EOFError, OSError) as error:
        raise DataError(f"{file}: must hold cuts of Lhotse, cannot be read ({type(error).__name__}: {error})") from None


def _entries(lhotse: Any, file: Path) -> Iterator[Entry]:
    for place, cut in _cuts(lhotse, file):
        try:
            yield Entry(place, {**_fields(cut), "audio": _recording(lhotse, cut)})
        except Exception as error:  # of whatever an audio backend meets
            yield Entry(place, {}, f"Lhotse cannot read its audio ({type(error).__name__})")


def _fields(cut: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": cut.id}
    for supervision in cut.supervisions[:1]:
        fields |= {
            "text": supervision.text,
            "speaker": supervision.speaker,
            "language": supervision.language,
            **_plain(supervision.custom),
        }
    return {**_plain(getattr(cut, "custom", None)), **fields}


def _plain(custom: Mapping[str, Any] | None) -> dict[str, Any]:
    values = flatten(custom or {})
    return {name: value for name, value in values.items() if isinstance(value, (str, int, float))}


def _recording(lhotse: Any, cut: Any) -> Recording:
    recording = cut.recording if isinstance(cut, lhotse.MonoCut) and cut.has_recording else None
    sources = recording.sources if recording is not None and not recording.transforms else []
    if recording is not None and [source.type for source in sources] == ["file"] and recording.num_channels == 1:
        is_whole = cut.start == 0 and abs(cut.duration - recording.duration) < _SAME
        return Recording(sources[0].source, None, cut.start, None if is_whole else cut.duration)
    buffer = io.BytesIO()
    soundfile.write(buffer, cut.load_audio().mean(axis=0), cut.sampling_rate, format="FLAC", subtype="PCM_24")
    return Recording(f"{cut.id}.flac", buffer.getvalue())
