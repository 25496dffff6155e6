"""The examples in the solvers' docstrings run and print what they say."""

from __future__ import annotations

import doctest

import pytest
import torch

import aista.losses
from tests.losses.solvers.test_base import SOLVERS


@pytest.mark.parametrize("name", SOLVERS.values())
def test_the_example_runs(name):
    names = {key: getattr(aista.losses, key) for key in aista.losses.__all__} | {"torch": torch}
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(aista.losses, name), name, globs=names)
    assert example.examples
    torch.manual_seed(0)
    report: list[str] = []
    assert not doctest.DocTestRunner().run(example, out=report.append).failed, "".join(report)
