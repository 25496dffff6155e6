"""FLEURS in miniature."""

from __future__ import annotations

from pathlib import Path

import pytest

from aista.errors import DataError
from tests import miniatures
from tests.data.sources.conftest import faults_of, parts_of, rows_of


def test_translations_are_texts_of_the_same_sentence(tmp_path: Path) -> None:
    root = miniatures.fleurs(tmp_path)
    train, _, _ = parts_of(root, languages=("en", "fr"))
    rows = rows_of(train)
    assert [(row.texts["id"], row.texts["src_text"], row.texts["tgt_text"]) for row in rows] == [
        ("7-70", "Seven swans, en_us.", "Seven swans, fr_fr."),
        ("7-71", "Seven swans, en_us.", "Seven swans, fr_fr."),
        ("8-80", 'The "eighth" one, en_us.', 'The "eighth" one, fr_fr.'),
    ]
    assert {(row.texts["src_lang"], row.texts["tgt_lang"]) for row in rows} == {("en", "fr")}
    assert faults_of(train) == [("en_us/train.tsv:4", "its sentence is not in fr_fr/train.tsv: no translation")]
    assert train.note == "translations are fr_fr's texts of the same sentences"


def test_texts_can_be_the_normalised_ones(tmp_path: Path) -> None:
    root = miniatures.fleurs(tmp_path)
    row = rows_of(parts_of(root, "normalized=true", languages=("fr", "en"))[0])[-1]
    assert (row.texts["src_text"], row.texts["tgt_text"]) == ("the eighth one fr_fr", "the eighth one en_us")


@pytest.mark.parametrize(("asked", "folder"), [("zh", "cmn_hans_cn"), ("cmn_hans_cn", "cmn_hans_cn"), ("en", "en_us")])
def test_languages_by_their_usual_code_or_their_folder(tmp_path: Path, asked: str, folder: str) -> None:
    part = parts_of(miniatures.fleurs(tmp_path), languages=(asked, ""))[0]
    assert Path(part.name).parent.name == folder
    assert rows_of(part)[0].texts["src_lang"] == asked.partition("_")[0].replace("cmn", "zh")
    assert rows_of(part)[0].texts["tgt_text"] == ""


def test_the_folder_of_one_language_says_the_source(tmp_path: Path) -> None:
    root = miniatures.fleurs(tmp_path)
    part = parts_of(root / "fr_fr", languages=("", "en"))[0]
    assert rows_of(part)[0].texts["tgt_text"] == "Seven swans, en_us."


def test_languages_that_are_not_there_list_those_that_are(tmp_path: Path) -> None:
    root = miniatures.fleurs(tmp_path)
    with pytest.raises(DataError, match="holds cmn_hans_cn, en_us, fr_fr; choose one by --source-language"):
        parts_of(root)
    with pytest.raises(DataError, match="holds cmn_hans_cn, en_us, fr_fr, not 'de'; correct --target-language, or dow"):
        parts_of(root, languages=("en", "de"))
    with pytest.raises(DataError, match="--target-language must be another one"):
        parts_of(root, languages=("en", "en_us"))


def test_packed_audio_says_how_to_unpack_it(tmp_path: Path) -> None:
    root = miniatures.fleurs(tmp_path)
    audio = root / "en_us" / "audio"
    (audio / "dev").rename(tmp_path / "elsewhere")
    (audio / "dev.tar.gz").touch()
    with pytest.raises(DataError, match=rf"the audio of dev is packed; unpack it: tar -xzf {audio}/dev\.tar\.gz -C"):
        parts_of(root, languages=("en", ""))


def test_lines_with_other_numbers_of_fields_are_faults(tmp_path: Path) -> None:
    root = miniatures.fleurs(tmp_path)
    (root / "en_us" / "dev.tsv").write_text("1\t10.wav\ttext\n")
    (part,) = parts_of(root, "splits=[dev]", languages=("en", ""))
    assert faults_of(part) == [("en_us/dev.tsv:1", "3 fields where the columns are 7")]
