"""What a corpus is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from aista import registry
from aista.data.sources.opening import open_source, recognise
from aista.errors import DataError, RegistryError


def test_what_is_nothing_known_lists_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "notes.doc").touch()
    with pytest.raises(DataError, match=r"looks like no known layout \(chat, .*table\); check the path"):
        recognise(str(tmp_path / "notes.doc"))


def test_a_misspelt_path_is_no_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="no such file or folder, and no name of the form ORG/NAME"):
        recognise("data/metadata")
    assert recognise("some-org/some_corpus") == "hugging_face"


def test_an_unknown_format_suggests_the_nearest() -> None:
    with pytest.raises(RegistryError, match=r"unknown source 'kadli' \(did you mean 'kaldi'\?\)"):
        open_source("kadli")


def test_every_layout_says_what_it_reads() -> None:
    assert registry.names("source") == [
        "chat",
        "common_voice",
        "covost2",
        "europarl_st",
        "fleurs",
        "hearing2translate",
        "hugging_face",
        "kaldi",
        "lhotse",
        "librispeech",
        "mls",
        "must_c",
        "nemo",
        "slam_llm",
        "table",
    ]
