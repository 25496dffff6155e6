"""The preparation on a small fake of Common Voice with CoVoST's tables beside it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from aista.corpora.covost2 import DIFFERS, REPEATED, Covost2
from aista.corpora.preparation import PreparationReport
from aista.data.data_config import DataConfig
from aista.data.inspection import inspect
from aista.data.manifest import read_manifest
from aista.errors import DataError

RATE = 48_000
SPLITS = {"train": 6, "dev": 2, "test": 2}


def clip_name(split: str, index: int) -> str:
    return f"common_voice_en_{split}{index}.mp3"


def write_clip(folder: Path, name: str, seconds: float) -> None:
    time = np.arange(int(seconds * RATE)) / RATE
    soundfile.write(str(folder / name), 0.3 * np.sin(2 * np.pi * 440 * time), RATE, format="MP3")


def write_table(file: Path, *rows: list[str]) -> None:
    file.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def sentence(split: str, index: int) -> str:
    return f"The {split} says {index}."


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """Ten clips of 1 s and more, tables of the three splits, and validated.tsv."""
    folder = tmp_path / "cv" / "en"
    (folder / "clips").mkdir(parents=True)
    validated = [["client_id", "path", "sentence", "up_votes"]]
    for split, count in SPLITS.items():
        rows = [["path", "sentence", "translation", "client_id"]]
        for index in range(count):
            write_clip(folder / "clips", clip_name(split, index), 1 + index / 4)
            rows.append([clip_name(split, index), sentence(split, index), f"{split} 說 {index}。", f"speaker{index}"])
            validated.append([f"speaker{index}", clip_name(split, index), sentence(split, index), "2"])
        write_table(folder / f"covost_v2.en_zh-CN.{split}.tsv", *rows)
    write_table(folder / "validated.tsv", *validated)
    return folder


def add(voice: Path, *rows: list[str]) -> None:
    with (voice / "covost_v2.en_zh-CN.train.tsv").open("a", encoding="utf-8") as file:
        file.writelines("\t".join(row) + "\n" for row in rows)


def prepare(out: Path, source: Path | None, **options: object) -> PreparationReport:
    return Covost2(**options).prepare(out, source=source)


def test_manifests_name_the_clips_where_they_lie(tmp_path: Path, voice: Path) -> None:
    out = tmp_path / "data" / "covost2"
    report = prepare(out, voice)
    assert report.counts == SPLITS
    assert (report.dropped, report.noted) == ({}, {})
    manifest = read_manifest(out / "train.tsv")
    row = manifest.rows[2]
    assert row.id == "common_voice_en_train2"
    assert row.audio == "../../cv/en/clips/common_voice_en_train2.mp3"
    assert (row.src_text, row.tgt_text) == ("The train says 2.", "train 說 2。")
    assert (row.speaker, row.src_lang, row.tgt_lang) == ("speaker2", "en", "zh-CN")
    assert row.seconds == pytest.approx(1.5, abs=0.06)  # MP3 pads to whole frames
    inspection = inspect(manifest, DataConfig(source_language="en", target_language="zh-CN"))
    assert inspection.counts["kept"] == 6
    assert not (out / "audio").exists()
    assert report.files == ["README.md", "checksums.txt", "dev.tsv", "fingerprint.json", "test.tsv", "train.tsv"]


def test_copies_at_16_khz_and_a_tokenizer_if_asked_for(tmp_path: Path, voice: Path) -> None:
    out = tmp_path / "out"
    prepare(out, voice, convert=True, vocab_size=70)
    row = read_manifest(out / "train.tsv").rows[0]
    assert row.audio == "audio/common_voice_en_train0.flac"
    info = soundfile.info(str(out / row.audio))
    assert (info.samplerate, info.channels, info.frames) == (16_000, 1, row.n_frames)
    assert (out / "spm.model").is_file()


def test_every_row_left_out_is_reported_with_its_reason(tmp_path: Path, voice: Path) -> None:
    write_clip(voice / "clips", "cut.mp3", 1)
    (voice / "clips" / "cut.mp3").write_bytes(b"no audio at all")
    soundfile.write(str(voice / "clips" / "still.mp3"), np.zeros(RATE), RATE, format="MP3")
    for name in ("mute", "untold"):
        write_clip(voice / "clips", f"{name}.mp3", 1)
    add(
        voice,
        ["cut.mp3", "Cut.", "切", "s"],
        ["still.mp3", "Still.", "静", "s"],
        ["gone.mp3", "Gone.", "走", "s"],
        ["mute.mp3", "Mute.", " ", "s"],
        ["untold.mp3", "", "沉", "s"],
        [clip_name("train", 0), "Again.", "又", "s"],
        ["a.mp3", "b", "c", "d", "too many"],
    )
    report = prepare(tmp_path / "out", voice)
    assert report.dropped == {
        "5 fields where the columns are 4": ["covost_v2.en_zh-CN.train.tsv:14"],
        "clip cannot be decoded": ["cut"],
        "clip without sound": ["still"],
        "named twice in its split": ["common_voice_en_train0"],
        "no such clip": ["gone"],
        "no transcript": ["untold"],
        "no translation": ["mute"],
    }
    assert report.counts["train"] == 6
    assert "left out: 1 rows (no such clip)" in str(report)
    assert "| no such clip | 1 |" in (tmp_path / "out" / "README.md").read_text()


def test_what_is_odd_about_kept_rows_is_noted(tmp_path: Path, voice: Path) -> None:
    text = (voice / "validated.tsv").read_text()
    (voice / "validated.tsv").write_text(text.replace("The dev says 1.", "The dev said 1."))
    write_clip(voice / "clips", "copy.mp3", 1)
    add(voice, ["copy.mp3", "the TEST says 0.", "抄", "s"])
    report = prepare(tmp_path / "out", voice)
    assert report.noted == {DIFFERS: ["common_voice_en_dev1"], REPEATED: ["copy"]}
    assert report.counts == {**SPLITS, "train": 7}
    assert prepare(tmp_path / "out", None).noted == report.noted


def test_backslashes_and_quotes_of_the_tables(tmp_path: Path, voice: Path) -> None:
    write_clip(voice / "clips", "quoted.mp3", 1)
    add(voice, ["quoted.mp3", r"\"Yes\", he  said.", '"是", 他说', "s"])
    prepare(tmp_path / "out", voice)
    row = read_manifest(tmp_path / "out" / "train.tsv").rows[-1]
    assert (row.src_text, row.tgt_text) == ('"Yes", he said.', '"是", 他说')


def test_the_joint_table_gives_the_same_rows(tmp_path: Path, voice: Path) -> None:
    expected = prepare(tmp_path / "a", voice)
    joint = [["path", "translation", "split"]]
    for split, count in SPLITS.items():
        (voice / f"covost_v2.en_zh-CN.{split}.tsv").unlink()
        for index in range(count):
            origin = "train_covost" if split == "train" and index % 2 else split
            joint.append([clip_name(split, index), f"{split} 說 {index}。", origin])
    joint.append([clip_name("dev", 0), "not of this version", "dev_covost"])
    write_table(voice / "covost_v2.en_zh-CN.tsv", *joint)
    assert prepare(tmp_path / "b", voice).fingerprint == expected.fingerprint


def test_a_complete_folder_is_verified_and_an_interrupted_one_continued(tmp_path: Path, voice: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        assert total == 10
        if done == 7:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        Covost2().prepare(out, source=voice, progress=interrupt)
    assert (out / ".train.tsv.decoded.arrow").is_file()
    report = prepare(out, voice)
    assert report.fingerprint == prepare(tmp_path / "whole", voice).fingerprint
    again = prepare(out, None)
    assert again.reused
    assert again.fingerprint == report.fingerprint


def test_what_is_no_corpus_is_refused(tmp_path: Path, voice: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"covost2 is read from an unpacked Common Voice 4 \(en\): .* with --from$"):
        prepare(out, None)
    with pytest.raises(DataError, match="has no folder clips"):
        prepare(out, tmp_path)
    with pytest.raises(DataError, match=r"holds no covost_v2\.en_ja\.train\.tsv; put covost_v2\.en_ja\.tsv"):
        prepare(out, voice, target="ja")
    (voice / "covost_v2.en_zh-CN.dev.tsv").unlink()
    with pytest.raises(DataError, match=r"holds no covost_v2\.en_zh-CN\.dev\.tsv"):
        prepare(out, voice)
    write_table(voice / "covost_v2.en_zh-CN.dev.tsv", ["path", "sentence"])
    with pytest.raises(DataError, match="needs the columns path, sentence, translation, client_id, lacks translation"):
        prepare(out, voice)
    write_table(voice / "covost_v2.en_zh-CN.dev.tsv", ["path", "sentence", "translation", "client_id"])
    with pytest.raises(DataError, match="no usable row is left for dev"):
        prepare(out, voice)
