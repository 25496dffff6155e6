"""What published corpora have in common: folders, splits and languages, asked for rightly and wrongly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aista.data.sources.opening import recognise
from aista.data.sources.published import count_lines, read_lines
from aista.errors import DataError
from tests import miniatures
from tests.data.sources.conftest import parts_of

CORPORA: dict[str, tuple[Callable[[Path], Path], tuple[str, str]]] = {
    "common_voice": (miniatures.common_voice, ("", "")),
    "covost2": (miniatures.covost2, ("en", "de")),
    "europarl_st": (miniatures.europarl_st, ("en", "de")),
    "fleurs": (miniatures.fleurs, ("en", "fr")),
    "librispeech": (miniatures.librispeech, ("en", "")),
    "mls": (miniatures.mls, ("", "")),
    "must_c": (miniatures.must_c, ("en", "de")),
}


INNER = {
    "common_voice": ("clips", ""),
    "covost2": ("clips", ""),
    "europarl_st": ("en/de", ""),
    "fleurs": ("en_us/audio", "en_us"),
    "librispeech": ("dev-clean/84", ""),
    "mls": ("train/audio", ""),
    "must_c": ("en-de/data", "en-de"),
}
"""A folder within each corpus, and the nearest one above it that may be named."""


@pytest.mark.parametrize("name", CORPORA)
def test_the_folder_is_recognised_and_a_wrong_one_names_it(name: str, tmp_path: Path) -> None:
    build, languages = CORPORA[name]
    root = build(tmp_path / "here")
    assert recognise(str(root)) == name
    splits = [part.split for part in parts_of(root, languages=languages)]
    assert {"train", "dev"} < set(splits)
    assert splits[0] == "train"
    inner, right = INNER[name]
    wrong = {root / inner: root / right}
    if root != tmp_path / "here":
        wrong[tmp_path / "here"] = root
    for folder, meant in wrong.items():
        with pytest.raises(DataError, match=rf"must be the folder that holds .*; give {meant}$"):
            parts_of(folder, layout=name, languages=languages)
        with pytest.raises(DataError, match=rf"is not a corpus, but {meant} would be read as {name}; give that"):
            recognise(str(folder))


@pytest.mark.parametrize("name", CORPORA)
def test_splits_can_be_chosen_and_misspelt_ones_are_refused(name: str, tmp_path: Path) -> None:
    build, languages = CORPORA[name]
    root = build(tmp_path)
    whole = {Path(part.name).name: part.split for part in parts_of(root, languages=languages)}
    wanted = "dev-clean" if name == "librispeech" else "dev"
    (part,) = parts_of(root, f"splits=[{wanted}]", languages=languages)
    assert part.split == "dev"
    assert Path(part.name).name in whole
    with pytest.raises(DataError, match=r"splits must be some of train.*, got 'dve'"):
        parts_of(root, "splits=[dve]", languages=languages)


@pytest.mark.parametrize("name", ["common_voice", "librispeech", "mls"])
def test_corpora_of_recognition_have_one_language_and_no_translation(name: str, tmp_path: Path) -> None:
    root = CORPORA[name][0](tmp_path)
    with pytest.raises(DataError, match=r"is in (en|de), not fr; correct --source-language"):
        parts_of(root, languages=("fr", ""))
    with pytest.raises(DataError, match=r"has only transcripts, no translation into fr; leave --target-language out"):
        parts_of(root, languages=("", "fr"))


@pytest.mark.parametrize("name", ["covost2", "europarl_st", "must_c"])
def test_a_pair_that_is_not_there_lists_those_that_are(name: str, tmp_path: Path) -> None:
    root = CORPORA[name][0](tmp_path)
    with pytest.raises(DataError, match=r"holds (de-en, )?en-de.*, not en-it; ask for these by --source-language"):
        parts_of(root, languages=("en", "it"))


def test_of_several_pairs_one_must_be_chosen(tmp_path: Path) -> None:
    root = miniatures.must_c(tmp_path, targets=("de", "fr"))
    with pytest.raises(DataError, match="holds en-de, en-fr; choose one by --source-language and --target-language"):
        parts_of(root)
    assert {Path(part.name).parts[-3] for part in parts_of(root, languages=("", "fr"))} == {"en-fr"}
    assert parts_of(root / "en-de", languages=("en-US", "de-DE"))


def test_a_folder_of_nothing_is_told_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be the folder that holds en-de .*; check the path, and that the arch"):
        parts_of(tmp_path, layout="must_c")


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    texts = ["one\x0btwo", "three\u2028four\x85five", "six\rseven", "", "eight"]
    path = tmp_path / "a.en"
    path.write_bytes("\n".join(texts).encode())
    assert list(read_lines(path)) == texts
    path.write_bytes(b"one\r\ntwo\r\n")
    assert list(read_lines(path)) == ["one", "two"]
    assert count_lines([path, path]) == 2
    (tmp_path / "a.de").write_text("eins\n")
    with pytest.raises(DataError, match=r"must have a line for each segment, got a\.en 2, a\.de 1; unpack"):
        count_lines([path, tmp_path / "a.de"])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"a\.en: must be utf-8, got other bytes"):
        count_lines([path])
