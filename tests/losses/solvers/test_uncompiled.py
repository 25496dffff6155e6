from __future__ import annotations

import pytest
import torch

from aista import registry
from aista.losses.solvers.uncompiled import uncompiled
from aista.schema import Component
from tests.losses.clouds import clouds

SOLVERS = sorted(entry.name for entry in registry.entries("ot_solver"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's compiler looks at it
@pytest.mark.parametrize("name", SOLVERS)
def test_a_compiled_caller_gets_the_same_bits(name):
    solver = registry.build("ot_solver", Component(name), at="solver")
    case = clouds([5, 0, 3], [4, 2, 6])

    def loss(x, y):
        return 2 * solver(3 * x, y, case.x_lengths, case.y_lengths, cost="sqeuclidean").value.sum()

    results = []
    for function in (loss, torch.compile(loss, backend="eager")):
        leaves = case.leaves()
        value = function(leaves.x, leaves.y)
        value.backward()
        results.append((value, leaves.x.grad, leaves.y.grad))
    for plain, compiled in zip(*results, strict=True):
        assert torch.equal(plain, compiled)


def test_a_compiled_caller_is_not_compiled_again_for_other_lengths():
    calls = []

    @uncompiled
    def data_dependent(x):
        calls.append(torch.compiler.is_compiling())
        return x * len(x.nonzero())

    compiled = torch.compile(lambda x: data_dependent(x + 1) + 1, backend="eager")
    for length in range(4):
        x = (torch.arange(4) < length).float()
        torch.testing.assert_close(compiled(x), data_dependent(x + 1) + 1)
    assert calls == [False] * 8
