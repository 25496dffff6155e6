"""Options of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("test_pretrained.py")
    group.addoption(
        "--whisper", type=Path, help="folder of a real Whisper model; random weights of tiny's shape if absent"
    )
    group.addoption(
        "--llm", type=Path, help="folder of a real causal LM; random weights of SmolLM2 135M's shape if absent"
    )
    group.addoption("--rounds", type=int, default=7, help="timed rounds of test_pretrained.py")
