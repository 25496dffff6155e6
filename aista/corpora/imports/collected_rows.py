"""The rows kept by an import: on disk, with only keys for comparison and splitting in memory."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aista.corpora.imports.row_spool import RowSpool
from aista.corpora.imports.source_rows import RawRow
from aista.corpora.imports.text_splits import NO_TEXT, assign_splits, text_groups, text_key
from aista.data.manifest import Row
from aista.errors import DataError

__all__ = ["CollectedRows"]

_DEFAULT_SHARES = {"dev": 0.05, "test": 0.05}
_ALWAYS = ("id", "audio", "n_frames", "tgt_text", "src_text", "src_lang", "tgt_lang")


class CollectedRows:
    """Rows in a spool, and 64-bit keys of their texts, ids and audio."""

    def __init__(self, spool: RowSpool) -> None:
        self.spool = spool
        self.done = 0
        self.names: list[str] = []
        self._codes = array("i")
        self._sources, self._targets, self._audios, self._rows = (array("Q") for _ in range(4))
        self._ids: set[int] = set()
        self._optional: set[str] = set()
        self._languages: tuple[set[str], set[str]] = (set(), set())

    @property
    def count(self) -> int:
        """Number of kept rows."""
        return len(self._codes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the manifests."""
        return (*_ALWAYS, *sorted(self._optional))

    @property
    def languages(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Languages of the speech, and of the translations."""
        source, target = (tuple(sorted(names)) for names in self._languages)
        return source, target

    def name(self, raw: RawRow) -> str:
        """The row's id: that of its source, or else a new one from its audio's name.

        Raises:
            DataError: its source gives an id that another row has.
        """
        id = raw.texts.get("id", "")
        id = f"{id}{raw.suffix}" if id else ""
        if id and _key(id) in self._ids:
            first = next((place for row, place in self.spool.rows() if row.id == id), "a row shortly before")
            raise DataError(
                f"{raw.place}: ids must be unique, got {id!r} again (first in {first}); mend it, or name rows after "
                "their audio by --column id="
            )
        if not id:
            stem = _stem(raw) or f"row{self.done}"
            number = 1
            while _key(id := f"{stem}{f'-{number}' * (number > 1)}{raw.suffix}") in self._ids:
                number += 1
        self._ids.add(_key(id))
        return id

    def add(self, row: Row, raw: RawRow) -> None:
        """Keep a row."""
        split = raw.texts.get("split", "")
        if split not in self.names:
            if not split.replace("-", "_").isidentifier() and split:
                raise DataError(
                    f"{raw.place}: a split must have the name of a file, got {split!r}; name its column otherwise"
                )
            self.names.append(split)
        self._codes.append(self.names.index(split))
        self._sources.append(text_key(row.src_text))
        self._targets.append(text_key(row.tgt_text))
        self._rows.append(_key(row.id))
        self._audios.append(_key(row.audio + raw.suffix) if row.audio else 0)
        self._optional |= {name for name in ("speaker", "word_times", "task") if getattr(row, name)}
        for known, language in zip(self._languages, (row.src_lang, row.tgt_lang), strict=True):
            if language:
                known.add(language)
        self.spool.add(row, raw.place)

    def split(self, shares: Mapping[str, float] | None) -> tuple[list[str], NDArray[np.int64], str]:
        """Each row's split.

        Args:
            shares: Fractions to take from train; None takes the default where no source names a split.

        Returns:
            The splits' names, ``[N]`` the index of each row's among them, and how it came to be, for people.

        Raises:
            DataError: a split already exists, or would be empty.
        """
        given = [name for name in self.names if name]
        shares = ({} if given else _DEFAULT_SHARES) if shares is None else shares
        twice = sorted(set(shares) & set(given))
        if twice:
            raise DataError(
                f"--split {twice[0]}: the source has its own {twice[0]}; leave it out, or import train alone"
            )
        names = [name or "train" for name in self.names]
        order = list(dict.fromkeys([*names, *shares]))
        codes = np.array([order.index(name) for name in names])[np.frombuffer(self._codes, np.intc)]
        how = "as the source gives them" if given else "all in train"
        if shares:
            free = np.flatnonzero(codes == order.index("train")) if "train" in order else np.array([], np.int64)
            groups, keys = text_groups(*(_array(keys)[free] for keys in (self._sources, self._targets, self._rows)))
            chosen = assign_splits(groups, keys, shares)
            targets = np.array([order.index(name) for name in shares])
            codes[free[chosen >= 0]] = targets[chosen[chosen >= 0]]
            taken = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            how = f"{taken} of train's rows, whole groups of equal texts ({len(keys)} groups)"
        if "dev" not in order:
            how += "; there is no dev, which training validates on: --split dev=0.05 takes it from train"
        return order, codes.astype(np.int64), how

    def num_duplicates(self) -> int:
        """Number of rows with both transcript and translation of an earlier row."""
        texts = np.stack([_array(self._sources), _array(self._targets)])
        return self.count - len(np.unique(texts, axis=1).T)

    def num_repeated_audio(self) -> int:
        """Number of rows with the audio of an earlier row."""
        audio = _array(self._audios)
        audio = audio[audio != 0]
        return len(audio) - len(np.unique(audio))

    def overlaps(self, names: list[str], codes: NDArray[np.int64]) -> dict[str, int]:
        """``dev/train`` -> number of rows of dev with a transcript or translation of train; only pairs with overlap."""
        found = {}
        for first, name in enumerate(names):
            for second, other in enumerate(names):
                if first == second or (name == "train") or (other != "train" and first < second):
                    continue
                shared = np.zeros(int((codes == first).sum()), bool)
                for keys in (_array(self._sources), _array(self._targets)):
                    mine, others = keys[codes == first], keys[codes == second]
                    shared |= (mine != NO_TEXT) & np.isin(mine, others)
                if shared.any():
                    found[f"{name}/{other}"] = int(shared.sum())
        return found


def _array(keys: array[int]) -> NDArray[np.uint64]:
    return np.frombuffer(keys, np.uint64) if len(keys) else np.array([], np.uint64)


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") or 1


def _stem(raw: RawRow) -> str:
    recording = raw.recording
    if recording is None or not recording.path:
        return ""
    stem = Path(recording.path.rpartition("/")[2]).stem
    return stem if recording.is_whole else f"{stem}-{round(recording.start * 1000):08d}"
