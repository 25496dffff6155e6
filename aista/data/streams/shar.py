"""Lhotse Shar."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row
from aista.data.row_tasks import task_rule
from aista.data.streams.archive import Member, check_archive, read_members
from aista.data.streams.base import Shard, ShardFolder, StreamRow
from aista.data.word_times import Times, check_word_times, format_word_times
from aista.errors import DataError, shown
from aista.files import explain
from aista.registry import nearest, register
from aista.schema import option

__all__ = ["Shar"]

_CUTS = "cuts"
_NO_DATA = ("nodata", "nometa", "json")
_WRITE = "write it with `aista data shar`, or with Lhotse's SharWriter and fields={{'{}': 'flac'}}"


@register("stream", "shar")
@dataclass(frozen=True, kw_only=True)
class Shar(ShardFolder):
    """Lhotse Shar: cuts.000000.jsonl.gz beside recording.000000.tar, and so on.

    Of each cut the one supervision is read: ``text`` is the transcript, ``language`` that of the speech, ``speaker``,
    the alignment ``word`` are the words' times; the translation and its language are custom fields of it or of the cut.
    Choose it for corpora of more than a few million rows, for object stores that are mounted, and for corpora that
    Lhotse prepared. ``aista data shar`` makes one of a manifest.
    """

    field: str = option("recording", "Field of the cuts that holds the audio.")
    target: str = option("tgt_text", "Custom field that holds the translation.")
    target_language: str = option("tgt_lang", "Custom field that holds the language of the translation.")

    @override
    def shards(self, *, with_audio: bool) -> tuple[Shard, ...]:
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no such folder; name the folder of a Lhotse Shar")
        cuts = {_number(file): file for file in self.path.glob(f"{_CUTS}.*jsonl*")}
        if not cuts:
            raise DataError(
                f"{self.path}: must hold the shards of a Lhotse Shar ({_CUTS}.000000.jsonl.gz and so on), found none; "
                f"{_WRITE.format(self.field)}"
            )
        audio = {_number(file): file for file in self.path.glob(f"{self.field}.*tar")} if with_audio else {}
        if with_audio and not audio:
            fields = sorted({file.name.partition(".")[0] for file in self.path.glob("*.*")} - {_CUTS})
            raise DataError(
                f"{self.path}: no cut has the field {self.field!r}{nearest(self.field, fields)}, the shards hold "
                f"{', '.join(fields) or 'cuts alone'}; set data.stream.config.field, or {_WRITE.format(self.field)}"
            )
        if with_audio and (odd := sorted(cuts.keys() ^ audio.keys())):
            raise DataError(
                f"{self.path}: each shard must have a file of cuts and one of the field {self.field!r}, shard "
                f"{odd[0]} lacks one of them ({len(odd)} such); copy or write the shards again"
            )
        for file in audio.values():
            check_archive(file)
        return tuple(Shard(key, (cuts[key], *((audio[key],) if with_audio else ()))) for key in sorted(cuts))

    @override
    def rows(self, shard: Shard, *, with_audio: bool) -> Iterator[StreamRow]:
        cuts, *audio = shard.files
        found = (
            {member.key: member for member in read_members(audio[0]) if member.suffix not in _NO_DATA} if audio else {}
        )
        for number, cut in enumerate(_cuts(cuts), 1):
            place = f"{cuts.name}:{number}"
            try:
                yield self._row(place, cut, audio[0].name if audio else "", found)
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                rule = f"must be a cut with one supervision, got {shown(cut)} ({error}); write the shard again"
                yield StreamRow(place, Row(str(cut.get("id")), "", 0, ""), "no cut", rule)

    def _row(self, place: str, cut: Mapping[str, Any], archive: str, found: Mapping[str, Member]) -> StreamRow:
        id, duration, spoken = cut.get("id"), cut.get("duration"), cut.get("supervisions") or []
        if not isinstance(id, str) or not isinstance(duration, (int, float)):
            raise ValueError("id must be a text and duration a number")
        first: Mapping[str, Any] = spoken[0] if spoken else {}
        custom = {**(cut.get("custom") or {}), **(first.get("custom") or {})}
        text, task = _text(first.get("text")), _text(custom.get("task"))
        unknown = task_rule(task)
        row = Row(
            id,
            f"{archive}:{found[id].offset}:{found[id].size}" if id in found else "",
            round(duration * MANIFEST_SAMPLE_RATE),
            _text(custom.get(self.target)),
            speaker=_text(first.get("speaker")),
            src_text=text,
            src_lang=_text(first.get("language")),
            tgt_lang=_text(custom.get(self.target_language)),
            task="" if unknown else task,
        )
        if unknown:
            return StreamRow(place, row, "unknown task", f"{unknown}; correct the custom field of the cut")
        if len(spoken) > 1:
            rule = f"must have one supervision, got {len(spoken)}; split it (trim_to_supervisions) and write it again"
            return StreamRow(place, row, "several supervisions", rule)
        if archive and id not in found:
            return StreamRow(place, row, "no audio", f"{archive} must hold its audio, got none; write the shard again")
        if cut.get("start"):
            return StreamRow(place, row, "not whole", f"must start at 0, got {cut['start']}; write the shard again")
        try:
            times = _word_times(text, (first.get("alignment") or {}).get("word") or [])
            if times:
                check_word_times(times, text, float(duration))
        except (ValueError, TypeError, LookupError) as error:
            return StreamRow(place, row, "impossible word times", f"{error}; correct the alignment or leave it out")
        return StreamRow(place, Row(**{**vars(row), "word_times": times}))


def _number(file: Path) -> str:
    """``000003`` of cuts.000003.jsonl.gz; "" where Lhotse wrote a single shard without one."""
    return file.name.split(".")[1] if file.name.count(".") > 1 else ""


def _cuts(path: Path) -> Iterator[Mapping[str, Any]]:
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                cut = json.loads(line)
                if not isinstance(cut, dict):
                    raise ValueError(f"got {shown(cut)}")
                yield cut
    except EOFError as error:
        raise DataError(f"{path}: cut short after {number} cuts; copy or write the shard again") from error
    except (ValueError, zlib.error, gzip.BadGzipFile, RecursionError) as error:
        raise DataError(f"{path}:{number or 1}: must hold a cut, got: {error}; write the shard again") from error
    except OSError as error:
        raise DataError(explain(error, path, "read")) from error


def _text(value: Any) -> str:
    """A text on one line, as the rows of manifests are."""
    return " ".join(str(value).split()) if value is not None else ""


def _word_times(text: str, items: Sequence[Any]) -> str:
    """The column ``word_times`` of ``[word, start, duration, ...]``; words that no item names are left unknown."""
    if not items:
        return ""
    times: list[Times] = []
    left = list(items)
    for word in text.split():
        is_next = bool(left) and left[0][0] == word
        times.append((left[0][1], left[0][1] + left[0][2]) if is_next else None)
        left = left[is_next:]
    if left:
        raise ValueError(
            f"the alignment must name words of the text in their order, got {left[0][0]!r} beside {text!r}"
        )
    return format_word_times(times)
