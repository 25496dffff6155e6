"""No text of one split is in another, whatever the texts; and the order of the rows decides nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aista.corpora.imports.text_splits import NO_TEXT, assign_splits, text_groups, text_key
from aista.errors import DataError

SHARES = {"dev": 0.2, "test": 0.2}


def keys(texts: list[str]) -> np.ndarray:
    return np.array([text_key(text) for text in texts], np.uint64)


def groups_of(pairs: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    return text_groups(keys(sources), keys(targets), np.arange(1, len(pairs) + 1, dtype=np.uint64))


@pytest.mark.parametrize("other", ["hello you", "Hello, YOU!", " hello  you ", "¡Hello you", "\uff28ello you"])
def test_case_punctuation_and_width_do_not_count(other: str) -> None:
    assert text_key(other) == text_key("Hello you.")


def test_letters_and_accents_count_and_texts_without_them_are_equal_to_nothing() -> None:
    assert text_key("été") == text_key("e\u0301te\u0301")
    assert len({text_key(text) for text in ("été", "ete", "你好", "你们好", "3", "4")}) == 6
    assert text_key("...") == text_key("") == NO_TEXT


def test_rows_are_connected_over_any_number_of_steps() -> None:
    pairs = [("a", "x"), ("A.", "y"), ("b", "Y"), ("c", "z"), ("", "z"), ("", ""), ("...", ""), ("x", "c")]
    groups, _ = groups_of(pairs)
    assert len(set(groups[:3])) == 1
    assert groups[3] == groups[4]
    assert len({groups[0], groups[3], groups[5], groups[6], groups[7]}) == 5  # a transcript is no translation


words = st.sampled_from(["", *"abcdefghijklmnopqrstuvwxyz"])


@given(pairs=st.lists(st.tuples(words, words), min_size=12, max_size=60), order=st.randoms())
def test_no_text_is_in_two_splits_and_order_does_not_matter(pairs: list[tuple[str, str]], order: object) -> None:
    rows = np.arange(1, len(pairs) + 1, dtype=np.uint64)
    sources, targets = keys([source for source, _ in pairs]), keys([target for _, target in pairs])
    try:
        splits = assign_splits(*text_groups(sources, targets, rows), SHARES)
    except DataError:  # few groups: nothing that fits is left for a split
        assume(False)
    for texts in (sources, targets):
        for key in set(texts.tolist()) - {NO_TEXT}:
            assert len(set(splits[texts == key])) == 1
    permutation = np.array(order.sample(range(len(pairs)), len(pairs)))
    shuffled = text_groups(sources[permutation], targets[permutation], rows[permutation])
    np.testing.assert_array_equal(assign_splits(*shuffled, SHARES), splits[permutation])


def test_shares_are_met_where_groups_are_small() -> None:
    splits = assign_splits(*groups_of([(f"s{index // 2}", f"t{index}") for index in range(1000)]), SHARES)
    assert [int((splits == index).sum()) for index in (-1, 0, 1)] == [600, 200, 200]


def test_a_group_that_is_larger_than_a_split_is_trained_on() -> None:
    pairs = [("yes", f"t{index}") for index in range(50)] + [(f"s{index}", f"u{index}") for index in range(50)]
    splits = assign_splits(*groups_of(pairs), SHARES)
    assert set(splits[:50]) == {-1}
    assert [int((splits == index).sum()) for index in (0, 1)] == [20, 20]


@pytest.mark.parametrize("count", [1, 2])
def test_a_split_that_would_be_empty_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=r"--split dev=0.2 test=0.2: \w+ would be empty: . rows in . groups"):
        assign_splits(*groups_of([(f"s{index}", f"t{index}") for index in range(count)]), SHARES)
