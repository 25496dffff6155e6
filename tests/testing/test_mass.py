from __future__ import annotations

import pytest
import torch

from aista import registry
from aista.schema import Component
from aista.testing.contracts import run
from aista.testing.mass import check_shapes, check_values


@pytest.mark.parametrize("name", ["uniform", "norm"])
def test_built_in_masses_keep_the_contracts(name):
    assert {outcome.status for outcome in run("mass", name)} == {"PASS"}
    assert registry.build("mass", Component(name), at="mass")(torch.ones(3, 2)).shape == (3,)


CASES = [
    (check_shapes, lambda states: states, r"\[5, 6\] must give \[5\], got \[5, 6\]"),
    (check_shapes, lambda states: states[:, 0].double(), "torch.float32 states must give torch.float32"),
    (check_values, lambda states: states[:, 0] / states.norm(dim=1), "masses must be finite"),
    (check_values, lambda states: -states.abs().sum(1), "masses must be at least 0"),
    (check_values, lambda states: states.new_zeros(len(states)), "masses must not all be 0"),
    (check_values, lambda states: states.square().sum(1).sqrt(), "gradients must be finite"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_mass_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken)
