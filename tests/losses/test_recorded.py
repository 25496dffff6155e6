"""Solvers and alignment losses give the results of ``recorded.safetensors.gz``: see ``recorded.py``."""

from __future__ import annotations

import pytest
import torch

from tests.losses.recorded import CASES, conditions, load, measure

EXPECTED, CONDITIONS = load()


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_file_holds_these_cases():
    assert {key.rpartition(".")[0] for key in EXPECTED} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_result_is_the_recorded_one(name):
    """Bit for bit where torch and the processor are those of the record; elsewhere sums may round otherwise."""
    found = measure(CASES[name])
    expected = {key.rpartition(".")[2]: z for key, z in EXPECTED.items() if key.startswith(f"{name}.")}
    assert found.keys() == expected.keys()
    same_bits = conditions() == CONDITIONS
    for key, right in expected.items():
        if same_bits:
            assert torch.equal(_bits(found[key]), _bits(right)), f"{key} is not the recorded one, bit for bit"
        elif key != "num_iterations":
            rounding = {torch.bfloat16: 2**-6, torch.float64: 1e-6}.get(right.dtype, 1e-3)
            message = (
                f"{key} is far from the one recorded on {CONDITIONS}, more than rounding on {conditions()} explains"
            )
            torch.testing.assert_close(found[key], right, atol=rounding, rtol=rounding, msg=message)


def _bits(tensor):
    """NaN included, and -0 is not 0."""
    return tensor.contiguous().flatten().view(torch.uint8) if tensor.dtype != torch.bool else tensor
