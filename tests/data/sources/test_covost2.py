"""CoVoST 2 in miniature."""

from __future__ import annotations

from pathlib import Path

import pytest

from aista.errors import DataError
from tests import miniatures
from tests.data.sources.conftest import faults_of, parts_of, rows_of


def test_the_published_table_and_the_three_splits_give_the_same_rows(tmp_path: Path) -> None:
    one, two = miniatures.covost2(tmp_path / "one"), miniatures.covost2(tmp_path / "two", joint=False)
    found = [[rows_of(part) for part in parts_of(root, languages=("en", "de"))] for root in (one, two)]
    assert found[0] == found[1]
    assert [row.texts["tgt_text"] for row in found[0][0]] == [f'"en_de" train {index}' for index in range(3)]
    row = found[0][0][0]
    assert (row.texts["src_text"], row.texts["speaker"], row.texts["tgt_lang"]) == ('"Yes," he said.', "voice0", "de")


def test_a_country_need_not_be_said(tmp_path: Path) -> None:
    root = miniatures.covost2(tmp_path)
    assert rows_of(parts_of(root, languages=("", "zh"))[0])[0].texts["tgt_lang"] == "zh-CN"
    with pytest.raises(DataError, match="holds en-de, en-zh-CN; choose one"):
        parts_of(root)


def test_clips_of_another_release_are_counted(tmp_path: Path) -> None:
    root = miniatures.covost2(tmp_path)
    with (root / "covost_v2.en_de.tsv").open("a") as stream:
        stream.write("common_voice_en_99.mp3\tFremd.\ttest\n")
    part = parts_of(root, "splits=[test]", languages=("en", "de"))[0]
    assert faults_of(part) == [
        ("covost_v2.en_de.tsv:7", "validated.tsv lacks its clip; CoVoST 2 is made of Common Voice 4")
    ]


def test_a_clip_that_a_split_names_twice_is_read_once(tmp_path: Path) -> None:
    root = miniatures.covost2(tmp_path)
    with (root / "covost_v2.en_de.tsv").open("a") as stream:
        stream.write("common_voice_en_test0.mp3\tNoch einmal.\ttest\n")
    part = parts_of(root, "splits=[test]", languages=("en", "de"))[0]
    assert faults_of(part) == [("covost_v2.en_de.tsv:7", "named twice in its split")]


def test_missing_tables_are_named_with_their_source(tmp_path: Path) -> None:
    root = miniatures.covost2(tmp_path)
    (root / "validated.tsv").unlink()
    with pytest.raises(
        DataError, match=r"holds no covost_v2\.en_de\.train\.tsv; put covost_v2\.en_de\.tsv, which is in"
    ):
        parts_of(root, languages=("en", "de"))
