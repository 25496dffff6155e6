"""Maps columns of a source to columns of a manifest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aista.data.manifest import COLUMNS
from aista.data.sources.base import Entry, Part, Recording
from aista.errors import DataError, shown
from aista.registry import nearest

__all__ = ["TARGETS", "USUAL_COLUMNS", "SourceRow", "match_columns", "read_entry"]

USUAL_COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "utt_id", "utterance_id", "utt", "uttid", "segment_id", "sample_id", "key"),
    "audio": (
        *("audio", "audio_filepath", "audio_path", "audio_file", "path", "file", "file_name", "filename"),
        *("file_path", "wav", "wav_path", "clip", "recording", "src_audio", "source_audio", "speech"),
    ),
    "tgt_text": ("tgt_text", "translation", "target_text", "translated_text", "translation_text", "target", "tgt_ref"),
    "src_text": (
        *("src_text", "transcript", "transcription", "source_text", "sentence", "raw_transcription", "text"),
        *("raw_text", "normalized_text", "src_ref"),
    ),
    "speaker": ("speaker", "speaker_id", "client_id", "spk", "spk_id"),
    "src_lang": ("src_lang", "source_lang", "source_language", "language", "lang", "locale"),
    "tgt_lang": ("tgt_lang", "target_lang", "target_language", "ref_lang"),
    "word_times": ("word_times",),
    "task": ("task",),
    "split": ("split", "subset", "partition"),
    "start": ("start", "offset", "start_time", "begin"),
    "end": ("end", "end_time", "stop"),
    "seconds": ("seconds", "duration"),
}
"""Column of a manifest -> its common names, the most specific first."""

TARGETS = (*(name for name in COLUMNS if name != "n_frames"), "split", "start", "end", "seconds")
"""Targets of a source's columns. Times are in seconds: ``start`` with ``end`` or ``seconds`` cuts a segment."""

_BY_LANGUAGE = ("{}", "text_{}", "text.{}", "translation.{}", "translation_{}", "sentence_{}", "transcript_{}")


@dataclass(frozen=True)
class SourceRow:
    """A row with mapped columns: texts by column of a manifest (including ``split``), and its audio."""

    texts: Mapping[str, str]
    recording: Recording | None


def match_columns(
    part: Part,
    given: Mapping[str, str],
    usual: Mapping[str, Sequence[str]],
    languages: Mapping[str, str],
) -> dict[str, str]:
    """Column of a manifest -> column of a part, named by the user or found by common names.

    Args:
        part: The part with the columns to match.
        given: The user's mapping; an empty name takes no column.
        usual: The layout's own names.
        languages: ``src_text`` and ``tgt_text`` -> language code, or "": columns named by language are found so.

    Raises:
        DataError: a name is not a column, or there is no column for the audio or for any text.
    """
    for target, name in given.items():
        if target not in TARGETS:
            raise DataError(
                f"--column {target}={name}: the first name must be a column of manifests{nearest(target, TARGETS)}; "
                f"these are {', '.join(TARGETS)}"
            )
        if name and name not in part.columns:
            raise DataError(
                f"{part.name}: --column {target}={name}: has no column {name!r}{nearest(name, part.columns)}; it has "
                f"{', '.join(part.columns) or 'none'}"
            )
    matched = {target: name for target, name in given.items() if name}
    by_name = {name.lower(): name for name in reversed(part.columns)}
    for target in (target for target in TARGETS if target not in given):
        hits = [hit for name in _names(target, usual, languages) if (hit := by_name.get(name.lower())) is not None]
        free = [hit for hit in hits if hit not in matched.values()]
        if free:
            matched[target] = free[0]
    for what, targets in (("the audio", ("audio",)), ("a transcript or a translation", ("src_text", "tgt_text"))):
        if not any(target in matched or given.get(target) == "" for target in targets):
            raise DataError(
                f"{part.name}: no column is known to hold {what}; it has {', '.join(part.columns) or 'none'}: name one "
                f"by --column {targets[0]}=NAME" + (", or --column audio= for texts alone" * (targets[0] == "audio"))
            )
    return matched


def read_entry(entry: Entry, columns: Mapping[str, str]) -> SourceRow:
    """A row's texts and audio.

    Raises:
        ValueError: a value is not what its column must hold.
    """
    values = {target: entry.fields.get(name) for target, name in columns.items()}
    texts = {
        target: _text(target, columns[target], value)
        for target, value in values.items()
        if target not in ("audio", "start", "end", "seconds")
    }
    return SourceRow(texts, _recording(values))


def _names(target: str, usual: Mapping[str, Sequence[str]], languages: Mapping[str, str]) -> Iterator[str]:
    yield from usual.get(target, ())
    if language := languages.get(target, ""):
        yield from (pattern.format(language) for pattern in _BY_LANGUAGE)
    yield from USUAL_COLUMNS[target]


def _text(target: str, column: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (bool, int, float)):
        return "" if isinstance(value, float) and math.isnan(value) else str(value)
    raise ValueError(f"the column {column!r} must hold a text for {target}, got {shown(value)}")


def _recording(values: Mapping[str, Any]) -> Recording | None:
    audio = values.get("audio")
    if isinstance(audio, Recording):
        return audio
    start, end, seconds = (_number(name, values.get(name)) for name in ("start", "end", "seconds"))
    if start is None:
        seconds = None  # a duration alone describes the whole file
    elif end is not None:
        seconds = end - start
    if (start or 0) < 0 or (seconds is not None and seconds <= 0):
        raise ValueError(f"a segment must start at 0 or later and last some time, got {start} s and {seconds} s")
    if isinstance(audio, bytes):
        audio = {"bytes": audio}
    elif isinstance(audio, str):
        audio = {"path": audio}
    elif not isinstance(audio, Mapping | None):
        raise ValueError(f"the column of the audio must hold a path or a file's bytes, got {shown(audio)}")
    path, content = (audio or {}).get("path") or "", (audio or {}).get("bytes")
    return Recording(path, content, start or 0.0, seconds) if path or content is not None else None


def _number(target: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"the column for {target} must hold seconds, got {shown(value)}")
    return number
