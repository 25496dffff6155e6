"""Datasets of Hugging Face: saved folders, repositories of parquet, and names on the hub."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, Source, flatten, split_of
from aista.errors import DataError
from aista.extras import require
from aista.registry import register
from aista.schema import Options, option

__all__ = ["HuggingFace"]

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@register("source", "hugging_face")
@dataclass(frozen=True, kw_only=True)
class HuggingFace(Options, Source):
    """Hugging Face dataset: a saved folder, a repository of parquet, or ORG/NAME on the hub.

    Folders are those that ``save_to_disk`` wrote, and those with ``data/*.parquet``. From the hub rows are streamed:
    only their audio is stored, as the dataset holds it. The hub's token and offline variables (``HF_TOKEN``,
    ``HF_HUB_OFFLINE``) apply. No script of a dataset is run.

    Choose it for a dataset that is on the hub, or was prepared with the library ``datasets``.
    """

    config_name: str = option("", "Configuration of the dataset; needed if it has several.")
    revision: str = option("", "Branch, tag or commit on the hub; empty: the main branch.")
    splits: tuple[str, ...] = option((), "Splits to read; empty: all.")

    @classmethod
    @override
    def recognises(cls, place: str) -> bool:
        path = Path(place)
        try:
            if path.is_dir():
                return _is_saved(path) or any(path.glob("data/*.parquet"))
            return bool(_HUB_NAME.fullmatch(place)) and not path.exists() and not path.parent.is_dir()
        except OSError:
            return False

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        datasets = require("datasets", "--format hugging_face", DataError)
        datasets.disable_progress_bars()
        datasets.logging.set_verbosity_error()
        opened = self._open(datasets, place)
        unknown = [split for split in self.splits if split not in opened]
        if unknown:
            raise DataError(f"--from {place}: splits must be some of {', '.join(opened)}, got {', '.join(unknown)}")
        return [_part(datasets, place, name, opened[name]) for name in self.splits or opened]

    def _open(self, datasets: Any, place: str) -> Mapping[str, Any]:
        path = Path(place)
        try:
            if path.is_dir() and _is_saved(path):
                opened = datasets.load_from_disk(place)
            else:
                options = {"name": self.config_name or None, "revision": self.revision or None}
                opened = datasets.load_dataset(place, **options, streaming=True)
        except Exception as error:  # of whatever the library, the hub and the network meet
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(
                f"--from {place}: cannot be opened as a dataset ({reason[:600]}); check the name, the network, "
                "config_name=, and for a gated dataset that its terms are accepted and HF_TOKEN is set"
            ) from None
        return opened if isinstance(opened, Mapping) else {str(opened.split or ""): opened}


def _is_saved(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _part(datasets: Any, place: str, split: str, dataset: Any) -> Part:
    features = dataset.features
    if features is None:
        dataset = _resolved(place, dataset)
        features = dataset.features
    for name, feature in features.items():
        if isinstance(feature, datasets.Audio):
            dataset = dataset.cast_column(name, datasets.Audio(decode=False))
    known = dataset.info.splits or {}
    total = len(dataset) if hasattr(dataset, "__len__") else getattr(known.get(split), "num_examples", None)
    columns = tuple(_columns(datasets, features))
    name = f"{place} ({split})" if split else place
    return Part(name, columns, lambda: _entries(name, dataset), split_of(split), (Path(place), Path()), total)


def _resolved(place: str, dataset: Any) -> Any:
    """With its features, which some streams only tell with their first row."""
    try:
        return dataset._resolve_features()
    except Exception as error:
        raise DataError(f"--from {place}: its first row cannot be read ({error})") from None


def _columns(datasets: Any, features: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The columns as ``flatten`` names them."""
    for name, feature in features.items():
        if isinstance(feature, datasets.Translation):
            feature = dict.fromkeys(feature.languages)
        if isinstance(feature, Mapping) and not set(feature) <= {"bytes", "path"}:
            yield from _columns(datasets, feature, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _entries(name: str, dataset: Any) -> Iterator[Entry]:
    number = 0
    try:
        for fields in dataset:
            yield Entry(f"{name}[{number}]", {key: _fetched(value) for key, value in flatten(fields).items()})
            number += 1
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name}: cannot be read after row {number} ({type(error).__name__}: {error}); repeat the command: it "
            "keeps what is measured"
        ) from None


def _fetched(value: Any) -> Any:
    """Audio with its bytes where its path is an address instead of a file."""
    if not isinstance(value, Mapping) or value.get("bytes") is not None or "://" not in str(value.get("path")):
        return value
    with importlib.import_module("fsspec").open(value["path"], "rb") as stream:
        return {"bytes": stream.read(), "path": str(value["path"]).partition("::")[0]}
