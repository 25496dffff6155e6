"""Splits of the embedded corpus, separated by word combinations.

Every combination of an adjective with its noun and of a verb with its object belongs to one split,
drawn from the seed. A dev (test) sentence holds at least one dev (test) combination and none of the
other's; training sentences and further text pairs hold none of either. So a model meets all words
of the test in training, but must put them together anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from aista.corpora.synthetic.grammar import Grammar, Translated
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
    """Translated sentences per split; ``text`` has no speech."""

    train: tuple[Translated, ...]
    dev: tuple[Translated, ...]
    test: tuple[Translated, ...]
    text: tuple[Translated, ...]


def pair_split(pair: Pair, seed: int) -> str:
    """The split, ``train``, ``dev`` or ``test``, to which a word combination belongs."""
    share = Random(f"{seed}/{'/'.join(pair)}").random()
    return "dev" if share < DEV_SHARE else "test" if share < DEV_SHARE + TEST_SHARE else "train"


def draw_corpus(
    seed: int, *, num_train: int, num_dev: int, num_test: int, num_text: int, languages: Sequence[str] = ("fr",)
) -> Corpus:
    """Draw all splits; the same arguments give the same corpus.

    No sentence and no translation occurs twice, within a split or across splits. Sentences have
    4 to 12 English words, and every word of dev and test occurs in train, in all languages.

    Raises:
        DataError: too few training sentences hold the words that dev and test need.
    """
    seen: set[tuple[str, str]] = set()
    draw = partial(_draw, seed=seed, seen=seen, languages=languages)
    train = draw("train", num_train)
    known = {word for sentence in train for word in _words(sentence)}

    def covered(sentence: Translated) -> bool:
        return known.issuperset(_words(sentence))

    dev = draw("dev", num_dev, accept=covered)
    test = draw("test", num_test, accept=covered)
    return Corpus(train, dev, test, draw("text", num_text))


def _draw(
    split: str,
    count: int,
    *,
    seed: int,
    seen: set[tuple[str, str]],
    languages: Sequence[str],
    accept: Callable[[Translated], bool] = lambda sentence: True,
) -> tuple[Translated, ...]:
    """Draw ``count`` new sentences of a split that ``accept`` accepts, and add them to ``seen``."""
    wanted = "train" if split == "text" else split
    grammar = Grammar(Random(f"{seed}/{split}"), languages)
    kept: list[Translated] = []
    for _ in range(count * MAX_DRAWS_PER_SENTENCE):
        if len(kept) == count:
            break
        sentence = grammar.draw()
        fits = _split(sentence, seed) == wanted and MIN_WORDS <= len(sentence.source.split()) <= MAX_WORDS
        texts = _texts(sentence)
        if fits and seen.isdisjoint(texts) and accept(sentence):
            seen.update(texts)
            kept.append(sentence)
    if len(kept) < count:
        heldout = split in ("dev", "test")
        rule = " whose words all occur in the training sentences" if heldout else ""
        remedy = "raise num_train or " if heldout else ""
        raise DataError(
            f"embedded corpus: found {len(kept)} of {count} {split} sentences{rule}; {remedy}lower num_{split}"
        )
    return tuple(kept)


def _texts(sentence: Translated) -> list[tuple[str, str]]:
    """Each text with its language."""
    return [("en", sentence.source), *sentence.targets.items()]


def _words(sentence: Translated) -> Iterator[tuple[str, str]]:
    """Each word with its language; translations are also split behind apostrophes, as French *l'ours*."""
    yield from (("en", word) for word in sentence.source.split())
    for language, text in sentence.targets.items():
        yield from ((language, word) for word in text.replace("'", "' ").split())


def _split(sentence: Translated, seed: int) -> str:
    """The only held-out split among the sentence's combinations; "mixed" if it holds both."""
    splits = {pair_split(combination, seed) for combination in sentence.pairs} - {"train"}
    return "train" if not splits else "mixed" if len(splits) > 1 else splits.pop()
