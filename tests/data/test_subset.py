import random

import pytest

from aista.data.manifest import Row
from aista.data.subset import first_rows

ROWS = tuple(Row(f"r{i}", f"{i}.wav", 100, f"target {i}") for i in range(40))


def test_fewer_rows_are_a_part_of_more_and_keep_their_order():
    kept: tuple[Row, ...] = ()
    for count in range(1, 41):
        larger = first_rows(ROWS, count)
        assert len(larger) == count
        assert set(kept) < set(larger)
        assert [ROWS.index(row) for row in larger] == sorted(ROWS.index(row) for row in larger)
        kept = larger
    assert kept == ROWS


def test_the_order_of_the_manifest_decides_nothing():
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    assert set(first_rows(shuffled, 12)) == set(first_rows(ROWS, 12))
    assert first_rows(ROWS, 12) != ROWS[:12]


@pytest.mark.parametrize("count", [0, -1, 41])
def test_a_number_that_the_manifest_does_not_have(count):
    with pytest.raises(ValueError, match=rf"must be between 1 and 40, the rows of the manifest, got {count}"):
        first_rows(ROWS, count)
