"""Detects the layout of a corpus and opens it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aista import registry
from aista.config import apply_overrides
from aista.data.sources.base import Source
from aista.data.sources.published import PublishedCorpus, nearby
from aista.errors import DataError
from aista.schema import Component, structure

__all__ = ["open_source", "recognise"]


def recognise(place: str) -> str:
    """The name of the layout that a corpus has.

    Raises:
        DataError: it looks like none, or like several.
    """
    layouts = registry.entries("source")
    hits = [entry for entry in layouts if _class_of(entry).recognises(place)]
    particular = [entry for entry in hits if not _class_of(entry).is_general]
    hits = particular or hits
    known = ", ".join(registry.names("source"))
    if not hits and not os.path.exists(place):
        raise DataError(f"--from {place}: no such file or folder, and no name of the form ORG/NAME; check the path")
    if not hits:
        raise DataError(
            f"--from {place}: "
            + (
                _meant(place, layouts)
                or f"looks like no known layout ({known}); check the path, or name the layout by --format NAME"
            )
        )
    if len(hits) > 1:
        looks = " and ".join(entry.name for entry in hits)
        raise DataError(f"--from {place}: looks like {looks}; choose by --format NAME")
    return hits[0].name


def open_source(name: str, overrides: Sequence[str] = ()) -> Source:
    """A layout with its options, written ``key=value`` as on the command line.

    Raises:
        RegistryError: no such layout.
        ConfigError: an option is unknown or has another type.
    """
    entry = registry.get("source", name)
    options = apply_overrides({}, overrides)
    config = structure(entry.config, options, source=f"--format {name}") if entry.config else None
    source: Source = registry.build("source", Component(name, config))
    return source


def _meant(place: str, layouts: Sequence[registry.Entry]) -> str:
    """Published corpora near a place that is not one itself."""
    for entry in layouts:
        layout = _class_of(entry)
        if issubclass(layout, PublishedCorpus) and (found := nearby(Path(place), layout.is_root)):
            held = " and ".join(map(str, found))
            return f"is not a corpus, but {held} would be read as {entry.name}; give that folder"
    return ""


def _class_of(entry: registry.Entry) -> type[Source]:
    factory = entry.factory
    if not (isinstance(factory, type) and issubclass(factory, Source)):
        raise DataError(f"source {entry.name!r} ({entry.origin}): must be a class derived from Source")
    return factory
