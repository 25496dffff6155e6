"""Europarl-ST in miniature."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aista.data.sources.base import Recording
from aista.errors import DataError
from tests import miniatures
from tests.data.sources.conftest import faults_of, parts_of, rows_of

PAIR = ("en", "de")


def test_segments_of_speeches(tmp_path: Path) -> None:
    root = miniatures.europarl_st(tmp_path)
    parts = parts_of(root, languages=PAIR)
    assert [(part.split, part.total) for part in parts] == [("train", 2), ("train-noisy", 2), ("dev", 2), ("test", 2)]
    rows = rows_of(parts[2])
    speech = "en.20080924.2.3-243"
    assert [row.recording for row in rows] == [Recording(speech, None, 0.25, 1.0), Recording(speech, None, 1.5, 1.25)]
    assert rows[1].texts == {
        "id": f"{speech}_1",
        "src_text": "Sir 2.",
        "tgt_text": "de again 2.",
        "speaker": "EP_2",
        "src_lang": "en",
        "tgt_lang": "de",
    }
    assert parts[0].folders == (root / "en" / "audios",)


def test_each_direction_is_a_pair_of_its_own(tmp_path: Path) -> None:
    root = miniatures.europarl_st(tmp_path)
    (row, _) = rows_of(parts_of(root, languages=("de", ""))[0])
    assert (row.texts["src_lang"], row.texts["src_text"]) == ("de", "Madam 0.")
    with pytest.raises(DataError, match="holds de-en, en-de, en-fr, not de-fr"):
        parts_of(root, languages=("de", "fr"))


def test_segments_that_are_none_are_faults_and_speakers_may_be_absent(tmp_path: Path) -> None:
    root = miniatures.europarl_st(tmp_path)
    folder = root / "en/de/dev"
    (folder / "segments.lst").write_text("speech 2.0 1.0\nspeech 0\n")
    part = parts_of(root, "splits=[dev]", languages=PAIR)[0]
    assert faults_of(part) == [
        ("dev/segments.lst:1", "a segment must be SPEECH START END, got 'speech 2.0 1.0'"),
        ("dev/segments.lst:2", "a segment must be SPEECH START END, got 'speech 0'"),
    ]
    (folder / "segments.lst").write_text("speech 1.0 2.0\nspeech 2.0 3.0\n")
    (folder / "speakers.lst").unlink()
    assert [row.texts["speaker"] for row in rows_of(part)] == ["", ""]


def test_m4a_without_pyav_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = miniatures.europarl_st(tmp_path)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"--format europarl_st needs av, .*; pip install 'aista\[media\]'"):
        parts_of(root, languages=PAIR)
    for speech in (root / "en" / "audios").iterdir():
        speech.rename(speech.with_suffix(".wav"))
    assert len(parts_of(root, languages=PAIR)) == 4


def test_a_missing_translation_is_refused(tmp_path: Path) -> None:
    root = miniatures.europarl_st(tmp_path)
    (root / "en/de/test/segments.de").unlink()
    with pytest.raises(DataError, match=r"lacks .*en/de/test/segments\.de; unpack"):
        parts_of(root, languages=PAIR)
