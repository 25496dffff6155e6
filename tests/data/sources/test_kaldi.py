"""Kaldi's data folders."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aista.data.audio import read_audio
from aista.data.sources.base import Recording
from aista.data.sources.opening import recognise
from aista.errors import DataError
from tests.data.sources.conftest import faults_of, parts_of, rows_of


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


def test_recordings_that_are_utterances(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "data",
        wav__scp="u1 /w/u1.wav\nu2 /w/u2.flac\nu3 flac -c -d -s /w/u3.flac |\n",
        text="u1 hello there\nu3 yes\n",
        text__fr="u1 bonjour\nu2 oui  monsieur\n",
        utt2spk="u1 anna\nu2 anna\nu3 paul\n",
    )
    assert recognise(str(folder)) == "kaldi"
    (part,) = parts_of(folder)
    rows = rows_of(part, {}, {"src_text": "en", "tgt_text": "fr"})
    assert [row.recording for row in rows] == [Recording(f"/w/{name}") for name in ("u1.wav", "u2.flac", "u3.flac")]
    assert [(row.texts["src_text"], row.texts["tgt_text"], row.texts["speaker"]) for row in rows] == [
        ("hello there", "bonjour", "anna"),
        ("", "oui  monsieur", "anna"),
        ("yes", "", "paul"),
    ]
    assert [row.texts["id"] for row in rows] == ["u1", "u2", "u3"]


def test_segments_of_longer_recordings(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "data",
        wav__scp="talk talk.wav\n",
        segments="u1 talk 0.5 2.25\nu2 talk 3 2\nu3 lecture 0 1\nu4 talk 1\n",
        text="u1 one\nu2 two\nu3 three\nu4 four\n",
    )
    (part,) = parts_of(folder)
    (row,) = rows_of(part)
    assert row.recording == Recording("talk.wav", None, 0.5, 1.75)
    assert [fault for _, fault in faults_of(part)] == [
        "a segment must end after it starts, got 3 and 2",
        "wav.scp holds no recording 'lecture'",
        "a segment must be RECORDING START END, got 'talk 1'",
    ]


def test_commands_are_never_executed(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    folder = write(
        tmp_path / "data",
        wav__scp=f"u1 touch {trap} |\nu2 cat /w/a.wav | sox - - |\nu3 sph2pipe -f wav /w/a.sph |\nu4 cat '/w/it''s |\n",
        text="u1 a\nu2 b\nu3 c\nu4 d\n",
    )
    (part,) = parts_of(folder)
    assert [fault for _, fault in faults_of(part)] == 4 * [
        "wav.scp holds a command, which is not executed; name a file"
    ]
    assert not trap.exists()


@pytest.mark.parametrize("name", ["wav.scp", "text"])
def test_files_must_be_sorted(tmp_path: Path, name: str) -> None:
    files = {"wav.scp": "a a.wav\nb b.wav\nc c.wav\n", "text": "a one\nb two\nc three\n"}
    files[name] = "\n".join(files[name].splitlines()[::-1]) + "\n"
    folder = write(tmp_path / "data", **{name.replace(".", "__"): text for name, text in files.items()})
    with pytest.raises(DataError, match=r"must come after '[bc]': Kaldi's files are sorted by bytes .*fix_data_dir"):
        parts_of(folder)


def test_a_folder_of_folders_gives_the_splits(tmp_path: Path) -> None:
    for split in ("train", "dev", "test_clean"):
        write(tmp_path / split, wav__scp="a a.wav\n", text="a one\n")
    assert [part.split for part in parts_of(tmp_path)] == ["dev", "test_clean", "train"]


def archive(path: Path, *samples: np.ndarray) -> list[int]:
    """Recordings as Kaldi's wav-copy packs them: each behind its name. Their offsets."""
    offsets, content = [], b""
    for number, samples_W in enumerate(samples):
        wav = io.BytesIO()
        soundfile.write(wav, samples_W, 8000, format="WAV")
        content += f"u{number} ".encode()
        offsets.append(len(content))
        content += wav.getvalue()
    path.write_bytes(content)
    return offsets


def test_recordings_in_an_archive(tmp_path: Path) -> None:
    samples = [np.linspace(-0.5, 0.5, 100 * (number + 1)) for number in range(2)]
    folder = write(tmp_path / "data", text="u0 one\nu1 two\nu2 three\nu3 four\n")
    offsets = archive(folder / "wav.ark", *samples)
    write(
        folder,
        wav__scp="".join(f"u{number} wav.ark:{offset}\n" for number, offset in enumerate([*offsets, 1, 10**6])),
    )
    (part,) = parts_of(folder)
    assert [fault for _, fault in faults_of(part)] == 2 * [
        "wav.scp names a part of an archive that is no WAV of known length; write the recordings to files"
    ]
    for row, samples_W in zip(rows_of(part), samples, strict=True):
        assert row.recording is not None
        found_W = read_audio(row.recording.path, Path(), 8000)
        torch.testing.assert_close(found_W, torch.from_numpy(samples_W).float(), atol=2**-15, rtol=0)


def test_features_are_no_recordings(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", feats__scp="u1 feats.ark:3\n", text="u1 one\n")
    with pytest.raises(DataError, match=r"holds only features \(feats\.scp\), but aista needs audio; give the"):
        parts_of(folder)


def test_audio_is_named_from_where_the_recipe_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "recipe/data/train", wav__scp="u1\twavs/u1.wav\n", text="u1\thello there\n")
    (tmp_path / "recipe/wavs").mkdir()
    soundfile.write(tmp_path / "recipe/wavs/u1.wav", np.zeros(1600), 16_000)
    monkeypatch.chdir(tmp_path)
    (part,) = parts_of(folder)
    (row,) = rows_of(part)
    assert row.texts["src_text"] == "hello there"
    assert row.recording is not None
    assert [start for start in part.folders if (start / row.recording.path).is_file()] == [tmp_path / "recipe"]
