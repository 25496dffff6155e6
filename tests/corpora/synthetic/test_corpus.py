import re

import pytest

from aista.corpora.synthetic.corpus import MAX_WORDS, MIN_WORDS, Corpus, draw_corpus, pair_split
from aista.errors import DataError

SIZES = {"num_train": 600, "num_dev": 40, "num_test": 60, "num_text": 300}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return draw_corpus(7, **SIZES)


def splits(corpus: Corpus):
    return {"train": corpus.train, "dev": corpus.dev, "test": corpus.test, "text": corpus.text}


def test_sizes_and_lengths(corpus: Corpus) -> None:
    assert {f"num_{name}": len(rows) for name, rows in splits(corpus).items()} == SIZES
    lengths = {len(pair.source.split()) for rows in splits(corpus).values() for pair in rows}
    assert MIN_WORDS <= min(lengths) < max(lengths) <= MAX_WORDS


def test_same_seed_same_corpus_and_other_seed_another(corpus: Corpus) -> None:
    assert draw_corpus(7, **SIZES) == corpus
    assert draw_corpus(8, **SIZES).train != corpus.train


def test_more_text_leaves_the_spoken_splits_alone(corpus: Corpus) -> None:
    larger = draw_corpus(7, **{**SIZES, "num_text": 320})
    assert (larger.train, larger.dev, larger.test) == (corpus.train, corpus.dev, corpus.test)


def test_no_sentence_occurs_twice(corpus: Corpus) -> None:
    rows = [pair for split in splits(corpus).values() for pair in split]
    assert len({pair.source for pair in rows}) == len({pair.target for pair in rows}) == len(rows)


def test_combinations_of_dev_and_test_occur_nowhere_else(corpus: Corpus) -> None:
    for name, rows in splits(corpus).items():
        for pair in rows:
            found = {pair_split(combination, 7) for combination in pair.pairs} - {"train"}
            assert found == ({name} if name in ("dev", "test") else set())


def test_all_words_of_dev_and_test_occur_in_train(corpus: Corpus) -> None:
    for side in ("source", "target"):
        texts = {split: " ".join(getattr(p, side) for p in rows) for split, rows in splits(corpus).items()}
        words = {split: set(re.split(r"[ ']", text)) for split, text in texts.items()}
        assert words["dev"] | words["test"] <= words["train"]


def test_french_has_no_missing_elision_or_contraction(corpus: Corpus) -> None:
    text = "\n".join(pair.target for rows in splits(corpus).values() for pair in rows)
    vowel = "[aeiouyàâéèêëîïôöùûœ]|h(?!aricot|uit)"
    assert not re.findall(rf"(?:^|[ '])(?:le|la|je|me|te|ne|de|que) (?:{vowel})", text, re.MULTILINE)
    assert not re.findall(r"(?:^| )(?:de|à) (?:le|les) (?!lui)", text, re.MULTILINE)
    assert not re.findall(
        rf"(?:^| )(?:ma|ta|sa|ce|beau|nouveau|vieux) (?:{vowel})\w*[^sx\W](?: |$)", text, re.MULTILINE
    )


def test_too_few_training_sentences_are_reported() -> None:
    with pytest.raises(DataError, match=r"of 3 dev sentences.*raise num_train or lower num_dev"):
        draw_corpus(1, num_train=2, num_dev=3, num_test=1, num_text=0)
