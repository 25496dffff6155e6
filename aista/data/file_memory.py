"""Caches results about audio files, so that a second start does not read them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aista.data.arrow_file import read_table, table_writer
from aista.data.audio import probe_audio, read_header
from aista.data.audio_file import file_status
from aista.data.reading_processes import num_cores, reading_processes
from aista.errors import DataError, RunError
from aista.files import replacing
from aista.locks import locked

__all__ = ["FileMemory", "Recalled", "audio_headers", "decoded_audio"]

_VERSION = "3"
_CHUNK = 64  # files that a process gets at a time
_WORTH_PROCESSES = 512  # files; fewer are read before processes would have started

Compute = Callable[[str, Path], Sequence[Any]]
_Outcome = tuple[Any, ...] | DataError | None  # size, time and values; or what is wrong; None: as it is known


@dataclass(frozen=True)
class Recalled:
    """Results for many files, ``[files]`` each.

    Attributes:
        values: A list or array for each value; 0 or "" where there is a fault.
        faults: Index of a file -> what is wrong with it.
    """

    values: tuple[NDArray[Any], ...]
    faults: dict[int, DataError]


class FileMemory:
    """Results of a function of audio files, for one manifest, kept in ``.NAME.TOPIC.arrow`` beside it.

    Of several processes that ask for many files at a time one computes, and the others find what it remembered.
    An entry counts only while the file's size and modification time are what they were. Failures are not recorded, so a
    repaired disk is noticed.

    Args:
        manifest: The manifest that names the files.
        topic: Kind of results; part of the file's name.
        compute: (the manifest's ``audio`` field, the manifest's folder) -> values of ``types``.
        types: ``int`` or ``str``, of each value.
    """

    def __init__(self, manifest: Path, topic: str, compute: Compute, types: Sequence[type]) -> None:
        self._base = manifest.parent
        self._file = manifest.parent / f".{manifest.name}.{topic}.arrow"
        self._compute = compute
        self._types = types
        kinds = [pa.int64() if kind is int else pa.string() for kind in (int, int, *types)]
        names = ["size", "time", *(f"value{index}" for index in range(len(types)))]
        self._schema = pa.schema([("spec", pa.string()), *zip(names, kinds, strict=True)])
        self._new: dict[str, tuple[Any, ...]] = {}

    def recall(self, spec: str) -> Sequence[Any]:
        """The result of ``compute`` for a file, computed only if the file is new or changed. Thread-safe.

        Raises:
            DataError: as ``compute``.
        """
        place = self._places.get(spec)
        known = None if place is None else (self._known["size"][place].as_py(), self._known["time"][place].as_py())
        outcome = _examine(self._compute, self._base, spec, known)
        if isinstance(outcome, DataError):
            raise outcome
        if outcome is None:
            return [self._known[name][place].as_py() for name in self._schema.names[3:]]
        self._new[spec] = outcome
        return outcome[2:]

    def recall_all(self, specs: Sequence[str], progress: Callable[[int, int], None] | None = None) -> Recalled:
        """``recall`` for each file, in several processes for many files; saves results even when interrupted.

        Args:
            specs: The manifest's ``audio`` fields.
            progress: Called with (files done, files) as they are done, from the calling process.

        Raises:
            RunError: a process died.
        """
        with ExitStack() as stack:
            if len(specs) >= _WORTH_PROCESSES:
                with suppress(RunError):  # in a folder that cannot be written each process computes for itself
                    stack.enter_context(locked(self._file.with_suffix(".lock"), self._file, wait=True))
                self._forget_table()
            return self._recall_all(specs, progress)

    def _recall_all(self, specs: Sequence[str], progress: Callable[[int, int], None] | None) -> Recalled:
        places = pc.index_in(pa.array(specs, pa.string()), value_set=self._known["spec"]).fill_null(-1).to_numpy()
        stamps = [self._known[name].to_numpy()[places] if len(self._known) else places for name in ("size", "time")]
        values = tuple(self._remembered(name, places) for name in self._schema.names[3:])
        faults: dict[int, DataError] = {}
        known = [places >= 0, *stamps]
        try:
            for index, outcome in enumerate(self._outcomes(specs, known)):
                if isinstance(outcome, DataError):
                    faults[index] = outcome
                elif outcome is not None:
                    self._new[specs[index]] = outcome
                    for column, value in zip(values, outcome[2:], strict=True):
                        column[index] = value
                if progress is not None:
                    progress(index + 1, len(specs))
        finally:
            self.save()
        return Recalled(values, faults)

    def save(self) -> None:
        """Write the present results; does nothing in a folder that cannot be written."""
        if not self._new:
            return
        is_old = pc.invert(pc.is_in(self._known["spec"], value_set=pa.array(self._new, pa.string())))
        fresh = zip(*((spec, *entry) for spec, entry in self._new.items()), strict=True)
        columns = [pa.array(column, kind) for column, kind in zip(fresh, self._schema.types, strict=True)]
        table = pa.concat_tables(
            [self._known.filter(is_old).cast(self._schema), pa.table(columns, schema=self._schema)]
        )
        with suppress(OSError):  # only speed is lost
            with replacing(self._file) as temporary, table_writer(temporary, self._schema, self._stamp) as writer:
                writer.write_table(table)
            self._new = {}
            self._forget_table()

    @property
    def _stamp(self) -> dict[str, str]:
        return {"version": _VERSION}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {spec: place for place, spec in enumerate(self._known["spec"].to_pylist())}

    def _forget_table(self) -> None:
        for name in ("_known", "_places"):
            self.__dict__.pop(name, None)

    @cached_property
    def _known(self) -> pa.Table:
        table = read_table(self._file, self._schema, self._stamp)
        return self._schema.empty_table() if table is None else table.replace_schema_metadata(None)

    def _remembered(self, name: str, places: NDArray[np.int64]) -> NDArray[Any]:
        """A value of each file, where it is known."""
        kind = np.int64 if self._schema.field(name).type == pa.int64() else object
        values = np.zeros(len(places), dtype=kind)
        found = places >= 0
        values[found] = self._known[name].take(places[found]).to_numpy()
        return values

    def _outcomes(self, specs: Sequence[str], known: Sequence[NDArray[Any]]) -> Iterator[_Outcome]:
        starts = range(0, len(specs), _CHUNK)
        chunks = (
            (specs[start : start + _CHUNK], [column[start : start + _CHUNK] for column in known]) for start in starts
        )
        if len(specs) < _WORTH_PROCESSES or num_cores() == 1:
            for chunk in chunks:
                yield from _examine_chunk(self._compute, self._base, chunk)
            return
        examine = partial(_examined, self._compute, self._base)
        with reading_processes() as pool:
            for outcomes in pool.map(examine, chunks):
                yield from outcomes


def decoded_audio(manifest: Path, max_seconds: float = inf) -> FileMemory:
    """Caches the results of ``probe_audio``: samples, sample rate and channels."""
    return FileMemory(manifest, "decoded", partial(probe_audio, max_seconds=max_seconds), (int, int, int))


def audio_headers(manifest: Path, max_seconds: float = inf) -> FileMemory:
    """Caches the results of ``read_header``: samples, sample rate and channels."""
    return FileMemory(manifest, "headers", partial(read_header, max_seconds=max_seconds), (int, int, int))


def _examine_chunk(
    compute: Compute, base: Path, chunk: tuple[Sequence[str], Sequence[NDArray[Any]]]
) -> Iterator[_Outcome]:
    specs, (is_known, sizes, times) = chunk
    for spec, *stamp, known in zip(specs, sizes, times, is_known, strict=True):
        yield _examine(compute, base, spec, stamp if known else None)


def _examined(compute: Compute, base: Path, chunk: tuple[Sequence[str], Sequence[NDArray[Any]]]) -> list[_Outcome]:
    return list(_examine_chunk(compute, base, chunk))


def _examine(compute: Compute, base: Path, spec: str, known: Sequence[int] | None) -> _Outcome:
    """The result for a file; None where its size and time have not changed."""
    try:
        try:
            status = file_status(spec, base)
        except DataError:
            compute(spec, base)  # reports what is wrong
            raise
        stamp = status.st_size, status.st_mtime_ns
        return None if known is not None and stamp == tuple(known) else (*stamp, *compute(spec, base))
    except DataError as error:
        return error
