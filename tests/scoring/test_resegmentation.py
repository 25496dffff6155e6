"""Resegmentation against every possible division, and what must hold of any."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aista.scoring.edit_rate import edit_distance
from aista.scoring.resegmentation import resegment

WORDS = st.lists(st.sampled_from(["a", "b", "c", "A,", "d"]), max_size=6)
SEGMENTS = st.lists(WORDS.map(" ".join), min_size=1, max_size=4)


def plain(text):
    return text.lower().replace(",", "").split()


@given(WORDS, SEGMENTS)
def test_no_division_has_fewer_edits(words, references):
    found = resegment(" ".join(words), references)
    fewest = min(
        sum(
            edit_distance(plain(" ".join(words[start:end])), plain(reference))
            for (start, end), reference in zip(pairwise((0, *inner, len(words))), references, strict=True)
        )
        for inner in combinations_with_replacement(range(len(words) + 1), len(references) - 1)
    )
    achieved = sum(
        edit_distance(plain(text), plain(reference)) for text, reference in zip(found.texts, references, strict=True)
    )
    assert found.edits == fewest == achieved


@given(st.text(), st.lists(st.text(), min_size=1, max_size=5), st.sampled_from(["", "en", "zh", "ja"]))
def test_pieces_joined_are_the_hypothesis(hypothesis, references, language):
    found = resegment(hypothesis, references, target_language=language)
    assert len(found.texts) == len(references)
    assert "".join("".join(found.texts).split()) == "".join(hypothesis.split())


@given(st.lists(st.text("abc ,.é", min_size=1), min_size=1, max_size=8), st.randoms())
def test_a_perfect_hypothesis_with_other_boundaries_is_restored(references, random):
    words = " ".join(references).upper().split()
    lines, start = [], 0
    while start < len(words):
        end = start + random.randint(1, 5)
        lines.append(" ".join(words[start:end]))
        start = end
    found = resegment(" ".join(lines), references)
    assert found.texts == tuple(" ".join(text.upper().split()) for text in references)
    assert found.edits == 0


def test_characters_where_there_are_no_spaces():
    references = ["我们今天谈 GPU 的事。", "谢谢大家!"]
    found = resegment("我们今天 谈GPU的事谢谢 大家", references, target_language="zh-CN")
    assert found.texts == ("我们今天 谈GPU的事", "谢谢 大家")
    assert found.words == 12


def test_a_word_that_fits_nowhere_ends_a_segment_and_missing_segments_are_empty():
    assert resegment("one two uh three", ["one two", "three"]).texts == ("one two uh", "three")
    assert resegment("one four", ["one", "two three", "four"]).texts == ("one", "", "four")
    assert resegment("", ["one", "two"]) == (("", ""), 2, 0)
    assert resegment("uh one", [""]).texts == ("uh one",)


def test_impossible_input():
    with pytest.raises(ValueError, match="at least one reference"):
        resegment("one", [])
    with pytest.raises(ValueError, match="must be a code of ISO 639"):
        resegment("one", ["one"], target_language="frensh")


def test_a_talk_of_an_hour():
    """9,000 words in 450 segments, every tenth missing: seconds, and little memory."""
    words = [f"w{(7919 * place) % 2003}" for place in range(9_000)]
    references = [" ".join(words[start : start + 20]) for start in range(0, 9_000, 20)]
    found = resegment(" ".join(word for place, word in enumerate(words) if place % 10), references)
    assert found.edits == 900
    assert [len(text.split()) for text in found.texts] == [18] * 450
