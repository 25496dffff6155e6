"""Cuts of Lhotse, written by Lhotse itself."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from aista.data.sources.base import Recording
from aista.data.sources.opening import recognise
from aista.errors import DataError
from tests.data.sources.conftest import parts_of, rows_of

lhotse = pytest.importorskip("lhotse")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def supervision(id: str, start: float, seconds: float, text: str, translation: str) -> Any:
    return lhotse.SupervisionSegment(
        id=id,
        recording_id="talk",
        start=start,
        duration=seconds,
        text=text,
        language="en",
        speaker="anna",
        custom={"translation": translation},
    )


@pytest.fixture
def talk(tmp_path: Path) -> Any:
    samples = np.linspace(-0.5, 0.5, 16_000 * 3, dtype=np.float32)
    soundfile.write(tmp_path / "talk.wav", samples, 16_000, subtype="FLOAT")
    recording = lhotse.Recording.from_file(str(tmp_path / "talk.wav"), recording_id="talk")
    return recording.to_cut()


def test_a_cut_of_a_whole_file_refers_to_it(tmp_path: Path, talk: Any) -> None:
    talk.supervisions = [supervision("s", 0, 3, "yes", "oui")]
    lhotse.CutSet.from_cuts([talk]).to_file(str(tmp_path / "cuts.jsonl.gz"))
    assert recognise(str(tmp_path / "cuts.jsonl.gz")) == "lhotse"
    (part,) = parts_of(tmp_path / "cuts.jsonl.gz")
    (row,) = rows_of(part)
    assert row.recording == Recording(str(tmp_path / "talk.wav"), None, 0, None)
    assert {name: row.texts[name] for name in ("src_text", "tgt_text", "speaker", "src_lang")} == {
        "src_text": "yes",
        "tgt_text": "oui",
        "speaker": "anna",
        "src_lang": "en",
    }


def test_supervisions_become_rows_with_segments(tmp_path: Path, talk: Any) -> None:
    talk.supervisions = [supervision("a", 0.5, 1, "one", "un"), supervision("b", 1.75, 1, "two", "deux")]
    lhotse.CutSet.from_cuts([talk]).to_file(str(tmp_path / "cuts.jsonl"))
    rows = rows_of(parts_of(tmp_path / "cuts.jsonl")[0])
    assert [(row.texts["src_text"], row.texts["tgt_text"]) for row in rows] == [("one", "un"), ("two", "deux")]
    assert [(row.recording.start, row.recording.seconds) for row in rows if row.recording] == [(0.5, 1), (1.75, 1)]
    assert len({row.texts["id"] for row in rows}) == 2


def test_mixed_cuts_are_rendered(tmp_path: Path, talk: Any) -> None:
    talk.supervisions = [supervision("s", 0, 3, "yes", "oui")]
    lhotse.CutSet.from_cuts([talk.pad(duration=4.0)]).to_file(str(tmp_path / "cuts.jsonl"))
    (row,) = rows_of(parts_of(tmp_path / "cuts.jsonl")[0])
    assert row.recording is not None
    assert row.recording.content is not None
    samples, rate = soundfile.read(io.BytesIO(row.recording.content))
    assert (len(samples), rate) == (64_000, 16_000)
    np.testing.assert_allclose(samples[:48_000], np.linspace(-0.5, 0.5, 48_000), atol=1e-4)
    assert not samples[48_000:].any()


def test_what_are_no_cuts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cuts.jsonl").write_text('{"type": "MonoCut", "id": 3}\n')
    with pytest.raises(DataError, match=r"cuts\.jsonl: must hold cuts of Lhotse"):
        parts_of(tmp_path / "cuts.jsonl")
