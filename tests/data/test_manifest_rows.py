"""Rows in columns are the rows that were put in."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.data.manifest_rows import UNMEASURED, Row, Rows

texts = st.text(max_size=6)
rows_strategy = st.lists(
    st.builds(
        Row, texts, texts, st.integers(-1, 10**15), texts, texts, texts, texts, texts, texts, st.integers(0, 10**6)
    ),
    max_size=12,
)


@given(rows=rows_strategy, data=st.data())
def test_columns_hold_what_objects_hold(rows: list[Row], data: st.DataObject) -> None:
    columns = Rows.of(rows)
    assert columns == rows
    assert list(columns) == rows
    assert [columns[index] for index in range(-len(rows), len(rows))] == rows + rows
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    chosen = columns.take(places)
    assert chosen == [rows[place] for place in places]
    assert chosen.take(range(len(places))[::-1]) == [rows[place] for place in reversed(places)]
    start, end, step = data.draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([-2, -1, 1, 3])))
    assert columns[start:end:step] == rows[start:end:step]
    for part, expected in ((columns, rows), (chosen, [rows[place] for place in places])):
        assert part.texts("tgt_text") == [row.tgt_text for row in expected]
        assert part.is_filled("src_text").tolist() == [bool(row.src_text) for row in expected]
        assert part.seconds().tolist() == [row.seconds for row in expected]
        assert pickle.loads(pickle.dumps(part)) == expected
    assert Rows.joined([columns, chosen]) == [*rows, *(rows[place] for place in places)]


def test_fields_are_replaced_and_the_others_stay() -> None:
    rows = Rows.of([Row(f"u{index}", "a.wav", UNMEASURED, "x", src_text="s") for index in range(4)])
    some = rows.take([3, 1]).with_texts(src_text=["three", "one"]).with_frames(np.array([30, 10]))
    assert [(row.id, row.src_text, row.n_frames, row.tgt_text) for row in some] == [
        ("u3", "three", 30, "x"),
        ("u1", "one", 10, "x"),
    ]
    assert rows[3].src_text == "s"


def test_a_mask_that_leaves_nothing_out_copies_nothing() -> None:
    rows = Rows.of([Row("u0", "", 0, "x"), Row("u1", "", 0, "y")])
    assert rows.where(np.array([True, True])) is rows
    assert rows.where(np.array([False, True])) == [rows[1]]
    with pytest.raises(IndexError, match="row 2 of 2"):
        rows[2]
