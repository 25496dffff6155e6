import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.scoring.holm import holm


def test_a_case_by_hand():
    # sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1 = .02, .03, .06, .04 -> the last is raised to .06
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )


def test_nothing_exceeds_one():
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_a_value_outside_its_range_is_named():
    with pytest.raises(ValueError, match=r"b: a p-value lies between 0 and 1, got 1.5"):
        holm({"a": 0.1, "b": 1.5})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_it_rejects_what_the_step_down_procedure_rejects(values, alpha):
    adjusted = holm({str(i): value for i, value in enumerate(values)})
    rejected, ordered = set(), sorted(range(len(values)), key=values.__getitem__)
    for rank, index in enumerate(ordered):
        threshold = (len(values) - rank) * values[index]
        if threshold > alpha:
            break
        rejected.add(str(index))
    assert {name for name, value in adjusted.items() if value <= alpha} == rejected
