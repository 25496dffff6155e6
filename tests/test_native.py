from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aista.native import preload_libsndfile

CODE = """
import sys
from aista.native import preload_libsndfile
print(preload_libsndfile())
assert "soundfile" not in sys.modules
import fairseq2n
maps = {line.split()[-1] for line in open("/proc/self/maps") if "sndfile" in line}
print(" ".join(maps))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("conda", [{}, {"CONDA_PREFIX": "/nowhere"}])
def test_fairseq2n_imports_with_the_wheels_libsndfile_and_no_other(conda: dict[str, str]) -> None:
    pytest.importorskip("fairseq2")
    environment = {name: value for name, value in os.environ.items() if name != "CONDA_PREFIX"} | conda
    result = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    preloaded, mapped = result.stdout.splitlines()
    assert mapped == preloaded


def test_calling_it_again_changes_nothing() -> None:
    assert preload_libsndfile() == preload_libsndfile()


def test_a_soundfile_without_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert preload_libsndfile() is None
