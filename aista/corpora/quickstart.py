"""The embedded corpus: synthetic English speech with French translations, made on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import soundfile

from aista.corpora.preparation import Folder, PreparationReport, Progress, train_sentencepiece
from aista.corpora.recording import write_recording
from aista.corpora.synthetic.corpus import draw_corpus
from aista.corpora.synthetic.grammar import SentencePair
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row, write_manifest
from aista.data.word_times import format_word_times
from aista.errors import DataError
from aista.files import write_text
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Quickstart", "QuickstartConfig"]

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


@dataclass(frozen=True, kw_only=True)
class QuickstartConfig(Options):
    """Options of the embedded corpus. The same options give the same files."""

    seed: int = option(1, "Seed of sentences, splits, voices and noise.", minimum=0)
    num_train: int = option(2000, "Training sentences with speech.", minimum=1)
    num_dev: int = option(200, "Dev sentences with speech.", minimum=1)
    num_test: int = option(300, "Test sentences with speech.", minimum=1)
    num_text: int = option(5600, "Further text pairs without speech, for the language model.", minimum=0)
    low_resource: int = option(400, "Rows of train_low.tsv; at most num_train.", minimum=1)
    vocab_size: int = option(300, "Pieces of the joint BPE model.", minimum=60)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_resource > self.num_train:
            raise ValueError(f"low_resource must be at most num_train ({self.num_train}), got {self.low_resource}")


@register("dataset", "quickstart", config=QuickstartConfig)
class Quickstart:
    """Embedded synthetic English -> French corpus, labelled as such; needs no download.

    Choose it to see the whole workflow in minutes or to test; never to claim a result on speech.
    """

    def __init__(self, config: QuickstartConfig) -> None:
        self.config = config

    def prepare(self, out: Path, *, source: Path | None = None, progress: Progress | None = None) -> PreparationReport:
        """Make the corpus in ``out``: manifests, audio, ``spm.model``, README and fingerprint.

        A folder that is complete is verified and left alone; an interrupted one is continued.

        Args:
            out: Folder to create.
            source: Must be None: there is nothing to read.
            progress: Called as ``progress(stage, done, total)``.

        Raises:
            DataError: ``out`` holds something else or was changed, or the options ask for too much.
        """
        if source is not None:
            raise DataError(f"quickstart makes its own corpus and reads nothing: drop --from {source}")
        folder = Folder(out, "quickstart", asdict(self.config))
        finished = folder.finished()
        if finished is not None:
            return finished
        config = self.config
        corpus = draw_corpus(
            config.seed,
            num_train=config.num_train,
            num_dev=config.num_dev,
            num_test=config.num_test,
            num_text=config.num_text,
        )
        folder.start()
        spoken = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
        rows = self._speak(out, spoken, progress or _ignore)
        rows["text"] = [_row("text", index, pair) for index, pair in enumerate(corpus.text)]
        return self._write(folder, rows)

    def _write(self, folder: Folder, rows: dict[str, list[Row]]) -> PreparationReport:
        out, config = folder.out, self.config
        shuffled = rows["train"].copy()
        Random(f"{config.seed}/train_low").shuffle(shuffled)
        rows["train_low"] = shuffled[: config.low_resource]
        for split in _MEANINGS:
            write_manifest(out / f"{split}.tsv", rows[split])
        train_sentencepiece(
            out / "spm.model",
            _sentences(rows["train"] + rows["text"]),
            vocab_size=config.vocab_size,
            symbols=["<fr>"],
        )
        counts = {split: len(rows[split]) for split in _MEANINGS}
        table = "\n".join(f"| {split}.tsv | {counts[split]} | {meaning} |" for split, meaning in _MEANINGS.items())
        write_text(out / "README.md", README.format(table=table, vocab_size=config.vocab_size, seed=config.seed))
        hours = {split: sum(row.n_frames for row in rows[split]) / MANIFEST_SAMPLE_RATE / 3600 for split in _MEANINGS}
        return folder.seal(PreparationReport(out, counts, hours))

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
                    delivery = draw_delivery(f"{self.config.seed}/{row.id}")
                    path = out / "audio" / f"{row.id}.flac"
                    utterance = speaker.speak(pair.source, delivery)
                    if not path.is_file():
                        write_recording(path, utterance.samples)
                    audio = path.relative_to(out).as_posix()
                    frames = soundfile.info(str(path)).frames
                    times = format_word_times(utterance.word_times)
                    row = replace(row, audio=audio, n_frames=frames, speaker=delivery.voice, word_times=times)
                    rows[split].append(row)
                    done += 1
                    progress("speech", done, total)
        return rows


def _row(split: str, index: int, pair: SentencePair) -> Row:
    id = f"quickstart-{split}-{index:05d}"
    return Row(id, "", 0, pair.target, src_text=pair.source, src_lang="en", tgt_lang="fr")


def _sentences(rows: Iterable[Row]) -> list[str]:
    return [text for row in rows for text in (row.src_text, row.tgt_text)]


def _ignore(stage: str, done: int, total: int) -> None:
    pass
