"""MuST-C in miniature."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aista.data.sources.base import Recording
from aista.data.sources.must_c import _segments
from aista.errors import DataError
from tests import miniatures
from tests.data.sources.conftest import faults_of, parts_of, rows_of


def test_segments_with_their_texts(tmp_path: Path) -> None:
    root = miniatures.must_c(tmp_path)
    parts = parts_of(root)
    assert [(part.split, part.total) for part in parts] == [("train", 4), ("dev", 2), ("test", 2), ("tst-HE", 2)]
    rows = rows_of(parts[0])
    assert rows[3].recording == Recording("ted_2.wav", None, 1.5, 1.25)
    assert rows[3].texts == {
        "id": "ted_2_1",
        "src_text": "Talk 2,\x85part 1.",
        "tgt_text": "de 2\u20281",
        "speaker": "spk.2",
        "src_lang": "en",
        "tgt_lang": "de",
    }
    assert [row.texts["id"] for row in rows] == ["ted_1_0", "ted_1_1", "ted_2_0", "ted_2_1"]


@pytest.mark.parametrize("width", [80, 10_000])
def test_segments_are_read_as_yaml_reads_them(tmp_path: Path, width: int) -> None:
    segments = [
        {"duration": 3.5, "offset": 16.08, "rW": 9, "speaker_id": "spk.7", "uW": 0, "wav": "ted_7.wav"},
        {"wav": "a b, c.wav", "offset": 1e-05, "duration": 12, "speaker_id": "'s: d'"},
    ]
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(segments, default_flow_style=None, width=width))
    found = [values for _, values in _segments(path)]
    assert [(values["wav"], float(values["offset"]), float(values["duration"])) for values in found] == [
        (segment["wav"], segment["offset"], segment["duration"]) for segment in segments
    ]


def test_segments_that_cannot_be_cut_are_faults(tmp_path: Path) -> None:
    table = miniatures.must_c(tmp_path) / "en-de/data/dev/txt/dev.yaml"
    table.write_text("- {duration: 0.0, offset: 1.0, wav: ted_3.wav}\n- {duration: 1.0, wav: ted_3.wav}\n")
    (part,) = parts_of(tmp_path, "splits=[dev]")
    assert [place for place, _ in faults_of(part)] == ["dev.yaml:1", "dev.yaml:2"]
    assert all("needs wav, offset and a duration above 0" in fault for _, fault in faults_of(part))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    texts = miniatures.must_c(tmp_path) / "en-de/data/train/txt"
    (texts / "train.yaml").write_text("- {duration: 1.0, offset: 1.0, wav: ted_1.wav}\n")
    with pytest.raises(DataError, match=r"train\.yaml: must hold a segment for each line of train\.en, got 1 and 4"):
        parts_of(tmp_path)
    (texts / "train.yaml").write_text("- duration: 1.0\n  offset: 1.0\n")
    with pytest.raises(DataError, match=r"must hold a line such as '- \{duration: .*got '- duration: 1\.0"):
        parts_of(tmp_path)
    (texts / "train.de").write_text("zu wenig\n")
    with pytest.raises(DataError, match=r"must have a line for each segment, got train\.en 4, train\.de 1"):
        parts_of(tmp_path)
    (texts / "train.de").unlink()
    with pytest.raises(DataError, match=r"lacks .*train\.de; unpack the corpus again"):
        parts_of(tmp_path)
