"""Datasets of Hugging Face, from folders: saved ones, and parquet as the hub holds it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from aista.data.sources.base import Recording
from aista.data.sources.opening import recognise
from aista.errors import DataError
from tests.data.sources.conftest import parts_of, rows_of

pa = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("datasets")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def wav(seconds: float = 0.1) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full(round(seconds * 16_000), 0.1), 16_000, format="WAV")
    return buffer.getvalue()


def toy(count: int = 3) -> Any:
    rows = {
        "id": [f"u{index}" for index in range(count)],
        "audio": [{"bytes": wav(), "path": f"{index}.wav"} for index in range(count)],
        "translation": [{"en": f"yes {index}", "fr": f"oui {index}"} for index in range(count)],
    }
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "audio": datasets.Audio(),
            "translation": {"en": datasets.Value("string"), "fr": datasets.Value("string")},
        }
    )
    table = datasets.table.InMemoryTable(pa.table(rows, schema=features.arrow_schema))
    return datasets.Dataset(table, info=datasets.DatasetInfo(features=features))  # encoding audio needs torchcodec


LANGUAGES = {"src_text": "en", "tgt_text": "fr"}


def test_a_saved_dataset_with_splits(tmp_path: Path) -> None:
    datasets.DatasetDict(train=toy(3), validation=toy(1)).save_to_disk(str(tmp_path / "saved"))
    assert recognise(str(tmp_path / "saved")) == "hugging_face"
    train, dev = parts_of(tmp_path / "saved")
    assert (train.split, train.total, dev.split, dev.total) == ("train", 3, "dev", 1)
    assert train.columns == ("id", "audio", "translation.en", "translation.fr")
    rows = rows_of(train, {}, LANGUAGES)
    assert [row.texts["tgt_text"] for row in rows] == ["oui 0", "oui 1", "oui 2"]
    assert rows[0].recording == Recording("0.wav", wav())
    (dev,) = parts_of(tmp_path / "saved", "splits=[validation]")
    assert dev.split == "dev"
    with pytest.raises(DataError, match="splits must be some of train, validation, got tests"):
        parts_of(tmp_path / "saved", "splits=[tests]")


def test_parquet_as_on_the_hub_is_streamed(tmp_path: Path) -> None:
    (tmp_path / "repo" / "data").mkdir(parents=True)
    toy(2).to_parquet(str(tmp_path / "repo" / "data" / "train-00000-of-00001.parquet"))
    assert recognise(str(tmp_path / "repo")) == "hugging_face"
    (part,) = parts_of(tmp_path / "repo")
    assert part.split == "train"
    rows = rows_of(part, {}, {"src_text": "en", "tgt_text": "fr"})
    assert [row.texts["src_text"] for row in rows] == ["yes 0", "yes 1"]
    assert rows[1].recording == Recording("1.wav", wav())


def test_a_dataset_that_cannot_be_reached_says_what_to_check() -> None:
    with pytest.raises(DataError, match=r"--from no-such-org/no_such_corpus: cannot be opened as a dataset .*HF_TOKEN"):
        parts_of(Path("no-such-org/no_such_corpus"))


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match=r"--format hugging_face needs datasets, .*pip install 'aista\[import\]'"):
        parts_of(Path("some-org/some_corpus"))
