"""``aista data import`` as its users run it: splits, reports, refusals, interruptions."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from aista.cli.main import main
from aista.corpora.imports import importer
from aista.data.data_config import DataConfig
from aista.data.inspection import inspect
from aista.data.manifest import read_manifest


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty utterances with a CSV; ten sentences are spoken twice and translated differently."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "corpus"
    (folder / "clips").mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = []
    for index in range(40):
        soundfile.write(folder / "clips" / f"{index:02}.wav", 0.1 * generator.standard_normal(1600 + index), 8000)
        rows.append([f"{index:02}.wav", f"Sentence {index % 30}.", f"Phrase {index}."])
    write_csv(folder / "metadata.csv", ["path", "sentence", "translation"], rows)
    return folder


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main(["data", "import", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def rows_by_split(out: Path) -> dict[str, Any]:
    return {path.stem: read_manifest(path).rows for path in sorted(out.glob("*.tsv"))}


def test_a_table_and_a_folder_of_audio(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine"
    text = run(capsys, out, "--from", corpus, "--source-language", "en", "--target-language", "fr")
    assert "metadata.csv (table): audio=path, tgt_text=translation, src_text=sentence" in text
    splits = rows_by_split(out)
    assert {name: len(rows) for name, rows in splits.items()} == {"dev": 2, "test": 2, "train": 36}
    by_id = {row.id: row for rows in splits.values() for row in rows}
    assert (by_id["07"].n_frames, by_id["07"].audio) == (2 * 1607, "../corpus/clips/07.wav")
    assert (by_id["07"].src_text, by_id["07"].tgt_text) == ("Sentence 7.", "Phrase 7.")
    assert (by_id["07"].src_lang, by_id["07"].tgt_lang) == ("en", "fr")
    sentences = [{row.src_text for row in rows} for rows in splits.values()]
    assert not sentences[0] & sentences[1] | sentences[0] & sentences[2] | sentences[1] & sentences[2]
    for path in out.glob("*.tsv"):
        config = DataConfig(source_language="en", target_language="fr")
        assert inspect(read_manifest(path), config).problems == ()
    report = json.loads((out / "report.json").read_text())
    assert report["complete"] is True
    assert report["report"]["splits"]["train"]["rows"] == 36
    assert (out / "report.txt").read_text() == text
    assert not (out / ".import").exists()


def test_the_same_corpus_in_another_order_gives_the_same_splits(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "one", "--from", corpus)
    lines = (corpus / "metadata.csv").read_text().splitlines()
    (corpus / "metadata.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    run(capsys, "two", "--from", corpus)
    one, two = (rows_by_split(tmp_path / name) for name in ("one", "two"))
    assert {name: {row.id for row in rows} for name, rows in one.items()} == {
        name: {row.id for row in rows} for name, rows in two.items()
    }


def test_what_is_left_out_is_counted_with_places(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus / "clips" / "text.wav").write_text("no audio at all")
    soundfile.write(corpus / "clips" / "zero.wav", np.zeros(800), 8000)
    with (corpus / "metadata.csv").open("a") as stream:
        stream.write("gone.wav,a,b\ntext.wav,a,b\nzero.wav,a,b\n00.wav,,\n,a,b\nonly,two\n")
    text = run(capsys, "mine", "--from", corpus)
    for reason, line in (
        ("audio file is missing", 42),
        ("audio cannot be decoded", 43),
        ("audio is empty or silent", 44),
        ("no transcript and no translation", 45),
        ("names no audio", 46),
        ("2 fields where the columns are 3", 47),
    ):
        assert f"left out: 1 rows: {reason} (metadata.csv:{line})" in text
    assert "train.tsv: 36 rows" in text


def test_given_splits_are_kept_and_their_overlaps_told(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split(",") for line in (corpus / "metadata.csv").read_text().splitlines()]
    write_csv(corpus / "metadata.csv", ["path", "text", "split"], [])
    for name, part in (("train", rows[1:31]), ("valid", rows[31:41])):
        write_csv(corpus / f"{name}.csv", rows[0], part)
    (corpus / "metadata.csv").unlink()
    text = run(capsys, "mine", "--from", corpus)
    assert "train.tsv: 30 rows" in text
    assert "dev.tsv: 10 rows" in text
    assert "splits: as the source gives them" in text
    assert "10 rows of dev have a transcript or translation that is in train, too" in text


def test_train_can_be_split_where_the_source_has_a_test_set(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = corpus / "metadata.csv"
    text = run(capsys, "mine", "--from", f"test={table}", "--split", "none")
    assert "test.tsv: 40 rows" in text
    assert "there is no dev" in text
    lines = table.read_text().splitlines()
    (corpus / "test.csv").write_text("\n".join([lines[0], *lines[31:]]) + "\n")
    (corpus / "train.csv").write_text("\n".join(lines[:31]) + "\n")
    text = run(capsys, "both", "--from", corpus, "--split", "dev=0.1")
    assert "train.tsv: 27 rows" in text
    assert "dev.tsv: 3 rows" in text
    assert "test.tsv: 10 rows" in text
    error = run(capsys, "third", "--from", corpus, "--split", "test=0.1", code=2)
    assert "--split test: the source has its own test" in error


def test_ids_that_two_sources_share_are_an_error(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.csv", "b.csv"):
        write_csv(corpus / name, ["id", "audio", "text"], [["u1", "01.wav", name], ["u2", "02.wav", name]])
    sources = ("--from", corpus / "a.csv", "--from", corpus / "b.csv")
    error = run(capsys, "mine", *sources, code=2)
    assert "b.csv:2: ids must be unique, got 'u1' again (first in a.csv:2)" in error
    assert not list(Path("mine").glob("*.tsv"))
    text = run(capsys, "mine", *sources, "--column", "id=", "--split", "none")
    assert "4 rows" in text
    assert "2 rows have the audio of an earlier row" in text
    assert [row.id for row in rows_by_split(Path("mine"))["train"]] == ["01", "02", "01-2", "02-2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--column", "src_text=sentense"), "has no column 'sentense' (did you mean 'sentence'?)"),
        (("--split", "dev=5"), "--split: must be NAME=SHARE with a share between 0 and 1, e.g. dev=0.05, or none"),
        (("--format", "kaldi"), "must be a folder with wav.scp"),
        (("delimeter=x",), "unknown option (did you mean 'delimiter'?)"),
        (("--column", "src_text"), "must be NAME=COLUMN, got 'src_text'"),
    ],
)
def test_mistakes_are_one_message(
    corpus: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in run(capsys, "mine", "--from", corpus, *arguments, code=2)
    assert not Path("mine").exists()


def test_a_corpus_without_a_usable_row_says_why(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for clip in (corpus / "clips").iterdir():
        clip.unlink()
    error = run(capsys, "mine", "--from", corpus, code=2)
    assert "metadata.csv: no row can be used: 40 rows: audio file is missing (metadata.csv:2, " in error


def test_a_given_split_without_a_usable_row_is_an_error(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(corpus / "dev.csv", ["path", "sentence"], [["gone.wav", "x"]])
    sources = ("--from", corpus / "metadata.csv", "--from", f"dev={corpus / 'dev.csv'}")
    error = run(capsys, "mine", *sources, code=2)
    assert "dev.csv: no row of dev can be used: 1 rows: audio file is missing (dev.csv:2)" in error


def test_other_peoples_folders_and_finished_imports_are_left_alone(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is not empty and no import of aista's" in run(capsys, corpus, "--from", corpus, code=2)
    run(capsys, "mine", "--from", corpus)
    before = (tmp_path / "mine" / "train.tsv").read_text()
    assert "holds a finished import" in run(capsys, "mine", "--from", corpus, code=2)
    run(capsys, "mine", "--from", corpus, "--overwrite", "--split", "none")
    assert (tmp_path / "mine" / "train.tsv").read_text() != before
    assert not (tmp_path / "mine" / "dev.tsv").exists()


def test_an_interrupted_import_leaves_no_manifest_and_goes_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importer, "_WINDOW", 8)
    probes: list[str] = []
    from aista.corpora.imports import row_spool

    def counting(spec: str, base: Path) -> Any:
        probes.append(spec)
        if len(probes) == 20:
            raise KeyboardInterrupt
        return real(spec, base)

    real = row_spool.probe_audio
    monkeypatch.setattr(row_spool, "probe_audio", counting)
    assert main(["data", "import", "mine", "--from", str(corpus)]) == 130
    assert not list((tmp_path / "mine").glob("*.tsv"))
    assert json.loads((tmp_path / "mine" / "report.json").read_text())["complete"] is False
    run(capsys, "mine", "--from", corpus)
    assert len(probes) <= 20 + 40 - 16  # what two whole windows measured is not decoded again
    run(capsys, "whole", "--from", corpus)
    for name in ("train", "dev", "test"):
        assert (tmp_path / "mine" / f"{name}.tsv").read_bytes() == (tmp_path / "whole" / f"{name}.tsv").read_bytes()


def test_stored_audio_that_no_row_names_is_removed(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    good = (corpus / "clips" / "00.wav").read_bytes()
    audio = [{"bytes": content, "path": "a.wav"} for content in (good, b"RIFF but no audio", good + b"x")]
    table = pa.table({"audio": audio, "text": ["one", "two", "three"], "translation": ["un", "deux", "trois"]})
    parquet.write_table(table, tmp_path / "mine.parquet")
    text = run(capsys, "mine", "--from", "mine.parquet", "--split", "none")
    assert "train.tsv: 2 rows" in text
    assert "audio cannot be decoded (mine.parquet[1])" in text
    named = {row.audio for row in rows_by_split(tmp_path / "mine")["train"]}
    out = tmp_path / "mine"
    assert {path.relative_to(out).as_posix() for path in out.rglob("audio/*/*")} == named


def test_languages_that_the_source_says_stay_and_are_noted(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["00.wav", "yes", "en-US"], ["01.wav", "ja", "de"], ["02.wav", "no", ""]]
    write_csv(corpus / "metadata.csv", ["path", "sentence", "locale"], rows)
    text = run(capsys, "mine", "--from", corpus, "--split", "none", "--source-language", "en")
    assert [row.src_lang for row in rows_by_split(Path("mine"))["train"]] == ["en", "de", "en"]
    assert "noted: 1 rows: src_lang is 'de', not 'en': kept as the source says (metadata.csv:3)" in text


def test_texts_are_one_line_in_nfc_and_half_characters_are_left_out(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "metadata.csv").unlink()
    (corpus / "mine.jsonl").write_text(
        json.dumps({"audio": "00.wav", "text": "e\u0301te\u0301\n\tlong "})
        + "\n"
        + json.dumps({"audio": "01.wav", "text": "\ud800"})
        + "\n"
    )
    text = run(capsys, "mine", "--from", corpus / "mine.jsonl", "--split", "none")
    assert rows_by_split(Path("mine"))["train"][0].src_text == "été long"
    assert "src_text holds half a character (a lone surrogate) (mine.jsonl:2)" in text


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The commands configure logging; leave it as it was."""
    import logging

    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers


def test_tasks_of_rows_are_kept_and_foreign_ones_noted(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["00.wav", "One.", "Un.", "st"], ["", "Two.", "Deux.", "mt"], ["02.wav", "Three.", "Trois.", "transcribe"]]
    write_csv(corpus / "metadata.csv", ["path", "sentence", "translation", "task"], [*rows, ["", "Four.", "", "asr"]])
    text = run(capsys, tmp_path / "mine", "--from", corpus, "--split", "none")
    (kept,) = rows_by_split(tmp_path / "mine").values()
    assert [(row.src_text, row.task) for row in kept] == [("One.", "st"), ("Two.", "mt"), ("Three.", "")]
    assert "task is 'transcribe', not one of st, asr, mt, cot: left empty" in text
    assert "names no audio" in text
