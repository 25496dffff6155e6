"""WebDataset: plain tar archives."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import soundfile
from typing_extensions import override

from aista.data.audio_file import Part
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row
from aista.data.row_tasks import task_rule
from aista.data.streams.archive import Member, check_archive, read_members
from aista.data.streams.base import Shard, ShardFolder, StreamRow
from aista.data.word_times import check_word_times
from aista.errors import DataError, shown
from aista.files import explain
from aista.registry import register
from aista.schema import option

__all__ = ["WebDataset"]

_AUDIO = ("wav", "flac", "mp3", "ogg", "opus")
_LARGEST_JSON = 2**24


@register("stream", "webdataset")
@dataclass(frozen=True, kw_only=True)
class WebDataset(ShardFolder):
    """WebDataset: *.tar, in which the files of a row are adjacent: KEY.flac, KEY.json.

    The JSON object holds the texts; what it lacks may be files of their own, KEY.src_text say (or KEY.txt for the
    transcript). A row's length is ``n_frames`` (at 16 kHz) or ``duration`` (seconds), else what the audio's header
    says. Choose it for corpora that others have prepared; the Lhotse Shar that ``aista data shar`` writes has all texts
    of a shard in one file, which is read faster.
    """

    source: str = option("src_text", "Key of the transcript.")
    target: str = option("tgt_text", "Key of the translation.")

    @override
    def shards(self, *, with_audio: bool) -> tuple[Shard, ...]:
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder; name the folder of the archives")
        files = sorted(self.path.glob("*.tar"))
        if not files:
            raise DataError(f"{self.path}: must hold tar archives (*.tar), found none; copy them there")
        for file in files:
            check_archive(file)
        return tuple(Shard(file.stem, (file,)) for file in files)

    @override
    def rows(self, shard: Shard, *, with_audio: bool) -> Iterator[StreamRow]:
        (path,) = shard.files
        try:
            with path.open("rb", buffering=0) as stream:
                for key, group in groupby(read_members(path, first_dot=True), lambda member: member.key):
                    files = {member.suffix: member for member in group}
                    place = f"{path.name}: {key}"
                    try:
                        yield StreamRow(place, self._row(path, stream.fileno(), key, files, with_audio=with_audio))
                    except ValueError as error:
                        yield StreamRow(place, Row(key, "", 0, ""), "not readable", f"{error}; write the shard again")
        except OSError as error:
            raise DataError(explain(error, path, "read")) from error

    def _row(self, path: Path, stream: int, key: str, files: Mapping[str, Member], *, with_audio: bool) -> Row:
        fields = {name: content(stream, files[name]) for name in (self.source, self.target) if name in files}
        if "txt" in files:
            fields.setdefault(self.source, content(stream, files["txt"]))
        if "json" in files:
            fields |= _object(content(stream, files["json"]))
        audio = next((files[suffix] for suffix in _AUDIO if suffix in files), None)
        if audio is None and with_audio:
            raise ValueError(f"must have a file of audio ({', '.join(_AUDIO)}), got {', '.join(sorted(files))}")
        keys = {"src_text": self.source, "tgt_text": self.target, **_SAME}
        texts: dict[str, Any] = {name: " ".join(str(fields.get(key) or "").split()) for name, key in keys.items()}
        frames = _frames(stream, fields, audio)
        if texts["word_times"]:
            check_word_times(texts["word_times"], texts["src_text"], frames / MANIFEST_SAMPLE_RATE)
        spec = f"{path.name}:{audio.offset}:{audio.size}" if audio is not None and with_audio else ""
        if rule := task_rule(texts["task"]):
            raise ValueError(rule)
        return Row(key, spec, frames, texts.pop("tgt_text"), **texts)


_SAME = {name: name for name in ("speaker", "src_lang", "tgt_lang", "word_times", "task")}


def content(stream: int, member: Member) -> str:
    """Read a text file of an archive. Raises ValueError if it is not UTF-8 or very large."""
    if member.size > _LARGEST_JSON:
        raise ValueError(f"{member.key}.{member.suffix} must have at most {_LARGEST_JSON} bytes, got {member.size}")
    return io.BufferedReader(Part(stream, member.offset, member.size)).read().decode("utf-8")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"its JSON must be an object, got {shown(text)}")
    return value


def _frames(stream: int, fields: Mapping[str, Any], audio: Member | None) -> int:
    for key, factor in (("n_frames", 1), ("duration", MANIFEST_SAMPLE_RATE)):
        if key in fields:
            value = fields[key]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value * factor < 2**53:
                raise ValueError(f"{key} must be a number of 0 or more, got {shown(value)}")
            return round(value * factor)
    if audio is None:
        return 0
    try:
        with soundfile.SoundFile(io.BufferedReader(Part(stream, audio.offset, audio.size))) as file:
            seconds: float = file.frames / file.samplerate
            return round(seconds * MANIFEST_SAMPLE_RATE)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"its audio cannot be decoded ({error})") from error
