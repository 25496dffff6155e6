"""The index of Beneath a Steel Sky."""

from pathlib import Path

import pytest

from aista.corpora.games.steel_sky import spoken_entries
from aista.errors import DataError
from tests.corpora.games.files import write_index


def test_speech_begins_at_50000(tmp_path: Path) -> None:
    write_index(tmp_path / "sky.dnr", [60_663, 1, 49_999, 50_000, 50_007])
    assert spoken_entries(tmp_path / "sky.dnr") == [50_000, 50_007, 60_663]


@pytest.mark.parametrize("size", [0, 3, 4, 27, 29])
def test_another_size_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sky.dnr"
    write_index(path, [1, 50_000, 3])
    path.write_bytes((path.read_bytes() + b"\0")[:size])
    with pytest.raises(DataError, match=rf"sky.dnr: {size} bytes must be an index of"):
        spoken_entries(path)
