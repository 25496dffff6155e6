"""Published corpora in miniature, imported as their users do: from the folder of the archive to manifests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aista.cli.main import main
from aista.data.audio import read_audio
from aista.data.data_config import DataConfig
from aista.data.inspection import inspect
from aista.data.manifest import Row, read_manifest
from tests import miniatures

RATE = miniatures.RATE


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The commands configure logging; leave it as it was."""
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main(["data", "import", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def rows_by_split(out: Path) -> dict[str, list[Row]]:
    return {path.stem: list(read_manifest(path).rows) for path in sorted(out.glob("*.tsv"))}


EXPECTED = {
    "common_voice": {"train": 3, "dev": 1, "test": 1},
    "covost2": {"train": 3, "dev": 1, "test": 1},
    "europarl_st": {"train": 2, "train-noisy": 2, "dev": 2, "test": 2},
    "fleurs": {"train": 3, "dev": 1, "test": 1},
    "librispeech": {"train": 3, "dev": 1, "test-other": 1},
    "mls": {"train": 2, "dev": 1, "test": 1},
    "must_c": {"train": 4, "dev": 2, "test": 2, "tst-HE": 2},
}
"""Rows of each split: the official ones, whole."""
LANGUAGES = {
    "covost2": ("en", "de"),
    "europarl_st": ("en", "de"),
    "fleurs": ("en", "fr"),
    "mls": ("de", ""),
    "must_c": ("en", "de"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_one_command_keeps_the_official_splits(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = getattr(miniatures, name)(tmp_path / "raw"), tmp_path / "out"
    source, target = LANGUAGES.get(name, ("en", ""))
    flags = ["--source-language", source, *(["--target-language", target] if target else [])]
    text = run(capsys, out, "--from", root, *flags)
    splits = rows_by_split(out)
    assert {split: len(rows) for split, rows in splits.items()} == EXPECTED[name]
    assert "splits: as the source gives them" in text
    rows = [row for rows in splits.values() for row in rows]
    assert {(row.src_lang, row.tgt_lang) for row in rows} == {(source, target)}
    assert all(row.src_text and bool(row.tgt_text) == bool(target) for row in rows)
    for path in out.glob("*.tsv"):
        config = DataConfig(source_language=source, target_language=target)
        assert inspect(read_manifest(path), config, needs_target=bool(target)).problems == ()


def test_segments_are_the_samples_of_their_talk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = miniatures.must_c(tmp_path / "raw"), tmp_path / "out"
    run(capsys, out, "--from", root)
    row = rows_by_split(out)["train"][3]
    talk, _ = soundfile.read(root / "en-de/data/train/wav/ted_2.wav")
    cut, rate = soundfile.read(out / row.audio)
    assert (rate, row.n_frames) == (RATE, len(cut))
    np.testing.assert_array_equal(cut, talk[round(1.5 * RATE) : round(2.75 * RATE)])
    assert row.id == "ted_2_1"


def test_segments_of_m4a_are_the_samples_that_it_decodes_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    root, out = miniatures.europarl_st(tmp_path / "raw"), tmp_path / "out"
    run(capsys, out, "--from", root, "--source-language", "de")
    for row, (start, end) in zip(rows_by_split(out)["test"], [(0.25, 1.25), (1.5, 2.75)], strict=True):
        speech = read_audio("de/audios/de.20080924.3.3-243.m4a", root, RATE).numpy()
        cut, _ = soundfile.read(out / row.audio)
        assert row.n_frames == len(cut)
        np.testing.assert_allclose(cut, speech[round(start * RATE) : round(end * RATE)], atol=2**-15)


def test_missing_audio_is_counted_and_a_split_without_any_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = miniatures.must_c(tmp_path / "raw")
    (root / "en-de/data/train/wav/ted_1.wav").unlink()
    text = run(capsys, tmp_path / "out", "--from", root)
    assert "left out: 2 rows: audio file is missing (train.yaml:1, train.yaml:2)" in text
    (root / "en-de/data/dev/wav/ted_3.wav").unlink()
    error = run(capsys, tmp_path / "other", "--from", root, code=2)
    assert "no row of dev can be used: 4 rows: audio file is missing" in error
    assert not list((tmp_path / "other").glob("*.tsv"))


def test_a_sentence_in_two_official_splits_is_told_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = miniatures.covost2(tmp_path / "raw", joint=False)
    table = root / "covost_v2.en_de.test.tsv"
    table.write_text(table.read_text().replace("Five.", "three"))
    text = run(capsys, tmp_path / "out", "--from", root, "--target-language", "de")
    assert "1 rows of test have a transcript or translation that is in train, too" in text
    assert {split: len(rows) for split, rows in rows_by_split(tmp_path / "out").items()} == EXPECTED["covost2"]
    error = run(capsys, tmp_path / "b", "--from", root, "--target-language", "de", "--split", "dev=0.3", code=2)
    assert "--split dev: the source has its own dev" in error


def test_an_import_that_goes_on_decodes_no_long_recording_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aista.corpora.imports import importer, media_shelf

    pytest.importorskip("av")
    root, out = miniatures.europarl_st(tmp_path / "raw"), tmp_path / "out"
    decoded: list[str] = []
    real = media_shelf._decoded

    def counting(spec: str, container: object) -> object:
        decoded.append(Path(spec).name)
        return real(spec, container)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(media_shelf, "_decoded", counting)
    command = [out, "--from", root, "--source-language", "de"]
    with monkeypatch.context() as patch:
        patch.setattr(importer, "_write", interrupted)
        run(capsys, *command, code=130)
    assert len(decoded) == len(set(decoded)) == 4
    run(capsys, *command)
    assert len(decoded) == 4


def test_clips_of_covost_stay_where_they_lie_and_what_cannot_be_used_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = miniatures.covost2(tmp_path / "raw", joint=False)
    (root / "clips" / "cut.mp3").write_bytes(b"no audio at all")
    soundfile.write(str(root / "clips" / "still.mp3"), np.zeros(RATE), RATE, format="MP3")
    for name in ("mute.mp3", "quoted.mp3"):
        miniatures.write_audio(root / "clips" / name)
    lines = [
        ["cut.mp3", "Cut.", "Schnitt.", "s"],
        ["still.mp3", "Still.", "Still.", "s"],
        ["gone.mp3", "Gone.", "Weg.", "s"],
        ["mute.mp3", "Mute.", " ", "s"],
        ["quoted.mp3", r"\"Yes\", he  said.", '"Ja", sagt er', "s"],
        ["common_voice_en_train0.mp3", "Again.", "Noch einmal.", "s"],
        ["a.mp3", "b", "c", "d", "too many"],
    ]
    with (root / "covost_v2.en_de.train.tsv").open("a") as stream:
        stream.writelines("\t".join(line) + "\n" for line in lines)
    text = run(capsys, tmp_path / "out", "--from", root, "--target-language", "de")
    rows = {row.id: row for row in rows_by_split(tmp_path / "out")["train"]}
    assert set(rows) == {*(f"common_voice_en_train{index}" for index in range(3)), "mute", "quoted"}
    assert rows["quoted"].audio == "../raw/cv-corpus/en/clips/quoted.mp3"
    assert (rows["quoted"].src_text, rows["quoted"].tgt_text) == ('"Yes", he said.', '"Ja", sagt er')
    assert "(1 without translation)" in text
    for line in ("audio cannot be decoded", "audio is empty or silent", "audio file is missing"):
        assert f"left out: 1 rows: {line} (covost_v2.en_de.train.tsv:" in text
    assert "left out: 1 rows: named twice in its split (covost_v2.en_de.train.tsv:10)" in text
    assert "left out: 1 rows: 5 fields where the columns are 4 (covost_v2.en_de.train.tsv:11)" in text
