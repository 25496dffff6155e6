"""Contracts of kind ``source``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aista.data.sources.base import Languages, Source
from aista.errors import DataError
from aista.testing.contracts import contract
from aista.testing.tensors import assert_raises


@contract("source")
def check_recognises(source: Source) -> None:
    """A missing path, an empty folder and an empty file are not recognised, without an exception."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        (folder / "nothing.xyz").touch()
        for place in (folder / "missing", folder / "empty", folder / "nothing.xyz"):
            try:
                found = type(source).recognises(str(place))
            except Exception as error:
                raise AssertionError(f"recognises({place.name!r}) must return False, raised {error!r}") from error
            assert found is False, f"recognises({place.name!r}) must return False, got {found!r}"


@contract("source")
def check_refuses(source: Source) -> None:
    """Reading the parts of a missing place raises a DataError that names it."""
    with tempfile.TemporaryDirectory() as name:
        place = str(Path(name, "missing"))
        with assert_raises(DataError, "parts() of a missing place must raise DataError"):
            source.parts(place, Languages())
