"""Imports plug-ins: Python files that a user names, and the entry points of installed packages."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

from aista.errors import PluginError
from aista.plugin_faults import FILE_MODULE, PACKAGES, described, place_of, shown_file

__all__ = ["ENTRY_POINT_GROUP", "is_loaded", "load_entry_points", "load_files"]

ENTRY_POINT_GROUP = "aista.components"
_done: dict[str, str] = {}
"""Entry points, files and SHA-256 of files that are or are being imported -> name of the module."""


def load_files(files: Iterable[str | Path], base: Path | None = None) -> set[str]:
    """Import files once each (paths relative to ``base``; copies of a file count as one); returns their modules' names.

    Raises:
        PluginError: a file is not a Python file, or fails; the next call tries it again.
    """
    load_entry_points()
    modules = set()
    for file in files:
        path = Path(base or Path.cwd(), file)
        if path.suffix != ".py" or not os.path.isfile(path):  # False, too, for names that no system takes
            raise PluginError(_no_file(file, path))
        real, content = path.resolve(), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        own = f"{FILE_MODULE}{re.sub(r'[^0-9A-Za-z]', '_', real.stem)}_{zlib.crc32(str(real).encode()):08x}"
        name = _done.get(str(real)) or _done.get(content) or own
        with _once(str(real), shown_file(path), name) as is_first:
            if is_first and content not in _done:
                loader = importlib.machinery.SourceFileLoader(name, os.path.abspath(path))
                spec = importlib.util.spec_from_loader(name, loader)
                assert spec is not None
                sys.modules[name] = importlib.util.module_from_spec(spec)
                loader.exec_module(sys.modules[name])
                _done[content] = name
        modules.add(name)
    return modules


def is_loaded(sha256: str) -> bool:
    """Whether a plug-in file of this content was loaded."""
    return f"sha256:{sha256}" in _done


def load_entry_points() -> None:
    """Import, once, the entry points of installed packages and call functions. Raises PluginError if one fails."""
    if ENTRY_POINT_GROUP in _done:
        return
    for point in entry_points(group=ENTRY_POINT_GROUP):
        owner = point.dist.name if point.dist else "an unknown distribution"
        PACKAGES.add(point.value.partition(":")[0].partition(".")[0])
        with _once(f"{owner}:{point.name}", f"entry point {point.name!r} of {owner} ({point.value})") as is_first:
            loaded = point.load() if is_first else None
            if inspect.isfunction(loaded):
                loaded()
    _done[ENTRY_POINT_GROUP] = ""


@contextmanager
def _once(key: str, plugin: str, module: str = "") -> Iterator[bool]:
    """Whether ``key`` is new. A failed import is forgotten, so that the next try fails too instead of finding gaps."""
    is_first = key not in _done
    _done.setdefault(key, module)
    try:
        yield is_first
    except BaseException as error:
        _done.pop(key)
        if not isinstance(error, (Exception, SystemExit)):
            raise
        place = place_of(error)
        reason = f"{place or f'{plugin} failed to load'}: {described(error)}"
        raise PluginError(reason, check="" if place is None else place.file) from error


def _no_file(file: str | Path, path: Path) -> str:
    near = path.with_name(f"{path.name}.py")
    remedy = "correct the path; an installed package offers components by an entry point instead"
    if near.is_file():
        remedy = f"did you mean {file}.py?"
    place = "" if Path(file).is_absolute() else f" at {path.absolute()}"
    return f"plug-in {str(file)!r}: must be a Python file (.py), found none{place}; {remedy}"
