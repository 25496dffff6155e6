from __future__ import annotations

import subprocess
import sys

import pytest

from aista.native import preload_libsndfile

CODE = """
import os
import sys
import torch
from aista.native import preload_libsndfile
for conda in ([], ["/nowhere"]):
    os.environ.pop("CONDA_PREFIX", None)
    os.environ |= {"CONDA_PREFIX": folder for folder in conda}
    if not os.fork():
        print(preload_libsndfile())
        assert "soundfile" not in sys.modules
        import fairseq2n
        maps = {line.split()[-1] for line in open("/proc/self/maps") if "sndfile" in line}
        print(" ".join(maps), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fairseq2n_imports_with_the_wheels_libsndfile_and_no_other() -> None:
    """Outside and inside of a conda environment."""
    pytest.importorskip("fairseq2")
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    printed = result.stdout.splitlines()
    assert len(printed) == 4, result.stderr
    assert printed[::2] == printed[1::2]  # what is mapped is what was preloaded


def test_calling_it_again_changes_nothing() -> None:
    assert preload_libsndfile() == preload_libsndfile()


def test_a_soundfile_without_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert preload_libsndfile() is None
