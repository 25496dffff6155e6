from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.data.manifest import UNMEASURED, Row, read_manifest, write_manifest
from aista.errors import DataError
from aista.text import is_blank

HEADER = "id\taudio\tn_frames\ttgt_text\tspeaker"


def manifest(folder: Path, *lines: str) -> Path:
    path = folder / "train.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_columns_may_come_in_any_order_and_unknown_ones_are_named_once(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "tgt_text\tcolour\tid\tn_frames\taudio\tsrc_text\tsrc_lang\ttgt_lang",
        "Bonjour.\tred\tu1\t16000\ta.wav\tHello.\ten\tfr",
        "Salut.\tblue\tu2\t8000\tclips.zip:12:34\t\t\t",
    )
    result = read_manifest(path)
    assert result.unknown_columns == ("colour",)
    assert result.rows == (
        Row("u1", "a.wav", 16_000, "Bonjour.", "", "Hello.", "en", "fr", line=2),
        Row("u2", "clips.zip:12:34", 8_000, "Salut.", line=3),
    )
    assert result.rows[1].seconds == 0.5
    assert result.base == tmp_path


def test_all_format_faults_come_in_one_error_with_file_and_line(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        HEADER,
        "u1\ta.wav\t16000\tBonjour.\tx",
        "u2\ta.wav\t16000",
        "u3\ta.wav\tlots\tBonjour.\tx",
        "u1\ta.wav\t16000\tEncore.\tx",
        "\ta.wav\t-5\tBonjour.\tx",
        "",
    )
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: 6 format faults\n")
    assert f"{path}:3: expects 5 tab-separated fields as in the header, got 3: 'u2\\ta.wav\\t16000'" in message
    assert f"{path}:4: n_frames must be a whole number" in message
    assert "got 'lots'; write seconds * 16000" in message
    assert f"{path}:5: ids must be unique, got 'u1' again (first on line 2); rename or remove one" in message
    assert f"{path}:6: id must not be empty" in message
    assert "got '-5'" in message
    assert f"{path}:7: expects 5 tab-separated fields as in the header, got 1" in message


def test_missing_and_repeated_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing: tgt_text; got") as caught:
        read_manifest(manifest(tmp_path, "id\taudio\tid", "u1\ta.wav\tu1"))
    assert "columns must be named once, got 'id' more than once" in str(caught.value)


def test_the_report_of_a_broken_file_stays_short(tmp_path: Path) -> None:
    path = manifest(tmp_path, HEADER, *(f"u{index}" for index in range(500)))
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("... and 480 more")


def test_missing_empty_and_wrongly_encoded_files(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    with pytest.raises(DataError, match="no such manifest; paths in a config are relative to the current folder"):
        read_manifest(path)
    with pytest.raises(DataError, match="must be a file, got a folder"):
        read_manifest(tmp_path)
    path.write_text("")
    with pytest.raises(DataError, match="the manifest is empty; its first line names the columns: id, audio"):
        read_manifest(path)
    path.write_bytes(f"{HEADER}\nu1\ta.wav\t1\tcafé\tx\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"train\.tsv:2: must be UTF-8, got byte 0xe9; convert it"):
        read_manifest(path)
    path.write_text(f"{HEADER}\n")
    with pytest.raises(DataError, match=r"train\.tsv:1: must have rows below the columns' names, got none"):
        read_manifest(path)


def test_line_ends_of_an_old_mac_and_line_breaks_in_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_bytes(f"{HEADER}\ru1\ta.wav\t1\tOui\tx\r".encode())
    with pytest.raises(DataError, match=r"train\.tsv:1: lines must end with LF or CRLF, got CR"):
        read_manifest(path)
    path.write_bytes(f"{HEADER}\nu1\ta.wav\t1\tOui\rnon\tx\n".encode())
    with pytest.raises(DataError, match=r"train\.tsv:2: a text must hold no line break, got CR"):
        read_manifest(path)


@pytest.mark.parametrize("invisible", ["\u200b", "\ufeff", "\u200f", "\u00a0", "\u3164"])
def test_a_cell_in_which_nobody_sees_anything_is_empty(tmp_path: Path, invisible: str) -> None:
    (row,) = read_manifest(manifest(tmp_path, HEADER, f"u1\ta.wav\t1\t{invisible}\t{invisible}")).rows
    assert (row.tgt_text, row.src_text) == ("", "")
    with pytest.raises(DataError, match="id must not be empty"):
        read_manifest(manifest(tmp_path, HEADER, f"{invisible}\ta.wav\t1\tx\t"))


@pytest.mark.parametrize("number", ["9" * 5_000, "1" * 16, "1e3", "-1", "\u0661"])
def test_impossible_numbers_of_frames(tmp_path: Path, number: str) -> None:
    with pytest.raises(DataError, match="n_frames must be a whole number") as caught:
        read_manifest(manifest(tmp_path, HEADER, f"u1\ta.wav\t{number}\tx\t"))
    assert len(str(caught.value)) < 500


def test_n_frames_may_be_empty(tmp_path: Path) -> None:
    path = manifest(tmp_path, HEADER, "u1\t\t\tBonjour.\t", "u2\ta.wav\t\tBonjour.\t")
    text_only, spoken = read_manifest(path).rows
    assert (text_only.n_frames, text_only.seconds) == (0, 0)
    assert (spoken.n_frames, spoken.seconds) == (UNMEASURED, 0)
    write_manifest(path, [text_only, spoken])
    assert [row.n_frames for row in read_manifest(path).rows] == [0, UNMEASURED]


def test_the_column_n_frames_may_be_missing(tmp_path: Path) -> None:
    (row,) = read_manifest(manifest(tmp_path, "id\taudio\ttgt_text", "u1\ta.wav\tBonjour.")).rows
    assert row.n_frames == UNMEASURED


def test_quotes_line_separators_and_windows_line_ends_are_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_bytes(f'\ufeff{HEADER}\r\nu1\ta.wav\t1\t"Oui", dit-il.\u2028Non.\tx\r\n'.encode())
    assert read_manifest(path).rows[0].tgt_text == '"Oui", dit-il.\u2028Non.'


text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\t\n\r"))
text = text.map(lambda value: "" if is_blank(value) else value.strip())


@given(texts=st.lists(st.tuples(text, text), min_size=1, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("written") / "train.tsv"
    rows = [Row(f"u{i}", "a.wav", i, tgt, "", src, "en", "fr", line=i + 2) for i, (src, tgt) in enumerate(texts)]
    write_manifest(path, rows)
    assert list(read_manifest(path).rows) == rows


def test_tabs_and_line_breaks_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 'u1': tgt_text must hold no tab and no line break, got 'a\\tb'"):
        write_manifest(tmp_path / "train.tsv", [Row("u1", "a.wav", 1, "a\tb")])
    assert not (tmp_path / "train.tsv").exists()
