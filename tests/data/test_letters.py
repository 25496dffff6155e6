"""Transcripts as letters, as CTC models of Hugging Face read them, and which word each token belongs to."""

import pytest

from aista.data.letters import LetterTokenizer
from aista.data.spelling import spell
from aista.data.tokenizers.sentencepiece import SentencePieceConfig, SentencePieceTokenizer
from tests.tiny import make_corpus

LETTERS = {letter: index for index, letter in enumerate("ABCDE'")}
DELIMITER = 6


@pytest.fixture
def tokenizer():
    return LetterTokenizer(LETTERS, DELIMITER, 7)


def test_letters_are_found_in_the_other_case_and_without_diacritics(tokenizer):
    assert tokenizer.encode("abé") == [0, 1, 4]
    assert tokenizer.encode("A\u2019b") == [0, 5, 1]
    assert LetterTokenizer({"s": 0, "S": 1}, None, 2).encode("S s") == [1, 0]


def test_a_delimiter_stands_between_words_that_have_letters(tokenizer):
    assert tokenizer.encode("  ab \t 12 ! cd ") == [0, 1, DELIMITER, 2, 3]
    assert tokenizer.offsets("ab  12 cd") == [(0, 1), (1, 2), (6, 7), (7, 8), (8, 9)]
    assert LetterTokenizer(LETTERS, None, 6).encode("ab cd") == [0, 1, 2, 3]
    assert tokenizer.encode("") == tokenizer.encode("12 ?") == []


def test_letters_are_read_back(tokenizer):
    assert tokenizer.decode(tokenizer.encode("bad  cab")) == "BAD CAB"
    assert tokenizer.piece(DELIMITER) == "▁"


def test_spelling_says_whose_sound_a_token_is(tokenizer):
    spelling = spell("a'b, 4c - 99", tokenizer)
    assert spelling.words == ("a'b,", "4c", "-", "99")
    assert spelling.ids == (0, 5, 1, DELIMITER, 2)
    assert spelling.owners == (0, None, 0, None, 1)
    assert spelling.unspelt == {2, 3}
    assert spelling.incomplete == {1, 3}


def test_a_mark_on_a_letter_is_not_missed(tokenizer):
    assert spell("e\u0301", tokenizer).incomplete == frozenset()


def test_unknown_pieces_are_left_out(tmp_path):
    corpus = make_corpus(tmp_path / "corpus", num_train=4, num_dev=1)
    tokenizer = SentencePieceTokenizer(SentencePieceConfig(path=corpus / "spm.model"))
    spelling = spell("one ωψ two9", tokenizer)
    assert tokenizer.unk_id in tokenizer.encode("one ωψ two9")
    assert tokenizer.unk_id not in spelling.ids
    assert spelling.unspelt == {1}
    assert spelling.incomplete == {1, 2}
    assert set(spelling.owners) - {None} == {0, 2}
