"""The embedded corpus: synthetic English speech with French translations, made on the spot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import ClassVar

import soundfile

from aista.corpora.base import Preparation
from aista.corpora.preparation import Folder, PreparationReport, Progress, train_tokenizers
from aista.corpora.recording import write_recording
from aista.corpora.synthetic.corpus import draw_corpus
from aista.corpora.synthetic.grammar import SentencePair
from aista.data.manifest import Row
from aista.data.word_times import format_word_times
from aista.errors import DataError
from aista.registry import register
from aista.schema import option

__all__ = ["QuickstartCorpus"]

README = """\
# aista quickstart corpus: SYNTHETIC

English -> French, made by `aista data quickstart`. Nothing here is natural language use: the
sentences come from a small hand-written grammar and lexicon, the speech from the espeak-ng
synthesiser with varied voices, speed, pitch and a little white noise. Scores on it show that a
method works mechanically; they say nothing about real speech translation. Label it as synthetic
wherever a number or picture made from it is shown.

| file | rows | what |
|---|---|---|
{table}

`spm.model` is a joint BPE model of {vocab_size} pieces, trained on train and text only.
Dev and test sentences hold adjective-noun or verb-object combinations that occur nowhere in train
or text; all their words occur in train. Seed: {seed}. `sha256sum --check checksums.txt` verifies
the files.
"""
_MEANINGS = {
    "train": "speech, transcript with word times, translation",
    "train_low": "the first rows of a seeded shuffle of train (low-resource setting)",
    "dev": "speech, transcript with word times, translation",
    "test": "speech, transcript with word times, translation",
    "text": "text pairs without speech",
}


@register("dataset", "quickstart")
@dataclass(frozen=True, kw_only=True)
class QuickstartCorpus(Preparation):
    """Embedded synthetic English -> French corpus, labelled as such; needs no download.

    Choose it to see the workflow in minutes or to test, never to claim a result on speech.
    """

    dataset: ClassVar[str] = "quickstart"
    seed: int = option(1, "Seed of sentences, splits, voices and noise.", minimum=0)
    num_train: int = option(2000, "Training sentences with speech.", minimum=1, maximum=1_000_000)
    num_dev: int = option(200, "Dev sentences with speech.", minimum=1, maximum=1_000_000)
    num_test: int = option(300, "Test sentences with speech.", minimum=1, maximum=1_000_000)
    num_text: int = option(
        5600, "Number of further text pairs without speech, for the language model.", minimum=0, maximum=1_000_000
    )
    low_resource: int = option(400, "Rows of train_low.tsv; at most num_train.", minimum=1, maximum=1_000_000)
    vocab_size: int = option(300, "Pieces of the joint BPE model.", minimum=60, maximum=1_000_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_resource > self.num_train:
            raise ValueError(f"low_resource must be at most num_train ({self.num_train}), got {self.low_resource}")

    def prepare(self, out: Path, *, source: Path | None = None, progress: Progress | None = None) -> PreparationReport:
        """As in ``Preparation``, but a source is an error, since there is nothing to read."""
        if source is not None:
            raise DataError(f"quickstart makes its own corpus and reads nothing: drop --from {source}")
        return super().prepare(out, progress=progress)

    def fill(self, folder: Folder, source: Path | None, progress: Progress) -> PreparationReport:
        corpus = draw_corpus(
            self.seed,
            num_train=self.num_train,
            num_dev=self.num_dev,
            num_test=self.num_test,
            num_text=self.num_text,
        )
        folder.start()
        spoken = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
        rows = self._speak(folder.out, spoken, progress)
        rows["text"] = [_row("text", index, pair) for index, pair in enumerate(corpus.text)]
        return self._write(folder, rows)

    def _write(self, folder: Folder, rows: dict[str, list[Row]]) -> PreparationReport:
        shuffled = rows["train"].copy()
        Random(f"{self.seed}/train_low").shuffle(shuffled)
        rows["train_low"] = shuffled[: self.low_resource]
        train_tokenizers(folder.out, rows["train"] + rows["text"], self.vocab_size)
        table = "\n".join(f"| {split}.tsv | {len(rows[split])} | {text} |" for split, text in _MEANINGS.items())
        manifests = {split: rows[split] for split in _MEANINGS}
        return folder.finish(manifests, README, table=table, vocab_size=self.vocab_size, seed=self.seed)

    def _speak(
        self, out: Path, splits: dict[str, tuple[SentencePair, ...]], progress: Progress
    ) -> dict[str, list[Row]]:
        from aista.corpora.synthetic.speech import (  # brings torch, which listing options needs not
            Speaker,
            draw_delivery,
        )

        total, done = sum(len(pairs) for pairs in splits.values()), 0
        rows: dict[str, list[Row]] = {split: [] for split in splits}
        with Speaker() as speaker:
            for split, pairs in splits.items():
                for index, pair in enumerate(pairs):
                    row = _row(split, index, pair)
                    delivery = draw_delivery(f"{self.seed}/{row.id}")
                    utterance = speaker.speak(pair.source, delivery)
                    audio = f"audio/{row.id}.flac"
                    write_recording(out / audio, utterance.samples)
                    frames = soundfile.info(str(out / audio)).frames
                    times = format_word_times(utterance.word_times)
                    row = replace(row, audio=audio, n_frames=frames, speaker=delivery.voice, word_times=times)
                    rows[split].append(row)
                    done += 1
                    progress("speech", done, total)
        return rows


def _row(split: str, index: int, pair: SentencePair) -> Row:
    id = f"quickstart-{split}-{index:05d}"
    return Row(id, "", 0, pair.target, src_text=pair.source, src_lang="en", tgt_lang="fr")
