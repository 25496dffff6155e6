"""WER and CER, their normaliser and the edit distance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.errors import DataError
from aista.scoring.edit_rate import edit_distance, normalize
from tests.scoring.helpers import make


def naive_distance(a: Sequence[str], b: Sequence[str]) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        same = a[i - 1] == b[j - 1]
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (not same))

    return distance(len(a), len(b))


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_edit_distance_equals_the_recursion(a: str, b: str) -> None:
    assert edit_distance(a, b) == naive_distance(a, b) == edit_distance(b, a)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'Homme, (dit-il) : « Où ? »", "l'homme dit-il où"),
        ("It\u2019s  a\ttest - 'quoted'", "it's a test quoted"),
        ("\uff21\uff22\uff23\uff01\uff11\uff12\uff05", "abc 12"),  # full-width ABC!12%
        ("Ça coûte 5 $.", "ça coûte 5"),
        ("...", ""),
        ("\u202bL\u200b'\u2060homme co\u00adopère\u202c", "l'homme coopère"),  # what nobody sees
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),  # spelling
    ],
)
def test_basic_normaliser(text: str, expected: str) -> None:
    assert normalize(text, "basic") == expected
    assert normalize(expected, "basic") == expected
    assert normalize(text, "none") == text


def test_wer_counts_over_the_corpus() -> None:
    # 1 substitution + 1 deletion in 4 words, 2 insertions to 1 word: 4 edits over 5 words.
    score = make("wer").score(["a x c", "e f g"], ["A b, c d", "e"])
    assert score.value == pytest.approx(80)
    assert score.higher_is_better is False
    assert make("wer").score(["a b c"], ["d"]).value == pytest.approx(300)


def test_normaliser_is_an_option_and_in_the_signature() -> None:
    assert make("wer", normalizer="none").score(["a b."], ["A b"]).value == pytest.approx(100)
    assert make("wer").score(["a b."], ["A b"]).value == 0
    assert "unit:word|norm:basic|version:aista-" in make("wer").signature
    assert "norm:none" in make("wer", normalizer="none").signature


def test_cer_counts_spaces_where_the_language_writes_them() -> None:
    assert make("cer", "fr").score(["ab"], ["a b"]).value == pytest.approx(100 / 3)
    assert make("cer", "ja").score(["ab"], ["a b"]).value == 0
    assert make("cer", "ja", count_spaces=True).score(["ab"], ["a b"]).value == pytest.approx(100 / 3)
    assert "unit:char|spaces:no|norm:basic" in make("cer", "zh-CN").signature
    assert "spaces:yes" in make("cer", "fr").signature


@pytest.mark.parametrize("name", ["wer", "cer"])
def test_references_without_content(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} is undefined: the references hold nothing"):
        make(name).score(["a"], ["..."])
    assert make(name).score(["b", "a"], ["", "a"]).value == pytest.approx(100)
