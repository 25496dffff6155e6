"""Splits of the embedded corpus, held apart by word combinations.

Every combination of an adjective with its noun and of a verb with its object belongs to one split,
drawn from the seed. A dev (test) sentence holds at least one dev (test) combination and none of the
other's; training sentences and further text pairs hold none of either. So a model meets all words
of the test in training, but must put them together anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from aista.corpora.synthetic.grammar import Grammar, SentencePair
from aista.corpora.synthetic.syntax import Pair
from aista.errors import DataError

__all__ = ["Corpus", "draw_corpus", "pair_split"]

DEV_SHARE = 0.05
TEST_SHARE = 0.10
MIN_WORDS = 4
MAX_WORDS = 12
MAX_DRAWS_PER_SENTENCE = 5000


@dataclass(frozen=True)
class Corpus:
    """Sentence pairs per split; ``text`` has no speech."""

    train: tuple[SentencePair, ...]
    dev: tuple[SentencePair, ...]
    test: tuple[SentencePair, ...]
    text: tuple[SentencePair, ...]


def pair_split(pair: Pair, seed: int) -> str:
    """The split, ``train``, ``dev`` or ``test``, to which a word combination belongs."""
    share = Random(f"{seed}/{'/'.join(pair)}").random()
    return "dev" if share < DEV_SHARE else "test" if share < DEV_SHARE + TEST_SHARE else "train"


def draw_corpus(seed: int, *, num_train: int, num_dev: int, num_test: int, num_text: int) -> Corpus:
    """Draw all splits; the same arguments give the same corpus.

    No English and no French sentence occurs twice, within a split or across splits. Sentences have
    4 to 12 English words, and every word of dev and test occurs in train, in both languages.

    Raises:
        DataError: too few training sentences hold the words that dev and test need.
    """
    seen: set[str] = set()
    draw = partial(_draw, seed=seed, seen=seen)
    train = draw("train", num_train)
    source_words = {word for pair in train for word in pair.source.split()}
    target_words = {word for pair in train for word in _french_words(pair.target)}

    def covered(pair: SentencePair) -> bool:
        return source_words.issuperset(pair.source.split()) and target_words.issuperset(_french_words(pair.target))

    dev = draw("dev", num_dev, accept=covered)
    test = draw("test", num_test, accept=covered)
    return Corpus(train, dev, test, draw("text", num_text))


def _draw(
    split: str, count: int, *, seed: int, seen: set[str], accept: Callable[[SentencePair], bool] = lambda pair: True
) -> tuple[SentencePair, ...]:
    """Draw ``count`` new sentences of a split that ``accept`` lets pass, and add them to ``seen``."""
    wanted = "train" if split == "text" else split
    grammar = Grammar(Random(f"{seed}/{split}"))
    pairs: list[SentencePair] = []
    for _ in range(count * MAX_DRAWS_PER_SENTENCE):
        if len(pairs) == count:
            break
        pair = grammar.draw()
        fits = _split(pair, seed) == wanted and MIN_WORDS <= len(pair.source.split()) <= MAX_WORDS
        if fits and pair.source not in seen and pair.target not in seen and accept(pair):
            seen.update((pair.source, pair.target))
            pairs.append(pair)
    if len(pairs) < count:
        heldout = split in ("dev", "test")
        rule = " whose words all occur in the training sentences" if heldout else ""
        remedy = "raise num_train or " if heldout else ""
        raise DataError(
            f"embedded corpus: found {len(pairs)} of {count} {split} sentences{rule}; {remedy}lower num_{split}"
        )
    return tuple(pairs)


def _french_words(sentence: str) -> list[str]:
    return sentence.replace("'", "' ").split()


def _split(pair: SentencePair, seed: int) -> str:
    """The only held-out split among the sentence's combinations; "mixed" if it holds both."""
    splits = {pair_split(combination, seed) for combination in pair.pairs} - {"train"}
    return "train" if not splits else "mixed" if len(splits) > 1 else splits.pop()
