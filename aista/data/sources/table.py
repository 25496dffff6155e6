"""Tables: CSV, TSV, JSONL and parquet beside a folder of audio."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pyarrow import parquet, types
from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, Source, flatten
from aista.data.sources.corpus_files import (
    JSON_SUFFIXES,
    find_files,
    first_objects,
    open_text,
    read_objects,
    suffix_of,
)
from aista.errors import DataError
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Table"]

_SEPARATED = (".csv", ".tsv", ".txt")
_SUFFIXES = (*_SEPARATED, *JSON_SUFFIXES, ".parquet")
_DELIMITERS = "\t,;|"
_AUDIO_FOLDERS = ("", "clips", "wavs", "wav", "audio", "audios", "data")
_LONGEST_FIELD = 1 << 24
_LOOKED_AT = 100


@register("source", "table")
@dataclass(frozen=True, kw_only=True)
class Table(Options, Source):
    """CSV, TSV, JSONL or parquet with a row for each utterance, and a folder of audio.

    The audio may be in the table as well, as bytes. A folder may hold a table for each split (``train.tsv``,
    ``dev.tsv``). The delimiter is the one that the first line holds most of. Quotes enclose fields in ``.csv``; in
    ``.tsv`` they are letters, as in Common Voice. fairseq's manifests and aista's own are such tables. Choose it for
    everything that no other layout reads.
    """

    is_general = True

    audio_folder: Path | None = option(
        None, "Folder of the audio paths; empty: the table's folder, and usual names in it."
    )
    delimiter: str = option("", "Delimiter of fields; empty: the most likely of tab, comma, semicolon and |.")
    quotes: Literal["auto", "yes", "no"] = option("auto", "Whether quotes enclose fields; auto: only in .csv.")
    names: tuple[str, ...] = option((), "Names of the columns, if the first line has none, e.g. [audio,_,src_text].")
    encoding: str = option("utf-8-sig", "Text encoding, by its name in Python.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.delimiter) > 1:
            raise ValueError(f"delimiter must be one character, got {self.delimiter!r}")

    @classmethod
    @override
    def recognises(cls, place: str) -> bool:
        try:
            return all(suffix_of(file) in _SUFFIXES for file, _ in find_files(place, _SUFFIXES))
        except DataError:
            return False

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        return [self._part(file, split) for file, split in find_files(place, _SUFFIXES)]

    def _part(self, file: Path, split: str) -> Part:
        folders = tuple(file.parent / name for name in _AUDIO_FOLDERS)
        folders = folders if self.audio_folder is None else (self.audio_folder,)
        if suffix_of(file) == ".parquet":
            opened = _open_parquet(file)
            columns = tuple(_parquet_columns(opened.schema_arrow))
            return Part(str(file), columns, lambda: _parquet_rows(file), split, folders, opened.metadata.num_rows)
        if suffix_of(file) in JSON_SUFFIXES:
            objects = first_objects(file, _LOOKED_AT, self.encoding)
            columns = tuple(dict.fromkeys(name for fields in objects for name in fields))
            return Part(str(file), columns, lambda: read_objects(file, self.encoding), split, folders)
        with open_text(file, self.encoding) as stream:
            columns = tuple(self._header(file, stream, next(iter(stream), "")))
        return Part(str(file), columns, lambda: self._rows(file), split, folders)

    def _header(self, file: Path, stream: IO[str], line: str) -> list[str]:
        if not line.strip():
            raise DataError(f"{file}: its first line must name the columns, got an empty one")
        names = list(self.names) or next(csv.reader([line], **self._dialect(file, line)), [])
        names = [name.strip() for name in names]
        repeated = sorted({name for name in names if name not in ("", "_") and names.count(name) > 1})
        if repeated:
            raise DataError(f"{file}:1: columns must be named once, got {', '.join(repeated)} more than once")
        return names

    def _dialect(self, file: Path, line: str) -> dict[str, Any]:
        delimiter = self.delimiter or max(_DELIMITERS, key=line.count)
        has_quotes = suffix_of(file) == ".csv" if self.quotes == "auto" else self.quotes == "yes"
        return {"delimiter": delimiter, "quoting": csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE}

    def _rows(self, file: Path) -> Iterator[Entry]:
        csv.field_size_limit(_LONGEST_FIELD)
        with open_text(file, self.encoding) as stream:
            first = next(iter(stream), "")
            names, dialect = self._header(file, stream, first), self._dialect(file, first)
            reader = csv.reader((line for line in _chained(first if self.names else "", stream)), **dialect)
            before = 0 if self.names else 1
            while True:
                try:
                    values = next(reader, None)
                except csv.Error as error:
                    yield Entry(f"{file.name}:{reader.line_num + before}", {}, f"not a line of the table ({error})")
                    continue
                if values is None:
                    return
                if any(value.strip() for value in values):
                    yield _row(f"{file.name}:{reader.line_num + before}", names, values)


def _chained(first: str, stream: IO[str]) -> Iterator[str]:
    if first:
        yield first
    yield from stream


def _row(place: str, names: list[str], values: list[str]) -> Entry:
    if len(values) != len(names):
        return Entry(place, {}, f"{len(values)} fields where the columns are {len(names)}")
    return Entry(place, dict(zip(names, values, strict=True)))


def _open_parquet(file: Path) -> Any:
    try:
        return parquet.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: must be a parquet file, cannot be read ({error}); copy it again") from None


def _parquet_columns(schema: Any) -> Iterator[str]:
    """The columns as ``flatten`` names them."""

    def names(field: Any, prefix: str) -> Iterator[str]:
        nested = list(field.type) if types.is_struct(field.type) else []
        if nested and not {inner.name for inner in nested} <= {"bytes", "path"}:
            for inner in nested:
                yield from names(inner, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"

    for field in schema:
        yield from names(field, "")


def _parquet_rows(file: Path) -> Iterator[Entry]:
    number = 0
    try:
        for batch in _open_parquet(file).iter_batches(batch_size=64):
            for fields in batch.to_pylist():
                yield Entry(f"{file.name}[{number}]", flatten(fields))
                number += 1
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read after row {number} ({error}); copy it again") from None
