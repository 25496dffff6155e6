"""LibriSpeech in miniature."""

from __future__ import annotations

from pathlib import Path

from aista.data.sources.base import Recording
from tests import miniatures
from tests.data.sources.conftest import faults_of, parts_of, rows_of


def test_subsets_become_splits(tmp_path: Path) -> None:
    root = miniatures.librispeech(tmp_path)
    parts = parts_of(root)
    assert [(Path(part.name).name, part.split) for part in parts] == [
        ("train-clean-100", "train"),
        ("dev-clean", "dev"),
        ("test-other", "test-other"),
    ]
    rows = rows_of(parts[0])
    assert [row.texts["src_text"] for row in rows] == ["four geese", "a fifth", "no more"]
    assert rows[1].recording == Recording("19/198/19-198-0001.flac")
    assert {key: rows[2].texts[key] for key in ("id", "speaker", "src_lang")} == {
        "id": "26-495-0000",
        "speaker": "26",
        "src_lang": "en",
    }
    assert parts[0].note == "transcripts in lower case"


def test_capitals_can_be_kept(tmp_path: Path) -> None:
    part = parts_of(miniatures.librispeech(tmp_path), "lowercase=false")[1]
    assert (rows_of(part)[0].texts["src_text"], part.note) == ("THE GATE", "")


def test_chapters_without_transcripts_are_counted(tmp_path: Path) -> None:
    root = miniatures.librispeech(tmp_path)
    (root / "train-clean-100/19/198/19-198.trans.txt").unlink()
    part = parts_of(root)[0]
    assert len(rows_of(part)) == 1
    assert faults_of(part) == [
        (f"19/198/19-198-000{index}.flac", "its chapter has no 19-CHAPTER.trans.txt") for index in (0, 1)
    ]
