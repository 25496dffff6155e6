from __future__ import annotations

import os
from pathlib import Path

import pytest

from aista.errors import DataError
from aista.text import drop_invisible, is_blank, read_lines


@pytest.mark.parametrize(
    "text", ["", " \t", "\u200b", "\ufeff", "\u200f\u202c", "\u00a0", "\u3164", "\u00ad\ufe0f", "\x00"]
)
def test_what_nobody_sees_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(f"{text}a")
    assert not is_blank(f"!{text}")


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        (
            "\u202b\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd\u202c",
            "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        ),
        ("stone\u200b bird", "stone bird"),
        ("co\u00adope\u200drate", "cooperate"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),  # Persian: spelling
        ("\u200c\u0645\u06cc\u200c", "\u0645\u06cc"),
        ("क्\u200dष", "क्\u200dष"),  # Hindi: another shape
    ],
)
def test_format_characters_are_dropped_but_spelling_is_kept(text: str, visible: str) -> None:
    assert drop_invisible(text) == visible


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb\n".encode("utf-16"), r"t\.tsv: must be UTF-8, got UTF-16; convert it, for example with iconv -f UTF-16"),
        ("a\nb\n".encode("utf-16-le"), r"t\.tsv: must be UTF-8, got UTF-16"),
        (b"a\rb\r", r"t\.tsv:1: lines must end with LF or CRLF, got CR; convert them, for example by tr"),
        (b"a\nb\xe9\n", r"t\.tsv:2: must be UTF-8, got byte 0xe9"),
    ],
)
def test_other_encodings_and_line_ends_name_the_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_lines(tmp_path / "t.tsv", "no such file")


def test_lines(tmp_path: Path) -> None:
    for content, lines in (
        (b"", []),
        (b"\xef\xbb\xbfa\r\nb", ["a", "b"]),
        (b"a\n\n", ["a", ""]),
        (b"a\rb\n", ["a\rb"]),
    ):
        (tmp_path / "t.tsv").write_bytes(content)
        assert read_lines(tmp_path / "t.tsv", "") == lines
    with pytest.raises(DataError, match="gone: no such file"):
        read_lines(tmp_path / "gone", "no such file")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError, match=f"^{path}: must be a file, got a folder, a pipe or a device; name a"):
            read_lines(path, "no such file")
    with pytest.raises(DataError, match="cannot be read: embedded null byte"):
        read_lines(tmp_path / "a\0", "no such file")
