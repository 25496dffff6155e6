"""Ids that several manifests use are told, each with both places."""

from pathlib import Path

from aista.data.manifest_rows import Row, Rows
from aista.data.shared_ids import describe_shared_ids


def manifest(name: str, ids: str) -> tuple[Path, Rows]:
    return Path(name), Rows.of(Row(id, "", 0, "", line=line) for line, id in enumerate(ids, start=2))


def test_each_pair_of_manifests_is_told_with_both_places() -> None:
    first, second = describe_shared_ids([manifest("a.tsv", "abcd"), manifest("b.tsv", "xdc"), manifest("c.tsv", "yx")])
    assert first.startswith("b.tsv: 2 of its 3 ids are those of rows of a.tsv too, the first 'd' (lines 3 and 5); all")
    assert second.startswith("c.tsv: 1 of its 2 ids are those of rows of b.tsv too, the first 'x' (lines 3 and 2); all")


def test_ids_of_their_own_are_nothing_to_tell() -> None:
    assert describe_shared_ids([manifest("a.tsv", "ab"), manifest("b.tsv", "cd")]) == []
    assert describe_shared_ids([manifest("a.tsv", "ab")]) == []
