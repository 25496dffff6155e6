"""Rows of one source for several target languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from aista.cli.main import main
from aista.data.manifest import Row, read_manifest
from tests import miniatures

SPLITS = ("train", "dev", "test")


def run(*arguments: object, code: int = 0) -> None:
    assert main(["data", "import", *map(str, arguments)]) == code


def both(*languages: str) -> list[str]:
    return [word for language in languages for word in ("--target-language", language)]


def rows_of(out: Path, split: str) -> dict[str, Row]:
    return {row.id: row for row in read_manifest(out / f"{split}.tsv").rows}


@pytest.mark.parametrize(
    ("name", "languages"), [("covost2", ("de", "zh-CN")), ("fleurs", ("fr", "zh")), ("must_c", ("de", "nl"))]
)
def test_the_rows_are_those_of_an_import_for_each(name: str, languages: tuple[str, str], tmp_path: Path) -> None:
    arguments = {"targets": languages} if name == "must_c" else {}
    root = getattr(miniatures, name)(tmp_path / "raw", **arguments)
    command = ["--from", root, "--source-language", "en"]
    for chosen in (languages, *((language,) for language in languages)):
        run(tmp_path / "-".join(chosen), *command, *both(*chosen))
    for split in SPLITS:
        found = rows_of(tmp_path / "-".join(languages), split)
        for language in languages:
            alone = rows_of(tmp_path / language, split)
            assert {f"{id}-{language}" for id in alone} <= found.keys()
            for id, row in alone.items():
                other = found[f"{id}-{language}"]
                assert (other.src_text, other.tgt_text, other.tgt_lang) == (row.src_text, row.tgt_text, row.tgt_lang)
                assert other.n_frames == row.n_frames
        assert len(found) == sum(len(rows_of(tmp_path / language, split)) for language in languages)


def test_segments_are_stored_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    miniatures.write_audio(tmp_path / "talk.wav", 3)
    lines = ["audio,start,end,sentence,de,fr", "talk.wav,0,1,Yes.,Ja.,Oui.", "talk.wav,1,2,No.,Nein.,Non."]
    miniatures.write_lines(tmp_path / "rows.csv", lines)
    run(tmp_path / "out", "--from", tmp_path / "rows.csv", "--split", "none", *both("de", "fr"))
    found = rows_of(tmp_path / "out", "train")
    names = ("talk-00000000", "talk-00001000")
    assert set(found) == {f"{name}-{language}" for name in names for language in ("de", "fr")}
    assert all(found[f"{name}-de"].audio == found[f"{name}-fr"].audio for name in names)
    assert len(list((tmp_path / "out" / "audio").rglob("*.flac"))) == 2
    assert "have the audio of an earlier row" not in capsys.readouterr().out


def test_a_table_has_a_column_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    miniatures.write_audio(tmp_path / "a.wav")
    miniatures.write_lines(tmp_path / "rows.csv", ["id,audio,sentence,de,fr", "7,a.wav,Yes.,Ja.,Oui."])
    command = ["--from", tmp_path / "rows.csv", "--split", "none", "--source-language", "en"]
    run(tmp_path / "out", *command, *both("fr", "de"))
    found = rows_of(tmp_path / "out", "train")
    assert {id: (row.tgt_text, row.tgt_lang) for id, row in found.items()} == {
        "7-fr": ("Oui.", "fr"),
        "7-de": ("Ja.", "de"),
    }
    assert "not used" not in capsys.readouterr().out
    miniatures.write_lines(tmp_path / "rows.csv", ["id,audio,sentence,translation", "7,a.wav,Yes.,Ja."])
    run(tmp_path / "other", *command, *both("fr", "de"), code=2)
    error = capsys.readouterr().err.replace("\n", " ")
    assert "must have a translation for each --target-language, but the one into fr and the one into de" in error
    assert "call the columns fr and de" in error
