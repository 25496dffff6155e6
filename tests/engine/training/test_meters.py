import math
from copy import deepcopy

import torch

from aista.engine.training.meters import NamedMeans
from tests.fake_gpu import fake_gpu


def batch(value, weight):
    return torch.tensor(value), weight


def test_means_are_weighted_and_what_has_no_weight_is_summed():
    meter = NamedMeans().update({"nll": batch(2.0, 1.0), "rows": batch(3, None)})
    meter.update({"nll": batch(5.0, torch.tensor(2)), "rows": batch(4, None)})
    assert meter.compute() == {"nll": 4.0, "rows": 7.0}


def test_a_mean_over_nothing_has_no_value_and_spoils_none():
    nothing = {"align": batch(math.nan, torch.tensor(0)), "rows": batch(0, None)}
    meter = NamedMeans().update(nothing)
    assert meter.compute() == {"rows": 0.0}
    meter.update({"align": batch(1.5, 3.0)}).update(nothing)
    assert meter.compute() == {"align": 1.5, "rows": 0.0}


def test_an_update_reads_nothing_from_a_gpu():
    with fake_gpu() as device:
        meter = NamedMeans(device)
        number = torch.ones((), device=device)
        meter.update({"nll": (number, 2.0), "align": (number, number > 0), "rows": (number.long(), None)})
        meter.update({"nll": (number, number)})
        assert {value.device.type for value in (meter.sums | meter.weights).values()} == {device.type}


def test_processes_merge_to_what_one_of_them_would_give():
    one = NamedMeans().update({"nll": batch(2.0, 1.0), "rows": batch(3.0, None)})
    other = NamedMeans().update({"nll": batch(5.0, 2.0), "rows": batch(4.0, None), "align": batch(1.5, 3.0)})
    assert one.merge_state([other]).compute() == {"nll": 4.0, "rows": 7.0, "align": 1.5}


def test_a_copy_keeps_its_numbers():
    meter = NamedMeans().update({"nll": batch(2.0, 1.0)})
    twin = deepcopy(meter)
    meter.update({"nll": batch(4.0, 1.0)})
    assert (twin.compute(), meter.compute()) == ({"nll": 2.0}, {"nll": 3.0})
