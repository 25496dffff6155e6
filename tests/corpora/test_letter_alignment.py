import pytest

from aista.corpora.letter_alignment import word_times_of_letters

ALIGNMENT = "SIL 0.1 0.3\nW 0.3 0.4\nÁ 0.4 0.5\nSIL 0.5 0.7\nΏ 0.7 0.8\nB 0.8 0.9\n"


def test_words_begin_and_end_with_their_letters():
    assert word_times_of_letters(ALIGNMENT, "wa ώb") == [(0.3, 0.5), (0.7, 0.9)]
    assert word_times_of_letters(ALIGNMENT, "wa ω b") == [(0.3, 0.5), (0.7, 0.8), (0.8, 0.9)]


@pytest.mark.parametrize(
    ("alignment", "transcript"),
    [(ALIGNMENT, "wa ωk"), (ALIGNMENT, "wa ω"), (ALIGNMENT, ""), ("W 0.3\n", "w"), ("W a b\n", "w"), ("", "wa")],
)
def test_what_does_not_spell_the_transcript_gives_nothing(alignment, transcript):
    assert word_times_of_letters(alignment, transcript) == []
