"""The files of a corpus: which belong to which split, and their text and JSON objects, read piece by piece."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from aista.data.sources.base import SPLITS, Entry, flatten, split_of
from aista.errors import DataError, shown
from aista.files import explain

__all__ = ["JSON_SUFFIXES", "find_files", "first_objects", "open_text", "read_objects", "suffix_of"]

JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_UTF_8 = "utf-8-sig"
_PIECE = 1 << 20  # characters
_LONGEST = 1 << 26  # characters of one object
_SEPARATORS = re.compile(r"[ \t\r\n,]*")
_KNOWN = {name for names in SPLITS.values() for name in names}


def suffix_of(path: Path) -> str:
    """The file's ending in lower case, that of what is inside for ``.gz``."""
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def find_files(place: str, suffixes: Collection[str]) -> list[tuple[Path, str]]:
    """The files of a corpus with their splits: the file that ``place`` names, or those of a folder.

    In a folder ``train.csv`` and ``valid-00001.csv`` say their splits, and files that do not are only read where none
    does. A file that is named itself belongs to no split: who names it can say which.

    Raises:
        DataError: nothing is there, or a folder holds several files and none says its split.
    """
    path = Path(place)
    if path.is_file():
        return [(path, "")]
    if not path.is_dir():
        raise DataError(f"--from {place}: no such file or folder; check the path")
    files = sorted(file for file in path.iterdir() if suffix_of(file) in suffixes and file.is_file())
    files = [file for file in files if not file.name.startswith(".")]
    named = [(file, split) for file in files if (split := _split_in(file))]
    if named or len(files) == 1:
        return named or [(files[0], "")]
    found = ", ".join(file.name for file in files[:20]) or f"no file that ends in {', '.join(suffixes)}"
    raise DataError(
        f"--from {place}: one file, or files named after their splits (train, dev, test) must be there, got {found}; "
        "name a file, or each as --from train=FILE --from dev=FILE"
    )


def _split_in(file: Path) -> str:
    words = re.split(r"[-_.]", file.name.removesuffix(".gz").rsplit(".", 1)[0].lower())
    splits = {split_of(word) for word in words if word in _KNOWN}
    return splits.pop() if len(splits) == 1 else ""


@contextmanager
def open_text(path: Path, encoding: str = "", newline: str = "") -> Iterator[IO[str]]:
    """Open a text file, gzip-compressed if it ends in .gz. What goes wrong while it is open becomes a DataError.

    Args:
        path: The file.
        encoding: As its layout lets people choose it; "" is UTF-8, where there is no choice.
        newline: As ``open`` takes it; "" ends lines at a lone carriage return, too.
    """
    try:
        opener: Any = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding=encoding or _UTF_8, newline=newline) as stream:
            yield stream
    except LookupError:
        raise DataError(
            f"encoding must be one that Python knows, got {shown(encoding)}; try utf-8 or latin-1"
        ) from None
    except UnicodeError as error:
        remedy = "say how it is encoded, e.g. encoding=latin-1, or" if encoding else "get it again, or"
        raise DataError(
            f"{path}: must be {(encoding or _UTF_8).removesuffix('-sig')}, got other bytes ({error}); {remedy} convert "
            "it by iconv"
        ) from None
    except EOFError:
        raise DataError(f"{path}: the file is cut short; copy it again") from None
    except OSError as error:
        raise DataError(explain(error, path, "read")) from error


def read_objects(path: Path, encoding: str = "") -> Iterator[Entry]:
    """The JSON objects of a file with one on each line, or with one list of them; nested ones with dotted columns."""
    with open_text(path, encoding) as stream:
        start = ""
        while not start and (piece := stream.read(_PIECE)):
            start = piece.lstrip()
        entries = _listed(path, stream, start[1:]) if start.startswith("[") else _lines(path, stream, start)
        yield from entries


def first_objects(path: Path, count: int, encoding: str = "") -> list[Mapping[str, Any]]:
    """The first objects that can be read. Raises DataError where the first entry is none, or there is no entry."""
    entries = list(islice(read_objects(path, encoding), count))
    good = [entry.fields for entry in entries if not entry.fault]
    if not good:
        reason = entries[0].fault if entries else "it is empty"
        raise DataError(f"{path}: must hold a JSON object on each line, or a list of objects; {reason}")
    return good


def _lines(path: Path, stream: IO[str], start: str) -> Iterator[Entry]:
    number, rest = 0, start
    while rest:
        *lines, rest = rest.split("\n")
        if not lines and len(rest) > _LONGEST:
            raise DataError(f"{path}:{number + 1}: a line must have at most {_LONGEST:,} characters, this has more")
        more = stream.read(_PIECE)
        if not more and rest:
            lines.append(rest)
        for line in lines:
            number += 1
            if line.strip():
                yield _entry(f"{path.name}:{number}", line)
        rest = rest + more if more else ""


def _listed(path: Path, stream: IO[str], rest: str) -> Iterator[Entry]:
    decoder, number, position = json.JSONDecoder(), 0, 0
    while True:
        position = _SEPARATORS.match(rest, position).end()  # type: ignore[union-attr]  # it matches nothing, too
        if rest.startswith("]", position):
            return
        try:
            value, position = decoder.raw_decode(rest, position)
        except (ValueError, RecursionError) as error:  # perhaps the object goes on
            rest, position = rest[position:], 0
            more = stream.read(_PIECE) if len(rest) < _LONGEST else ""
            if not more:
                yield Entry(f"{path.name}[{number}]", {}, f"not JSON ({error}), and nothing after it can be read")
                return
            rest += more
            continue
        yield _of_value(f"{path.name}[{number}]", value)
        number += 1


def _entry(place: str, line: str) -> Entry:
    try:
        return _of_value(place, json.loads(line))
    except (ValueError, RecursionError) as error:
        return Entry(place, {}, f"not JSON ({error})")


def _of_value(place: str, value: Any) -> Entry:
    if not isinstance(value, dict):
        return Entry(place, {}, f"not a JSON object but {type(value).__name__}")
    return Entry(place, flatten(value))
