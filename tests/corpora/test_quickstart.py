import json
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

SIZES = {"seed": 3, "num_train": 60, "num_dev": 2, "num_test": 3, "num_text": 40, "vocab_size": 120}


def prepare(out: Path, **changes) -> PreparationReport:
    return QuickstartCorpus(**{**SIZES, **changes}).prepare(out)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "quickstart"
    prepare(out)
    return out


@pytest.fixture(scope="module")
def two_languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "fr_de"
    prepare(out, languages=("fr", "de"))
    return out


def test_is_registered() -> None:
    assert get("dataset", "quickstart").factory is QuickstartCorpus


def test_manifests_audio_and_model_belong_together(corpus: Path) -> None:
    expected = {"train": 60, "dev": 2, "test": 3, "text": 40}
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


def test_same_options_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "again")
    assert (tmp_path / "again" / "checksums.txt").read_bytes() == (corpus / "checksums.txt").read_bytes()


def test_second_call_verifies_and_writes_nothing(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    report = prepare(corpus)
    assert report.reused
    assert report.counts == {"train": 60, "dev": 2, "test": 3, "text": 40}
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


def test_two_languages_share_recordings_and_sentences(corpus: Path, two_languages: Path) -> None:
    alone = {"train": 60, "dev": 2, "test": 3, "text": 40}
    for split, count in alone.items():
        both = rows(two_languages, split)
        french, german = (rows(two_languages, f"{split}_{language}") for language in ("fr", "de"))
        assert len(french) == len(german) == count
        assert both == [row for pair in zip(french, german, strict=True) for row in pair]
        assert [f"{row['id']}-de" for row in french] == [row["id"] for row in german]
        for one, other in zip(french, german, strict=True):
            assert {name for name in one if one[name] != other[name]} == {"id", "tgt_text", "tgt_lang"}
            assert (one["tgt_lang"], other["tgt_lang"]) == ("fr", "de")
    assert len(list((two_languages / "audio").iterdir())) == 65
    assert rows(two_languages, "train_fr") == rows(corpus, "train")


def test_no_text_of_dev_and_test_is_in_training(two_languages: Path) -> None:
    for name in ("src_text", "tgt_text"):
        texts = {s: {row[name] for row in rows(two_languages, s)} for s in ("train", "text", "dev", "test")}
        assert not (texts["dev"] | texts["test"]) & (texts["train"] | texts["text"])
        assert not texts["dev"] & texts["test"]


def test_the_joint_tokenizer_writes_both_languages(two_languages: Path) -> None:
    model = sentencepiece.SentencePieceProcessor(model_file=str(two_languages / "spm.model"))
    assert [model.id_to_piece(id) for id in (4, 5)] == ["<de>", "<fr>"]
    for row in rows(two_languages, "test"):
        assert 0 not in model.encode(row["tgt_text"])


def test_german_alone(tmp_path: Path) -> None:
    prepare(tmp_path / "de", languages=("de",))
    assert {row["tgt_lang"] for row in rows(tmp_path / "de", "train")} == {"de"}
    assert not (tmp_path / "de" / "train_de.tsv").exists()
    assert (tmp_path / "de" / "README.md").read_text("utf-8").count("English -> German, made") == 1


def test_a_folder_of_other_languages_is_refused(two_languages: Path) -> None:
    with pytest.raises(DataError, match=r"already prepared with options .*choose another folder"):
        prepare(two_languages)


FAULTS = {
    "deu": (["fr", "deu"], r"languages must be among fr, de, got 'deu' \(did you mean 'de'\?\)"),
    "none": ([], r"languages must name at least one language, each once, got \[\]"),
    "twice": (["de", "de"], r"each once, got \['de', 'de'\]"),
}


@pytest.mark.parametrize(("languages", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_of_languages(languages: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        structure(QuickstartCorpus, {"languages": languages})


def test_the_options_of_french_alone_are_those_of_older_folders(corpus: Path) -> None:
    """So that folders prepared before ``languages`` was an option are recognised."""
    assert json.loads((corpus / "fingerprint.json").read_text("utf-8"))["options"] == SIZES


def test_a_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="makes its own corpus and reads nothing: drop --from x"):
        QuickstartCorpus().prepare(tmp_path / "out", source=Path("x"))
    assert not (tmp_path / "out").exists()
