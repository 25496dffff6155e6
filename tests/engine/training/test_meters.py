from copy import deepcopy

import torch

from aista.engine.training.meters import NamedMeans


def batch(value, weight):
    return torch.tensor(value), weight


def test_means_are_weighted_and_what_has_no_weight_is_summed():
    meter = NamedMeans().update({"nll": batch(2.0, 1.0), "rows": batch(3.0, 0.0)})
    meter.update({"nll": batch(5.0, 2.0), "rows": batch(4.0, 0.0)})
    assert meter.compute() == {"nll": 4.0, "rows": 7.0}


def test_processes_merge_to_what_one_of_them_would_give():
    one = NamedMeans().update({"nll": batch(2.0, 1.0), "rows": batch(3.0, 0.0)})
    other = NamedMeans().update({"nll": batch(5.0, 2.0), "rows": batch(4.0, 0.0), "align": batch(1.5, 3.0)})
    assert one.merge_state([other]).compute() == {"nll": 4.0, "rows": 7.0, "align": 1.5}


def test_a_copy_keeps_its_numbers():
    meter = NamedMeans().update({"nll": batch(2.0, 1.0)})
    twin = deepcopy(meter)
    meter.update({"nll": batch(4.0, 1.0)})
    assert (twin.compute(), meter.compute()) == ({"nll": 2.0}, {"nll": 3.0})
