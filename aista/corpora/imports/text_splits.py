"""Splits without common sentences: rows with an equal transcript or translation stay together."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from aista.errors import DataError

__all__ = ["NO_TEXT", "assign_splits", "text_groups", "text_key"]

NO_TEXT = 0
"""The key of texts without letters or digits, which match no other text."""

Keys = NDArray[np.uint64]


def text_key(text: str) -> int:
    """A 64-bit key of a text, ignoring case, encoding of accents, spaces and punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in folded)
    words = " ".join(letters.split())
    if not words:
        return NO_TEXT
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little") or 1


def text_groups(source: Keys, target: Keys, rows: Keys) -> tuple[NDArray[np.int64], Keys]:
    """Connected groups of rows by equal transcripts or translations.

    Args:
        source: ``[N]`` keys of the transcripts.
        target: ``[N]`` keys of the translations.
        rows: ``[N]`` keys of the rows, for those that have neither.

    Returns:
        ``[N]`` number of each row's group, and ``[G]`` a key of each group that depends on its texts alone.
    """
    keys, nodes = np.unique(np.concatenate([source, target ^ np.uint64(1), rows ^ np.uint64(2)]), return_inverse=True)
    of_source, of_target, of_row = nodes.reshape(3, -1)
    count = len(rows)
    edges = [(of_row[source != NO_TEXT], of_source[source != NO_TEXT])]
    edges += [(of_row[target != NO_TEXT], of_target[target != NO_TEXT])]
    heads, tails = (np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(heads), np.int8), (heads, tails)), shape=(len(keys), len(keys)))
    _, component = connected_components(graph, directed=False)
    _, groups = np.unique(component[of_row], return_inverse=True)
    group_keys = np.full(int(groups.max(initial=-1)) + 1, np.iinfo(np.uint64).max, np.uint64)
    anchors = np.where(source != NO_TEXT, source, np.where(target != NO_TEXT, target, rows))
    np.minimum.at(group_keys, groups, anchors)
    assert len(groups) == count
    return groups.astype(np.int64), group_keys


def assign_splits(groups: NDArray[np.int64], keys: Keys, shares: Mapping[str, float]) -> NDArray[np.int64]:
    """Assign whole groups to splits, in an order determined by their texts.

    A group goes to the first split that still has room for it, else to train: so large groups, such as all that say
    "yes", are trained on.

    Args:
        groups: ``[N]`` number of each row's group.
        keys: ``[G]`` keys of the groups.
        shares: Split -> share of the rows; the rest is train's.

    Returns:
        ``[N]`` the index of each row's split in ``shares``; train is -1.

    Raises:
        DataError: a split gets no row, or train none.
    """
    sizes = np.bincount(groups, minlength=len(keys))
    room = [max(1, round(share * len(groups))) for share in shares.values()]
    chosen = np.full(len(keys), -1)
    for group in np.argsort(keys, kind="stable"):
        split = next((index for index, free in enumerate(room) if sizes[group] <= free), None)
        if split is not None:
            chosen[group], room[split] = split, room[split] - sizes[group]
    splits: NDArray[np.int64] = chosen[groups]
    for index, name in ((-1, "train"), *enumerate(shares)):
        if not (splits == index).any():
            asked = " ".join(f"{name}={share:g}" for name, share in shares.items())
            raise DataError(
                f"--split {asked}: {name} would be empty: {len(groups)} rows in {len(keys)} groups of equal texts, the "
                f"largest of {sizes.max(initial=0)}; give other shares, or --split none to leave all in train"
            )
    return splits
