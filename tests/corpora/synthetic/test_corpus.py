import hashlib
import re

import pytest

from aista.corpora.synthetic.corpus import MAX_WORDS, MIN_WORDS, Corpus, draw_corpus, pair_split
from aista.errors import DataError

SIZES = {"num_train": 600, "num_dev": 40, "num_test": 60, "num_text": 300}
FRENCH_TEXTS = "6b0be3f3b07094b9a85ab58488b49734298ee4136bb0a65f574aa395e5176efa"


@pytest.fixture(scope="module", params=[("fr",), ("fr", "de")], ids="-".join)
def corpus(request: pytest.FixtureRequest) -> Corpus:
    return draw_corpus(7, **SIZES, languages=request.param)


def languages(corpus: Corpus) -> tuple[str, ...]:
    return tuple(corpus.train[0].targets)


def splits(corpus: Corpus):
    return {"train": corpus.train, "dev": corpus.dev, "test": corpus.test, "text": corpus.text}


def test_sizes_and_lengths(corpus: Corpus) -> None:
    assert {f"num_{name}": len(rows) for name, rows in splits(corpus).items()} == SIZES
    lengths = {len(pair.source.split()) for rows in splits(corpus).values() for pair in rows}
    assert MIN_WORDS <= min(lengths) < max(lengths) <= MAX_WORDS


def test_same_seed_same_corpus_and_other_seed_another(corpus: Corpus) -> None:
    assert draw_corpus(7, **SIZES, languages=languages(corpus)) == corpus
    assert draw_corpus(8, **SIZES, languages=languages(corpus)).train != corpus.train


def test_french_alone_is_the_corpus_of_published_results() -> None:
    """Their data is made anew by each reader: no text may change."""
    drawn = splits(draw_corpus(7, **SIZES)).values()
    texts = "\n".join(f"{pair.source}\t{pair.targets['fr']}" for rows in drawn for pair in rows)
    assert hashlib.sha256(texts.encode()).hexdigest() == FRENCH_TEXTS


def test_more_text_leaves_the_spoken_splits_alone(corpus: Corpus) -> None:
    larger = draw_corpus(7, **{**SIZES, "num_text": 320}, languages=languages(corpus))
    assert (larger.train, larger.dev, larger.test) == (corpus.train, corpus.dev, corpus.test)


def test_no_sentence_occurs_twice(corpus: Corpus) -> None:
    rows = [pair for split in splits(corpus).values() for pair in split]
    assert len({pair.source for pair in rows}) == len(rows)
    for language in languages(corpus):
        assert len({pair.targets[language] for pair in rows}) == len(rows)


def test_combinations_of_dev_and_test_occur_nowhere_else(corpus: Corpus) -> None:
    for name, rows in splits(corpus).items():
        for pair in rows:
            found = {pair_split(combination, 7) for combination in pair.pairs} - {"train"}
            assert found == ({name} if name in ("dev", "test") else set())


def test_all_words_of_dev_and_test_occur_in_train(corpus: Corpus) -> None:
    for language in ("en", *languages(corpus)):
        texts = {
            split: " ".join({"en": p.source, **p.targets}[language] for p in rows)
            for split, rows in splits(corpus).items()
        }
        words = {split: set(re.split(r"[ ']", text)) for split, text in texts.items()}
        assert words["dev"] | words["test"] <= words["train"]


def test_french_has_no_missing_elision_or_contraction(corpus: Corpus) -> None:
    text = "\n".join(pair.targets["fr"] for rows in splits(corpus).values() for pair in rows)
    vowel = "[aeiouyàâéèêëîïôöùûœ]|h(?!aricot|uit)"
    assert not re.findall(rf"(?:^|[ '])(?:le|la|je|me|te|ne|de|que) (?:{vowel})", text, re.MULTILINE)
    assert not re.findall(r"(?:^| )(?:de|à) (?:le|les) (?!lui)", text, re.MULTILINE)
    assert not re.findall(
        rf"(?:^| )(?:ma|ta|sa|ce|beau|nouveau|vieux) (?:{vowel})\w*[^sx\W](?: |$)", text, re.MULTILINE
    )


def test_too_few_training_sentences_are_reported() -> None:
    with pytest.raises(DataError, match=r"of 3 dev sentences.*raise num_train or lower num_dev"):
        draw_corpus(1, num_train=2, num_dev=3, num_test=1, num_text=0)
