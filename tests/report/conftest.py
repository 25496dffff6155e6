"""Run folders as the engine writes them, without an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aista.selection.curve import ProbeCurve
from tests.written_runs import make_curve, write_run


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """An aligned run."""
    return write_run(tmp_path / "aligned", error=0.2, noise=1.0, aligned=True)


@pytest.fixture
def baseline_path(tmp_path: Path) -> Path:
    """A CE-only run."""
    return write_run(tmp_path / "ce_only")


@pytest.fixture
def curve() -> Callable[..., ProbeCurve]:
    """Makes probe curves."""
    return make_curve
