"""Common Voice in miniature, early and late releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from aista.data.sources.base import Recording
from aista.errors import DataError
from tests import miniatures
from tests.data.sources.conftest import faults_of, parts_of, rows_of


@pytest.mark.parametrize("version", [4, 17])
def test_columns_of_any_release(tmp_path: Path, version: int) -> None:
    root = miniatures.common_voice(tmp_path, version=version)
    parts = parts_of(root)
    assert [part.split for part in parts] == ["train", "dev", "test"]
    rows = rows_of(parts[0])
    assert [row.texts["src_text"] for row in rows] == ['"Yes," he said.', "Two\u2028lines?", "Three."]
    assert rows[2].recording == Recording("common_voice_en_train2.mp3")
    assert (rows[2].texts["speaker"], rows[2].texts["src_lang"]) == ("voice2", "en")


def test_lines_that_cannot_be_read_are_faults(tmp_path: Path) -> None:
    root = miniatures.common_voice(tmp_path, version=4)
    (root / "dev.tsv").write_bytes(
        b"client_id\tpath\tsentence\nv\ta.mp3\tA tab,\\\tescaped.\nv\tb.mp3\nv\tc.mp3\tA return\r here.\nv\td\tFour.\n"
    )
    (part,) = parts_of(root, "splits=[dev]")
    rows = rows_of(part)
    assert [(row.recording.path, row.texts["src_text"]) for row in rows if row.recording] == [
        ("a.mp3", "A tab,\tescaped."),
        ("d.mp3", "Four."),
    ]
    (short, _), (broken, reason) = faults_of(part)
    assert (short, broken) == ("dev.tsv:3", "dev.tsv:4")
    assert reason.startswith("not a line of the table (new-line character seen in unquoted field")


def test_tables_of_something_else_are_refused(tmp_path: Path) -> None:
    root = miniatures.common_voice(tmp_path)
    (root / "test.tsv").write_text("file\ttext\n")
    with pytest.raises(DataError, match="needs the columns path, sentence, client_id, lacks path, sentence, client_id"):
        parts_of(root, "splits=[test]")
