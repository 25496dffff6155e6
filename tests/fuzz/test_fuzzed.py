import contextlib
import time

import pytest
from hypothesis import strategies as st

from tests.fuzz import HangError, fuzzed
from tests.fuzz.fuzzed import time_limit


def spin():
    while True:
        pass


def test_an_endless_example_is_a_hang():
    with pytest.raises(HangError, match="SIGPROF"), time_limit(0.05):
        spin()


def test_a_waiting_example_is_a_hang():
    with pytest.raises(HangError, match="SIGALRM"), time_limit(0.01):
        time.sleep(60)


def test_a_hang_that_is_caught_on_the_way_is_one_all_the_same():
    with pytest.raises(HangError, match="went on"), time_limit(0.01), contextlib.suppress(Exception):
        spin()


def test_what_ends_in_time_is_none():
    with time_limit(0.05):
        pass
    assert sum(range(10**6)) == 499999500000  # outside, nothing rings


def test_every_example_finds_the_folder_empty(folder):
    seen = []

    @fuzzed(examples=5, number=st.integers())
    def example(number, folder):
        seen.append(list(folder.iterdir()))
        (folder / "file").write_text("")
        (folder / "nested").mkdir()

    example(folder=folder)
    assert len(seen) > 1
    assert not any(seen)


def test_an_unexpected_error_fails():
    @fuzzed(examples=20, number=st.integers(0, 3))
    def example(number):
        assert number != 3

    with pytest.raises(AssertionError):
        example()
