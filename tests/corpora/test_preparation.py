import json
import subprocess
from pathlib import Path

import pytest
import sentencepiece

from aista.corpora.preparation import (
    Folder,
    PreparationReport,
    train_sentencepiece,
)
from aista.errors import DataError
from aista.files import write_text


def sealed(out: Path, **options) -> PreparationReport:
    folder = Folder(out, "toy", options)
    folder.start()
    write_text(out / "train.tsv", "x\n")
    write_text(out / "audio" / "a.txt", "y\n")
    return folder.seal(PreparationReport(out, {"train": 1}, {"train": 0.5}, {"why": ["b"]}))


def test_sentencepiece_ids_symbols_and_coverage(tmp_path: Path) -> None:
    sentences = ["the cat sees the œuf", "le chat voit l'œuf", "naïve cats"] * 5
    for name in ("a.model", "b.model"):
        train_sentencepiece(tmp_path / name, sentences, vocab_size=40, symbols=["<fr>"])
    assert (tmp_path / "a.model").read_bytes() == (tmp_path / "b.model").read_bytes()
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "a.model"))
    assert [model.unk_id(), model.bos_id(), model.eos_id(), model.pad_id()] == [0, 1, 2, 3]
    assert model.piece_to_id("<fr>") == 4
    assert model.get_piece_size() == 40
    assert all(
        0 not in model.encode(sentence) and model.decode(model.encode(sentence)) == sentence for sentence in sentences
    )


def test_sentencepiece_reports_an_impossible_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"spm.model: cannot train 5000 pieces .*choose another vocab_size"):
        train_sentencepiece(tmp_path / "spm.model", ["a b", "b c"], vocab_size=5000, symbols=[])
    assert list(tmp_path.iterdir()) == []


def test_sealed_folder_is_recognised(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = sealed(out, seed=1)
    again = Folder(out, "toy", {"seed": 1}).finished()
    assert again is not None
    assert (again.reused, again.fingerprint, again.counts) == (True, first.fingerprint, {"train": 1})
    assert again.dropped == {"why": ["b"]}
    assert again.files == ["audio", "checksums.txt", "fingerprint.json", "train.tsv"]
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "checksums.txt"], cwd=out, check=True)


def test_fingerprint_depends_on_options_and_contents_only(tmp_path: Path) -> None:
    first = sealed(tmp_path / "a", seed=1).fingerprint
    assert sealed(tmp_path / "b", seed=1).fingerprint == first
    assert sealed(tmp_path / "c", seed=2).fingerprint != first


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    sealed(tmp_path / "out", seed=1)
    with pytest.raises(DataError, match=r"already prepared with options \{'seed': 1\}, asked for \{'seed': 2\}"):
        Folder(tmp_path / "out", "toy", {"seed": 2}).finished()
    with pytest.raises(DataError, match="already prepared with dataset 'toy'"):
        Folder(tmp_path / "out", "other", {"seed": 1}).finished()


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"not a prepared dataset .* and not empty"):
        Folder(tmp_path, "toy", {}).finished()


@pytest.mark.parametrize("name", ["train.tsv", "audio/a.txt", "checksums.txt"])
def test_changed_files_are_named_and_missing_ones_remade(tmp_path: Path, name: str) -> None:
    sealed(tmp_path)
    path = tmp_path / name
    path.write_text("changed\n")
    with pytest.raises(DataError, match=rf"changed since it was prepared: {name}; delete what changed"):
        Folder(tmp_path, "toy", {}).finished()
    path.unlink()
    assert Folder(tmp_path, "toy", {}).finished() is None


def test_interrupted_folder_is_continued_without_leftovers(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "toy", {})
    folder.start()
    (tmp_path / ".train.tsv.0123abcd").write_text("half")
    assert folder.finished() is None
    folder.start()
    assert [path.name for path in tmp_path.iterdir()] == ["fingerprint.json"]
    assert json.loads((tmp_path / "fingerprint.json").read_text())["complete"] is False


def test_caches_beside_manifests_are_no_part_of_the_dataset(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = sealed(tmp_path / "b", seed=1)
    folder = Folder(tmp_path / "a", "toy", {"seed": 1})
    folder.start()
    write_text(tmp_path / "a" / ".train.tsv.decoded.arrow", "{}")
    assert sealed(tmp_path / "a", seed=1).fingerprint == first.fingerprint
    write_text(tmp_path / "a" / ".train.tsv.decoded.arrow", "{1}")
    assert folder.finished() is not None


def test_report_reads_well(tmp_path: Path) -> None:
    report = sealed(tmp_path, seed=1)
    assert str(report).splitlines() == [
        f"{tmp_path}: prepared",
        "  train: 1 rows, 0.50 h",
        "  left out: 1 rows (why)",
        "  files: audio, checksums.txt, fingerprint.json, train.tsv",
        f"  fingerprint: {report.fingerprint}",
    ]


def test_broken_fingerprint_is_reported(tmp_path: Path) -> None:
    (tmp_path / "fingerprint.json").write_text("{")
    with pytest.raises(DataError, match=r"fingerprint\.json: not valid JSON"):
        Folder(tmp_path, "toy", {}).finished()
    (tmp_path / "fingerprint.json").write_text("[]")
    with pytest.raises(DataError, match="expects a JSON object"):
        Folder(tmp_path, "toy", {}).finished()
