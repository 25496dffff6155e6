"""Shares follow the formula, and every row of every part comes up, as often as the others of its part."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.data.batching import BatchLimit, LengthBatches
from aista.data.mixture import Mixture, shares

SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=6)
TEMPERATURES = st.sampled_from([0.5, 1.0, 2.0, 5.0, 1e9])
WEIGHTS = st.lists(st.floats(0.2, 5), min_size=6, max_size=6)  # with these sizes no part is too rare to be mixed


def mixture(sizes, temperature=1.0, weights=None, seed=3, *, shuffled=False):
    part = np.repeat(np.arange(len(sizes)), sizes)
    if shuffled:
        np.random.default_rng(0).shuffle(part)
    of_parts = shares(sizes, (weights or [1.0] * len(sizes))[: len(sizes)], temperature)
    return Mixture(tuple(f"part{number}" for number in range(len(sizes))), part, tuple(of_parts), seed)


@given(sizes=SIZES, temperature=TEMPERATURES, weights=WEIGHTS)
def test_shares_are_those_of_the_formula(sizes, temperature, weights):
    factors = [w * (n / sum(sizes)) ** (1 / temperature) for w, n in zip(weights, sizes, strict=False)]
    assert shares(sizes, weights[: len(sizes)], temperature) == pytest.approx([f / sum(factors) for f in factors])


def test_shares_of_extreme_options_are_finite():
    assert shares([10**6, 10], [1.0, 1.0], 1e300) == pytest.approx([0.5, 0.5])
    assert shares([10**6, 10], [1.0, 1.0], 5e-324) == [1.0, 0.0]
    assert shares([10, 10], [1e308, 1e308], 1.0) == [0.5, 0.5]


@given(sizes=SIZES, temperature=TEMPERATURES, weights=WEIGHTS)
def test_what_is_read_is_always_within_a_row_of_the_shares(sizes, temperature, weights):
    mixed = mixture(sizes, temperature, weights, shuffled=True)
    expected = np.array(shares(sizes, weights[: len(sizes)], temperature)) * sum(sizes)
    read = np.zeros(len(sizes))
    for epoch in range(5):
        rows, _ = mixed.draw(epoch)
        read += np.bincount(mixed.part[rows], minlength=len(sizes))
        assert np.abs(read - (epoch + 1) * expected).max() < 1 + 1e-9
        assert read.tolist() == mixed.read_before(epoch + 1).tolist()


@given(sizes=SIZES, temperature=TEMPERATURES, weights=WEIGHTS)
def test_no_row_comes_again_before_all_of_its_part_came(sizes, temperature, weights):
    mixed = mixture(sizes, temperature, weights, shuffled=True)
    met = Counter()
    for epoch in range(6):
        rows, passes = mixed.draw(epoch)
        assert (np.diff(rows) >= 0).all()
        for row, number in sorted(zip(rows.tolist(), passes.tolist(), strict=True), key=lambda pair: pair[1]):
            assert number == met[row], "the pass of a row counts how often it was read before"
            met[row] += 1
        for part in range(len(sizes)):
            counts = [met[row] for row in np.flatnonzero(mixed.part == part).tolist()]
            assert max(counts) - min(counts) <= 1


def test_a_part_far_above_its_share_is_seen_whole_over_epochs():
    mixed = mixture([1000, 10], temperature=1e9)
    num_epochs = math.ceil(1 / mixed.passes[0])
    seen = {row for epoch in range(num_epochs) for row in mixed.draw(epoch)[0].tolist()}
    assert seen == set(range(1010))
    assert mixed.passes.tolist() == pytest.approx([0.505, 50.5])


def test_the_order_of_a_part_depends_on_seed_and_pass():
    whole = [set(mixture([100, 10], 1e9, seed=seed).draw(epoch)[0].tolist()) for seed in (3, 4) for epoch in (0, 2)]
    assert len({frozenset(rows) for rows in whole}) == 4
    again = mixture([100, 10], 1e9)
    assert again.draw(2)[0].tolist() == mixture([100, 10], 1e9).draw(2)[0].tolist()


def test_the_orders_of_passes_are_uniform():
    """Each of 20 rows is in the first half of its part's pass in about half of 400 passes: 4.5 standard deviations."""
    mixed = mixture([20, 20], weights=[1.0, 3.0])  # quotas 10 and 30
    first = Counter(row for epoch in range(0, 800, 2) for row in mixed.draw(epoch)[0].tolist() if row < 20)
    assert set(first) == set(range(20))
    assert all(abs(count - 200) < 45 for count in first.values())
    pairs = Counter(
        (0 in rows) == (1 in rows) for rows in (set(mixed.draw(epoch)[0].tolist()) for epoch in range(0, 800, 2))
    )
    assert abs(pairs[True] / 400 - 9 / 19) < 0.11, "which rows come together is chance, too"


