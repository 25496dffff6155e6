from pathlib import Path

import pytest
import sentencepiece
import soundfile

from aista.corpora.preparation import PreparationReport
from aista.corpora.quickstart import QuickstartCorpus
from aista.data.word_times import check_word_times, parse_word_times
from aista.errors import ConfigError, DataError
from aista.registry import get
from aista.schema import structure
from tests.corpora.tables import rows

SIZES = {"seed": 3, "num_train": 60, "num_dev": 2, "num_test": 3, "num_text": 40, "low_resource": 10, "vocab_size": 120}


def prepare(out: Path, **changes) -> PreparationReport:
    return QuickstartCorpus(**{**SIZES, **changes}).prepare(out)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "quickstart"
    prepare(out)
    return out


def test_is_registered() -> None:
    assert get("dataset", "quickstart").factory is QuickstartCorpus


def test_manifests_audio_and_model_belong_together(corpus: Path) -> None:
    expected = {"train": 60, "dev": 2, "test": 3, "text": 40, "train_low": 10}
    assert {split: len(rows(corpus, split)) for split in expected} == expected
    model = sentencepiece.SentencePieceProcessor(model_file=str(corpus / "spm.model"))
    assert model.get_piece_size() == 120
    for split in ("train", "dev", "test"):
        for row in rows(corpus, split):
            info = soundfile.info(str(corpus / row["audio"]))
            assert (info.frames, info.samplerate, info.channels) == (int(row["n_frames"]), 16000, 1)
            assert (row["src_lang"], row["tgt_lang"]) == ("en", "fr")
            assert 0 not in model.encode(row["src_text"]) + model.encode(row["tgt_text"])
    assert {(row["audio"], row["n_frames"], row["speaker"]) for row in rows(corpus, "text")} == {("", "0", "")}


def test_every_word_has_its_time(corpus: Path) -> None:
    for row in rows(corpus, "train"):
        check_word_times(row["word_times"], row["src_text"], int(row["n_frames"]) / 16000)
        times = parse_word_times(row["word_times"])
        assert times == sorted(times)
        assert times[0][0] < 0.1
    assert not any("word_times" in row for row in rows(corpus, "text"))


def test_low_resource_rows_are_training_rows(corpus: Path) -> None:
    train = {row["id"]: row for row in rows(corpus, "train")}
    low = rows(corpus, "train_low")
    assert all(train[row["id"]] == row for row in low)
    assert [row["id"] for row in low] != list(train)[:10]


def test_same_options_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "again")
    assert (tmp_path / "again" / "checksums.txt").read_bytes() == (corpus / "checksums.txt").read_bytes()


def test_second_call_verifies_and_writes_nothing(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    report = prepare(corpus)
    assert report.reused
    assert report.counts == {"train": 60, "train_low": 10, "dev": 2, "test": 3, "text": 40}
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_interrupted_preparation_is_continued(corpus: Path, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("speech", 65)
        if done == 20:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    dataset = QuickstartCorpus(**SIZES)
    with pytest.raises(KeyboardInterrupt):
        dataset.prepare(out, progress=interrupt)
    kept = sorted((out / "audio").iterdir())
    times = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == 20
    report = dataset.prepare(out)
    assert not report.reused
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert (out / "checksums.txt").read_bytes() == (corpus / "checksums.txt").read_bytes()


def test_readme_says_that_it_is_synthetic(corpus: Path) -> None:
    assert "SYNTHETIC" in (corpus / "README.md").read_text("utf-8").splitlines()[0]


def test_a_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="makes its own corpus and reads nothing: drop --from x"):
        QuickstartCorpus().prepare(tmp_path / "out", source=Path("x"))
    assert not (tmp_path / "out").exists()


def test_low_resource_beyond_train_is_a_config_fault() -> None:
    with pytest.raises(ConfigError, match=r"low_resource must be at most num_train \(100\), got 400"):
        structure(QuickstartCorpus, {"num_train": 100})
