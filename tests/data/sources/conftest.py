from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aista.data.sources.base import Languages, Part
from aista.data.sources.columns import SourceRow, match_columns, read_entry
from aista.data.sources.opening import open_source, recognise


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, objects: Sequence[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(object, ensure_ascii=False) + "\n" for object in objects), encoding="utf-8")
        return path

    return write


def parts_of(place: Path, *options: str, layout: str = "", languages: tuple[str, str] = ("", "")) -> list[Part]:
    return open_source(layout or recognise(str(place)), options).parts(str(place), Languages(*languages))


def rows_of(
    part: Part, given: Mapping[str, str] | None = None, languages: Mapping[str, str] | None = None
) -> list[SourceRow]:
    columns = match_columns(part, given or {}, {}, languages or {})
    return [read_entry(entry, columns) for entry in part.entries() if not entry.fault]


def faults_of(part: Part) -> list[tuple[str, str]]:
    return [(entry.place, entry.fault) for entry in part.entries() if entry.fault]
