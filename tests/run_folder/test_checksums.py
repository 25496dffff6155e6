import hashlib

import pytest

from aista.errors import RunError
from aista.run_folder.checksums import require_intact

CONTENT = bytes(range(256)) * 64


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(CONTENT)
    return file


def test_an_intact_file_passes(file):
    require_intact(file, hashlib.sha256(CONTENT).hexdigest(), "copy it again")


@pytest.mark.parametrize("place", [0, 8191, len(CONTENT) - 1])
def test_one_flipped_bit_is_noticed(file, place):
    flipped = bytearray(CONTENT)
    flipped[place] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(RunError, match=r"weights\.pt: damaged: its SHA-256 is .* was written; copy it again"):
        require_intact(file, hashlib.sha256(CONTENT).hexdigest(), "copy it again")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"gone\.pt: missing; copy it again"):
        require_intact(tmp_path / "gone.pt", "0" * 64, "copy it again")
