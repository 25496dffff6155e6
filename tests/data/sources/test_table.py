"""Tables as people bring them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from aista.data.sources.base import Recording
from aista.errors import ConfigError, DataError
from tests.data.sources.conftest import faults_of, parts_of, rows_of


def texts(path: Path, *options: str) -> list[tuple[str, str]]:
    (part,) = parts_of(path, *options)
    return [(row.texts.get("src_text", ""), row.texts.get("tgt_text", "")) for row in rows_of(part)]


def test_csv_has_quotes_and_line_breaks_in_fields(tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text('audio,text,translation\na.wav,"Yes, ""you"".","Oui\nvous."\n', encoding="utf-8")
    assert texts(path) == [('Yes, "you".', "Oui\nvous.")]


def test_quotes_in_tsv_are_letters(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text('path\tsentence\na.mp3\t"Yes" he said\n', encoding="utf-8")
    assert texts(path) == [('"Yes" he said', "")]
    path.write_text('path\tsentence\na.mp3\t"Yes ""he"" said"\n', encoding="utf-8")
    assert texts(path, "quotes=yes") == [('Yes "he" said', "")]


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|"])
def test_the_delimiter_is_guessed(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("\r\n".join(delimiter.join(line) for line in (("audio", "text"), ("a.wav", "yes"))) + "\r\n")
    assert texts(path) == [("yes", "")]


def test_a_table_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text("LJ-1|Raw 1|one\nLJ-2|Raw 2|two\n")
    (part,) = parts_of(path, "names=[audio,_,src_text]", "quotes=no")
    assert [(row.recording, row.texts["src_text"]) for row in rows_of(part)] == [
        (Recording("LJ-1"), "one"),
        (Recording("LJ-2"), "two"),
    ]


def test_lines_with_other_numbers_of_fields_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("audio\ttext\na.wav\tone\nb.wav\n\nc.wav\ttwo\tmore\nd.wav\tthree\n")
    (part,) = parts_of(path)
    assert [row.texts["src_text"] for row in rows_of(part)] == ["one", "three"]
    assert faults_of(part) == [
        ("mine.tsv:3", "1 fields where the columns are 2"),
        ("mine.tsv:5", "3 fields where the columns are 2"),
    ]


def test_other_encodings_are_refused_and_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes("audio,text\na.wav,été\n".encode("latin-1"))
    (part,) = parts_of(path, "encoding=latin-1")
    assert rows_of(part)[0].texts["src_text"] == "été"
    with pytest.raises(DataError, match=r"mine\.csv: must be utf-8, got other bytes .*encoding=latin-1"):
        texts(path)
    with pytest.raises(DataError, match="encoding must be one that Python knows, got 'klingon'"):
        parts_of(path, "encoding=klingon")


def test_jsonl_with_nested_fields(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"audio": "a.wav", "translation": {"en": "yes", "fr": "oui"}}, {"audio": "b.wav", "translation": None}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\nno json\n[1]\n")
    (part,) = parts_of(path)
    found = rows_of(part, {}, {"src_text": "en", "tgt_text": "fr"})
    assert [row.texts for row in found] == [{"src_text": "yes", "tgt_text": "oui"}, {"src_text": "", "tgt_text": ""}]
    (third, why), (fourth, reason) = faults_of(part)
    assert (third, why[:8], fourth, reason) == (
        "mine.jsonl:3",
        "not JSON",
        "mine.jsonl:4",
        "not a JSON object but list",
    )


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list_is_read_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None
) -> None:
    monkeypatch.setattr("aista.data.sources.corpus_files._PIECE", 7)
    rows = [{"audio": f"{index}.wav", "text": "é, ]}[{" * index} for index in range(9)]
    path = tmp_path / "mine.json"
    path.write_text(" \n" + json.dumps(rows, indent=indent), encoding="utf-8")
    assert [text for text, _ in texts(path)] == [row["text"] for row in rows]


def test_a_json_list_that_is_cut_short_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"audio": "a.wav", "text": "one"}, {"audio": "b.wav", "text": "two"}])[:-10])
    (part,) = parts_of(path)
    assert [row.texts["src_text"] for row in rows_of(part)] == ["one"]
    ((place, fault),) = faults_of(part)
    assert place == "mine.json[1]"
    assert "nothing after it can be read" in fault


def test_gzip_and_its_cut_end(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"audio": "%d.wav", "text": "one"}\n' % i for i in range(2000))))
    assert len(texts(path)) == 2000
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="the file is cut short"):
        texts(path)


def test_parquet_with_audio_inside(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "mine.parquet"
    audio = [{"bytes": b"RIFF1", "path": "a.wav"}, {"bytes": b"RIFF2", "path": "b.wav"}]
    parquet.write_table(pa.table({"audio": audio, "translation": [{"en": "a", "fr": "b"}] * 2}), path)
    (part,) = parts_of(path)
    assert (part.columns, part.total) == (("audio", "translation.en", "translation.fr"), 2)
    (first, second) = rows_of(part, {}, {"src_text": "en", "tgt_text": "fr"})
    assert (first.recording, second.recording) == (Recording("a.wav", b"RIFF1"), Recording("b.wav", b"RIFF2"))
    assert first.texts == {"src_text": "a", "tgt_text": "b"}
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"mine\.parquet: must be a parquet file"):
        parts_of(path)


def test_a_folder_with_a_table_for_each_split(tmp_path: Path) -> None:
    for name in ("train.tsv", "validation.tsv", "test.tsv", "other.tsv"):
        (tmp_path / name).write_text("path\tsentence\na.mp3\tyes\n")
    assert [(part.name.rpartition("/")[2], part.split) for part in parts_of(tmp_path)] == [
        ("test.tsv", "test"),
        ("train.tsv", "train"),
        ("validation.tsv", "dev"),
    ]


def test_a_folder_with_several_tables_needs_a_choice(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("audio,text\n")
    with pytest.raises(DataError, match=r"one file, or files named after their splits .* got a\.csv, b\.csv"):
        parts_of(tmp_path, layout="table")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its first line must name the columns, got an empty one"),
        (b"audio,audio\n", "columns must be named once, got audio more than once"),
        ("audio,text\n".encode("utf-16"), "must be utf-8"),
    ],
)
def test_broken_headers(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        parts_of(path)


def test_an_empty_jsonl_says_what_it_must_hold(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n")
    with pytest.raises(DataError, match="must hold a JSON object on each line, or a list of objects; it is empty"):
        parts_of(path, layout="table")


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown option"):
        parts_of(tmp_path, "delimeter=x", layout="table")
    with pytest.raises(ConfigError, match="delimiter must be one character"):
        parts_of(tmp_path, "delimiter=xy", layout="table")
