"""Runs what needs Triton's interpreter in processes of its own: it must be chosen before triton is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKS = sorted(map(str, Path(__file__).parent.glob("*_checks.py")))
ROOT = Path(__file__).parents[4]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed (pip install triton)"),
]


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, *arguments], os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)


def test_the_kernels_in_the_interpreter():
    run = _python("-m", "pytest", "-q", "-p", "no:cacheprovider", *CHECKS, TRITON_INTERPRET="1")
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="triton is interpreted, not compiled")
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_the_kernels_compile_without_spilling(capability, tmp_path, monkeypatch):
    """For an A100, an H100 and a B200; what runs once per step may spill a little."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from benchmarks.compile_kernels import compiled, launches, usage

    for s, t in ((200, 40), (375, 128))[:: 1 if capability == 90 else 2]:
        for name, _, how, constants in launches(s, t, held=True):
            registers, spilled = usage(compiled(how, constants, "fp32", capability), capability)
            assert 0 < registers <= 65536 // (32 * how.num_warps)
            assert spilled == 0, name
