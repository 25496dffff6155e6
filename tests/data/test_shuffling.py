from collections import Counter

import pytest

from aista.data.manifest import Row
from aista.data.shuffling import shuffle_transcripts


def make_rows(texts):
    return tuple(Row(f"r{i}", f"{i}.wav", 100, f"target {i}", src_text=text) for i, text in enumerate(texts))


@pytest.mark.parametrize("count", [2, 3, 17])
def test_every_transcript_moves_and_none_is_lost(count):
    rows = make_rows([f"text {i}" for i in range(count)])
    for seed in range(20):
        shuffled = shuffle_transcripts(rows, seed)
        assert all(new.src_text != old.src_text for new, old in zip(shuffled, rows, strict=True))
        assert Counter(row.src_text for row in shuffled) == Counter(row.src_text for row in rows)
        assert [(row.id, row.audio, row.tgt_text) for row in shuffled] == [
            (row.id, row.audio, row.tgt_text) for row in rows
        ]


def test_rows_without_a_transcript_stay_without():
    shuffled = shuffle_transcripts(make_rows(["a", "", "b", ""]), 1)
    assert [row.src_text for row in shuffled] == ["b", "", "a", ""]


def test_the_seed_decides():
    rows = make_rows([str(i) for i in range(30)])
    assert shuffle_transcripts(rows, 1) == shuffle_transcripts(rows, 1)
    assert shuffle_transcripts(rows, 1) != shuffle_transcripts(rows, 2)


@pytest.mark.parametrize("texts", [[], ["alone"]])
def test_nothing_to_swap_with(texts):
    assert shuffle_transcripts(make_rows(texts), 1) == make_rows(texts)