def test_a_known_draw_never_changes():
    """Resuming after an upgrade needs this."""
    rows, passes = mixture([6, 3], temperature=1e9).draw(1)
    assert rows.tolist() == [1, 4, 4, 5, 6, 7, 7, 8, 8]
    assert passes.tolist() == [1, 0, 1, 1, 2, 1, 2, 1, 2]


def test_epochs_of_very_many_small_parts_have_about_the_same_size():
    uneven = Mixture(tuple(map(str, range(1000))), np.repeat(np.arange(1000), [1, 2] * 500), (0.001,) * 1000, 3)
    assert set(uneven.quotas.tolist()) == {1.5}
    assert all(abs(len(uneven.draw(epoch)[0]) - 1500) <= 10 for epoch in range(6))


def test_proportional_shares_give_the_very_batches_of_no_mixture():
    lengths = np.random.default_rng(0).uniform(1, 10, 60)
    options = {"batch_size": 8, "limits": (BatchLimit("seconds", lengths, 60, ""),), "seed": 1}
    for epoch in (0, 7):
        plain = LengthBatches(lengths, **options).plan(epoch)
        mixed = LengthBatches(lengths, **options, mixture=mixture([47, 11, 2], shuffled=True)).plan(epoch)
        assert mixed == plain
        assert mixed.passes(2, epoch) == plain.passes(2, epoch) == (epoch,) * len(plain[2])


@given(sizes=SIZES, temperature=TEMPERATURES, epoch=st.integers(0, 3), world_size=st.integers(1, 2))
def test_batches_hold_what_the_mixture_draws_and_keep_the_limits(sizes, temperature, epoch, world_size):
    mixed = mixture(sizes, temperature)
    lengths = np.random.default_rng(0).uniform(1, 10, sum(sizes))
    options = {"limits": (BatchLimit("seconds", lengths, 25, ""),), "world_size": min(world_size, len(lengths))}
    batches = LengthBatches(lengths, batch_size=4, seed=1, mixture=mixed, **options)
    plan = batches.plan(epoch)
    found = [pair for place in range(len(plan)) for pair in zip(plan[place], plan.passes(place, epoch), strict=True)]
    assert sorted(found) == sorted(zip(*(values.tolist() for values in mixed.draw(epoch)), strict=True))
    over = [b for b in plan if len(b) > 4 or len(b) * max(lengths[list(b)]) > 25]
    assert len(over) <= (world_size > 1)


@pytest.mark.parametrize(
    ("sizes", "weights", "named"),
    [([5000, 2], [1, 5000], "2 of 'part1'"), ([1000, 2], [1e7, 1], "2 of 'part1'"), ([9, 9], [1e300, 1], "'part1'")],
)
def test_shares_that_starve_or_wear_out_a_part_are_refused(sizes, weights, named):
    with pytest.raises(
        ValueError, match=r"at least 1/1,000 row of a part and no part more than 1,000 times, got .* of"
    ):
        mixture(sizes, weights=weights)
    with pytest.raises(ValueError, match=named):
        mixture(sizes, weights=weights)
