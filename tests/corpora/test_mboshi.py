"""The preparation on a small fake of the corpus, as a work tree and as a bare clone."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import soundfile

from aista.corpora.mboshi import ALIGNMENTS, CORRECTED, NOT_ALIGNED, ROOT, Mboshi
from aista.corpora.preparation import PreparationReport
from aista.errors import DataError
from tests.corpora.tables import rows

CONFIG = Mboshi(num_dev=4, vocab_size=100)
NUM_TRAIN = 30
LETTERS = "abdefghiklmnoprstuvwyzáéíóúέω"


def write(folder: Path, stem: str, transcript: str | None, translation: str | bytes | None, rate: int = 16000) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if transcript is not None:
        (folder / f"{stem}.mb.cleaned").write_text(transcript + "\n", encoding="utf-8")
    if translation is not None:
        content = translation if isinstance(translation, bytes) else f"{translation}\r\n".encode()
        (folder / f"{stem}.fr").write_bytes(content)
    noise = np.random.default_rng(len(stem)).normal(scale=0.1, size=800)
    soundfile.write(str(folder / f"{stem}.wav"), noise, rate, subtype="PCM_16")


def words(index: int) -> str:
    rng = np.random.default_rng(index)
    return " ".join("".join(rng.choice(list(LETTERS), 4)) for _ in range(5))


@pytest.fixture(scope="module")
def worktree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = tmp_path_factory.mktemp("clone")
    train, dev = clone / ROOT / "train", clone / ROOT / "dev"
    for index in range(NUM_TRAIN):
        write(train, f"abiayi_{index:02d}", words(index), f"Phrase {words(100 + index // 2)}")
    for index in range(3):
        write(dev, f"martial_{index}", words(50 + index), f"Essai {words(200 + index)}")
    aligned = clone / ALIGNMENTS
    aligned.mkdir(parents=True)
    letters = words(50).replace(" ", "").upper()
    times = [f"{letter} {0.01 + 0.002 * i:.3f} {0.012 + 0.002 * i:.3f}" for i, letter in enumerate(letters)]
    (aligned / "martial_0.txt").write_text("\n".join(["SIL 0.0 0.01", *times]) + "\n", encoding="utf-8")
    (aligned / "martial_1.txt").write_text("K 0.0 0.1\n", encoding="utf-8")
    write(train, "abiayi_shared", words(60), f"essai  {words(200).upper()}")
    write(train, "abiayi_untold", None, "Sans transcription")
    write(train, "abiayi_mute", words(61), "Sans son")
    (train / "abiayi_mute.wav").unlink()
    write(train, "abiayi_blank", words(62), " ")
    write(train, "abiayi_latin", words(63), "été".encode("latin-1"))
    write(train, "abiayi_broken", words(64), "Son illisible")
    (train / "abiayi_broken.wav").write_bytes(b"RIFF not a wave file")
    write(train, "abiayi_slow", words(65), "Mauvaise fréquence", rate=8000)
    return clone


@pytest.fixture(scope="module")
def bare(worktree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git")
    shutil.copytree(worktree, folder / "tree")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(folder / "tree")]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "corpus"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(folder / "tree"), str(folder / "bare")], check=True)
    return folder / "bare"


def prepare(out: Path, source: Path | None) -> PreparationReport:
    return CONFIG.prepare(out, source=source)


def test_every_dropped_row_is_reported_with_its_reason(worktree: Path, tmp_path: Path) -> None:
    report = prepare(tmp_path / "out", worktree)
    assert report.dropped == {
        ".fr is empty": ["abiayi_blank"],
        ".fr is not UTF-8": ["abiayi_latin"],
        ".wav is not 16 kHz mono but 8000 Hz with 1 channels": ["abiayi_slow"],
        ".wav is unreadable": ["abiayi_broken"],
        "no .mb.cleaned file": ["abiayi_untold"],
        "no .wav file": ["abiayi_mute"],
        "translation also in test": ["abiayi_shared"],
    }
    assert report.counts == {"train": NUM_TRAIN - 4, "dev": 4, "test": 3}
    assert len(report.noted[NOT_ALIGNED]) == NUM_TRAIN - 4 + 4 + 2
    assert "martial_1" in report.noted[NOT_ALIGNED]
    assert report.hours["test"] == pytest.approx(3 * 800 / 16000 / 3600)


@pytest.mark.parametrize(("missing", "is_used"), [(726, True), (2178, True), (9000, False)])
def test_a_header_that_announces_more_than_was_recorded(
    worktree: Path, tmp_path: Path, missing: int, is_used: bool
) -> None:
    clone = shutil.copytree(worktree, tmp_path / "clone")
    path = clone / ROOT / "dev" / "martial_0.wav"
    content = path.read_bytes()
    sizes = (struct.pack("<I", struct.unpack_from("<I", content, place)[0] + missing) for place in (4, 40))
    path.write_bytes(content[:4] + next(sizes) + content[8:40] + next(sizes) + content[44:])
    out = tmp_path / "out"
    for _ in range(2):  # stopped and repeated, the report is the same
        report = prepare(out, clone)
        (out / "train.tsv").unlink()
        if is_used:
            assert report.noted[CORRECTED] == ["martial_0"]
            assert (out / "audio" / "martial_0.wav").read_bytes() == content
        else:
            assert report.dropped[".wav is cut short or damaged"] == ["martial_0"]


def test_splits_share_no_text(worktree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(out, worktree)
    texts = {split: {row["tgt_text"].casefold() for row in rows(out, split)} for split in ("train", "dev", "test")}
    assert not texts["train"] & texts["dev"]
    assert not texts["test"] & (texts["train"] | texts["dev"])


def test_rows_hold_audio_texts_and_speaker(worktree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(out, worktree)
    row = rows(out, "test")[0]
    assert row == {
        "id": "martial_0",
        "audio": "audio/martial_0.wav",
        "n_frames": "800",
        "speaker": "martial",
        "src_text": words(50),
        "tgt_text": f"Essai {words(200)}",
        "src_lang": "mdw",
        "tgt_lang": "fr",
        "word_times": "0.010-0.018 0.018-0.026 0.026-0.034 0.034-0.042 0.042-0.050",
    }
    assert (out / row["audio"]).read_bytes() == (worktree / ROOT / "dev" / "martial_0.wav").read_bytes()
    audio = {f"audio/{path.name}" for path in (out / "audio").iterdir()}
    assert audio == {row["audio"] for split in ("train", "dev", "test") for row in rows(out, split)}
    model = sentencepiece.SentencePieceProcessor(model_file=str(out / "spm.model"))
    assert (model.get_piece_size(), model.piece_to_id("<fr>")) == (100, 4)
    characters = sentencepiece.SentencePieceProcessor(model_file=str(out / "spm_source.model"))
    assert {len(piece) for piece in characters.encode(words(50), out_type=str)} == {1}


def test_bare_clone_gives_the_same_folder(worktree: Path, bare: Path, tmp_path: Path) -> None:
    expected, found = prepare(tmp_path / "a", worktree), prepare(tmp_path / "b", bare)
    assert found.fingerprint == expected.fingerprint
    assert found.dropped == expected.dropped


def test_a_complete_folder_needs_no_clone(worktree: Path, tmp_path: Path) -> None:
    first = prepare(tmp_path / "out", worktree)
    again = prepare(tmp_path / "out", None)
    assert again.reused
    assert (again.fingerprint, again.counts, again.dropped) == (first.fingerprint, first.counts, first.dropped)


def test_interrupted_preparation_is_continued(bare: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        CONFIG.prepare(out, source=bare, progress=interrupt)
    kept = {path: path.stat().st_mtime_ns for path in (out / "audio").iterdir()}
    assert kept
    assert prepare(out, bare).fingerprint == prepare(tmp_path / "whole", bare).fingerprint
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_without_a_clone_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"git clone --bare https://.*give it with --from"):
        prepare(tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_wrong_sources_are_reported(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        prepare(tmp_path / "out", tmp_path / "nothing")
    (tmp_path / "plain").mkdir()
    with pytest.raises(DataError, match="neither a work tree with full_corpus_newsplit/ nor a readable git clone"):
        prepare(tmp_path / "out", tmp_path / "plain")
    empty = tmp_path / "empty"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(empty)]
    subprocess.run(["git", "init", "-q", str(empty)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "nothing"], check=True)
    with pytest.raises(DataError, match="HEAD holds no full_corpus_newsplit/"):
        prepare(tmp_path / "out", empty)
    assert not (tmp_path / "out").exists()


def test_too_large_a_dev_split_is_reported(worktree: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="num_dev=31 of 30 training rows is too many"):
        Mboshi(num_dev=31, vocab_size=100).prepare(tmp_path / "out", source=worktree)
