"""The names of GPUs, which no machine of the tests has."""

import pytest

from aista.runs.devices import named_gpus


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 0, ()),
        (None, 2, ("0", "1")),
        ("", 0, ()),
        ("3, 1", 2, ("3", "1")),
        ("GPU-8f,MIG-4a", 2, ("GPU-8f", "MIG-4a")),
        ("2,-1,0", 1, ("2",)),
    ],
)
def test_they_are_those_that_are_visible(visible, count, names):
    assert named_gpus(visible, count) == names
