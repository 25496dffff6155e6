"""Multilingual LibriSpeech in miniature."""

from __future__ import annotations

from pathlib import Path

from aista.data.sources.base import Recording
from tests import miniatures
from tests.data.sources.conftest import faults_of, parts_of, rows_of


def test_transcripts_and_where_their_audio_is(tmp_path: Path) -> None:
    parts = parts_of(miniatures.mls(tmp_path))
    row = rows_of(parts[0])[1]
    assert row.recording == Recording("11/21/11_21_000003")
    assert row.texts == {
        "id": "11_21_000003",
        "src_text": "ein satz von 11_21_000003",
        "speaker": "11",
        "src_lang": "de",
    }


def test_the_archive_of_opus_files_is_the_same_corpus(tmp_path: Path) -> None:
    root = miniatures.mls(tmp_path)
    other = root.rename(tmp_path / "mls_german_opus")
    assert [part.split for part in parts_of(other, languages=("de", ""))] == ["train", "dev", "test"]


def test_lines_that_are_none_are_faults(tmp_path: Path) -> None:
    root = miniatures.mls(tmp_path)
    (root / "dev" / "transcripts.txt").write_text("12_22_000000 kein tab\n12\tkein buch\n")
    (part,) = parts_of(root, "splits=[dev]")
    assert [place for place, _ in faults_of(part)] == ["dev/transcripts.txt:1", "dev/transcripts.txt:2"]
