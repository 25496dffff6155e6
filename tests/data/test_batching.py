from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.data.batching import BatchLimit, LengthBatches, SequentialBatches

lengths_strategy = st.lists(st.floats(0.1, 30), min_size=8, max_size=60)


def seconds(lengths: list[float], maximum: float) -> BatchLimit:
    return BatchLimit("data.max_batch_seconds", lengths, maximum, "raise it")


@given(
    lengths=lengths_strategy,
    batch_size=st.integers(8, 20),
    max_total=st.sampled_from([0, 240, 300]),
    max_positions=st.sampled_from([0, 2000]),
    world_size=st.integers(1, 8),
    epoch=st.integers(0, 3),
)
def test_every_row_once_in_batches_that_keep_the_limits(
    lengths: list[float], batch_size: int, max_total: float, max_positions: int, world_size: int, epoch: int
) -> None:
    positions = [10 + round(length * 7919) % 240 for length in lengths]  # in another order than the lengths
    limits = [seconds(lengths, max_total), BatchLimit("data.max_batch_positions", positions, max_positions, "raise it")]
    limits = [limit for limit in limits if limit.maximum]
    batches = LengthBatches(lengths, batch_size=batch_size, limits=tuple(limits), seed=1, world_size=world_size)
    plan = batches.plan(epoch)
    assert sorted(row for batch in plan for row in batch) == list(range(len(lengths)))
    assert all(len(batch) >= world_size for batch in plan)
    over = [
        batch
        for batch in plan
        if len(batch) > batch_size
        or any(len(batch) * max(limit.sizes[row] for row in batch) > limit.maximum for limit in limits)
    ]
    assert len(over) <= 1  # only the batch that a short rest joined
    for batch in over:
        assert world_size > 1
        assert len(batch) <= batch_size + world_size - 1


@given(lengths=lengths_strategy, world_size=st.integers(1, 8))
def test_the_number_of_processes_changes_nothing_but_a_short_rest(lengths: list[float], world_size: int) -> None:
    one = LengthBatches(lengths, batch_size=8, seed=3).plan(2)
    many = LengthBatches(lengths, batch_size=8, seed=3, world_size=world_size).plan(2)
    if all(len(batch) >= world_size for batch in one):
        assert many == one
    else:
        assert len(many) == len(one) - 1


def test_plans_depend_on_seed_and_epoch_alone() -> None:
    lengths = [random.Random(0).uniform(1, 10) for _ in range(100)]
    first = LengthBatches(lengths, batch_size=8, seed=1)
    again = LengthBatches(lengths, batch_size=8, seed=1)
    assert again.plan(5) == first.plan(5)  # no plan depends on the ones before it
    assert first.plan(0) != first.plan(1)
    assert LengthBatches(lengths, batch_size=8, seed=2).plan(0) != first.plan(0)


def test_a_known_plan_never_changes() -> None:
    """Resuming after an upgrade of Python or aista needs this."""
    plan = LengthBatches([3, 1, 2, 5, 4, 6, 8, 7], batch_size=2, seed=7).plan(1)
    assert plan == [(7, 6), (0, 4), (1, 2), (3, 5)]


def test_rows_of_similar_length_come_together_in_shuffled_batches() -> None:
    generator = random.Random(0)
    lengths = [generator.uniform(1, 30) for _ in range(400)]
    plan = LengthBatches(lengths, batch_size=8, seed=1).plan(0)
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in plan)
    assert padded < 1.15 * sum(lengths)
    firsts = [lengths[batch[0]] for batch in plan]
    assert firsts != sorted(firsts)


def test_noise_mixes_neighbours_and_none_sorts_strictly() -> None:
    lengths = [10 + 0.01 * index for index in range(64)]
    mixed = LengthBatches(lengths, batch_size=8, seed=1)
    assert {frozenset(batch) for batch in mixed.plan(0)} != {frozenset(batch) for batch in mixed.plan(1)}
    strict = LengthBatches(lengths, batch_size=8, seed=1, noise=0)
    expected = {frozenset(range(start, start + 8)) for start in range(0, 64, 8)}
    assert {frozenset(batch) for batch in strict.plan(0)} == expected


def test_sequential_batches_go_from_short_to_long_every_time() -> None:
    batches = SequentialBatches([3, 1, 2, 5, 4], batch_size=2)
    assert batches.plan(0) == batches.plan(9) == [(1, 2), (0, 4), (3,)]
    assert SequentialBatches([3, 1, 2, 5, 4], batch_size=2, world_size=2).plan(0) == [(1, 2), (0, 4, 3)]
    lengths = [1, 1, 2, 5]
    assert SequentialBatches(lengths, batch_size=4, limits=[seconds(lengths, 6)]).plan(0) == [(0, 1, 2), (3,)]


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 rows for 3 processes; start fewer processes"):
        LengthBatches([1, 2], batch_size=4, seed=0, world_size=3)
    with pytest.raises(ValueError, match=r"must be at least their number \(3\), got 2; raise it"):
        LengthBatches([1, 2, 3, 4], batch_size=2, seed=0, world_size=3)
    with pytest.raises(ValueError, match=r"row 1 of size 9 times 2 exceeds data\.max_batch_seconds 10; raise it"):
        SequentialBatches([1, 9], batch_size=2, limits=[seconds([1, 9], 10)], world_size=2)


@given(
    sizes=st.lists(st.floats(0, 40) | st.integers(0, 500), min_size=1, max_size=30),
    maximum=st.floats(0.01, 500) | st.integers(1, 10_000),
    batch_size=st.integers(1, 40),
)
def test_the_most_rows_are_those_whose_product_keeps_the_maximum(
    sizes: list[float], maximum: float, batch_size: int
) -> None:
    found = BatchLimit("", sizes, maximum, "").most_rows(batch_size)
    for size, most in zip(sizes, found.tolist(), strict=True):
        assert most == max(count for count in range(batch_size + 1) if float(size) * count <= maximum)
