"""Columns are found by what the user says, by the language, and by usual names."""

from __future__ import annotations

from typing import Any

import pytest

from aista.data.sources.base import Entry, Part, Recording
from aista.data.sources.columns import TARGETS, USUAL_COLUMNS, match_columns, read_entry
from aista.errors import DataError


def part(*columns: str) -> Part:
    return Part("mine.csv", columns, lambda: iter(()))


def test_usual_names_are_found_whatever_their_case() -> None:
    found = match_columns(part("Path", "sentence", "Translation", "client_id", "up_votes"), {}, {}, {})
    assert found == {"audio": "Path", "tgt_text": "Translation", "src_text": "sentence", "speaker": "client_id"}


def test_what_the_user_says_comes_first_and_an_empty_name_takes_none() -> None:
    columns = part("id", "audio", "text", "translation", "raw")
    found = match_columns(columns, {"src_text": "raw", "id": ""}, {}, {})
    assert found == {"src_text": "raw", "audio": "audio", "tgt_text": "translation"}


def test_a_column_is_taken_once() -> None:
    assert match_columns(part("audio", "text"), {"tgt_text": "text"}, {}, {}) == {"tgt_text": "text", "audio": "audio"}


def test_columns_named_by_language() -> None:
    columns = part("audio", "translation.en", "translation.fr", "de")
    languages = {"src_text": "en", "tgt_text": "fr"}
    found = match_columns(columns, {}, {}, languages)
    assert (found["src_text"], found["tgt_text"]) == ("translation.en", "translation.fr")
    assert match_columns(columns, {}, {}, languages | {"tgt_text": "de"})["tgt_text"] == "de"


def test_an_unknown_column_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match=r"mine\.csv: .* has no column 'transcirpt' \(did you mean 'transcript'\?\)"):
        match_columns(part("audio", "transcript"), {"src_text": "transcirpt"}, {}, {})
    with pytest.raises(DataError, match=r"--column src_txt=transcript: .* \(did you mean 'src_text'\?\)"):
        match_columns(part("audio", "transcript"), {"src_txt": "transcript"}, {}, {})


def test_without_audio_or_texts_the_columns_are_listed() -> None:
    with pytest.raises(
        DataError, match=r"no column is known to hold the audio; it has spam, text: name one by --column"
    ):
        match_columns(part("spam", "text"), {}, {}, {})
    with pytest.raises(DataError, match="no column is known to hold a transcript or a translation; it has audio, spam"):
        match_columns(part("audio", "spam"), {}, {}, {})
    assert match_columns(part("spam", "text"), {"audio": ""}, {}, {}) == {"src_text": "text"}


def test_every_usual_name_serves_one_column() -> None:
    assert set(USUAL_COLUMNS) == set(TARGETS)
    names = [name for usual in USUAL_COLUMNS.values() for name in usual]
    assert len(names) == len(set(names))


COLUMNS = {name: name for name in ("audio", "src_text", "start", "end", "seconds")}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"audio": "a.wav"}, Recording("a.wav")),
        ({"audio": "a.wav", "seconds": 3}, Recording("a.wav")),
        ({"audio": "a.wav", "start": "1.5", "end": 4}, Recording("a.wav", None, 1.5, 2.5)),
        ({"audio": "a.wav", "start": 0, "seconds": "2"}, Recording("a.wav", None, 0.0, 2.0)),
        ({"audio": "a.wav", "start": 2}, Recording("a.wav", None, 2.0, None)),
        ({"audio": b"RIFF"}, Recording("", b"RIFF")),
        ({"audio": {"bytes": b"RIFF", "path": "a.wav"}}, Recording("a.wav", b"RIFF")),
        ({"audio": {"bytes": None, "path": "a.wav"}}, Recording("a.wav")),
        ({"audio": {"bytes": None, "path": None}}, None),
        ({"audio": ""}, None),
        ({}, None),
    ],
)
def test_audio_is_a_path_bytes_or_a_segment(fields: dict[str, Any], expected: Recording | None) -> None:
    assert read_entry(Entry("x", fields), COLUMNS).recording == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"audio": "a.wav", "start": -1}, "must start at 0 or later"),
        ({"audio": "a.wav", "start": 2, "end": 2}, "last some time"),
        ({"audio": "a.wav", "start": "soon"}, "must hold seconds, got 'soon'"),
        ({"audio": 3}, "must hold a path or a file's bytes, got 3"),
        ({"audio": "a.wav", "src_text": ["a", "b"]}, r"must hold a text for src_text, got \['a', 'b'\]"),
    ],
)
def test_values_of_the_wrong_kind_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_entry(Entry("x", fields), COLUMNS)


def test_numbers_are_texts_and_gaps_are_empty() -> None:
    columns = {name: name for name in ("speaker", "src_text", "tgt_text")}
    row = read_entry(Entry("x", {"speaker": 17, "src_text": None, "tgt_text": float("nan")}), columns)
    assert row.texts == {"speaker": "17", "src_text": "", "tgt_text": ""}
