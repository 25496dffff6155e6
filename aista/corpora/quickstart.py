"""The embedded corpus: synthetic English speech with translations into French and German."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import soundfile
from langcodes import Language

from aista.corpora.base import Preparation
from aista.corpora.preparation import Folder, PreparationReport, Progress, train_tokenizers
from aista.corpora.recording import write_recording
from aista.corpora.synthetic.corpus import draw_corpus
from aista.corpora.synthetic.grammar import Translated
from aista.corpora.synthetic.translations import TRANSLATIONS
from aista.data.manifest import Row
from aista.data.word_times import format_word_times
from aista.errors import DataError
from aista.registry import nearest, register
from aista.schema import option

__all__ = ["QuickstartCorpus"]

README = """\
# aista quickstart corpus: SYNTHETIC

English -> {targets}, made by `aista data quickstart`. Nothing here is natural language use: the
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
{more}"""
MORE = """
Each sentence has one recording and a row for each language; the ids of rows that are not French end in
their language. No translation of dev or test stands in train or text, in any language.
`train_{one}.tsv` and the like hold the rows of one language.
"""
FRENCH = "fr"
_MEANINGS = {
    "train": "speech, transcript with word times, translation",
    "dev": "speech, transcript with word times, translation",
    "test": "speech, transcript with word times, translation",
    "text": "text pairs without speech",
}


@register("dataset", "quickstart")
@dataclass(frozen=True, kw_only=True)
class QuickstartCorpus(Preparation):
    """Embedded synthetic corpus, English -> French, German or both, labelled as such; needs no download.

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
    vocab_size: int = option(300, "Pieces of the joint BPE model.", minimum=60, maximum=1_000_000)
    languages: tuple[str, ...] = option((FRENCH,), f"Languages of the translations: {', '.join(TRANSLATIONS)}.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(f"languages must name at least one language, each once, got {list(self.languages)}")
        for language in self.languages:
            if language not in TRANSLATIONS:
                known = ", ".join(TRANSLATIONS)
                raise ValueError(f"languages must be among {known}, got {language!r}{nearest(language, TRANSLATIONS)}")

    def prepare(self, out: Path, *, source: Path | None = None, progress: Progress | None = None) -> PreparationReport:
        """As in ``Preparation``; giving a source is an error."""
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
            languages=self.languages,
        )
        folder.start()
        spoken = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
        rows = self._speak(folder.out, spoken, progress)
        rows["text"] = [self._rows("text", index, sentence) for index, sentence in enumerate(corpus.text)]
        return self._write(folder, rows)

    def identity(self) -> dict[str, Any]:
        """The options without ``languages`` for French only, as in folders made before it was an option."""
        options = super().identity()
        return options if self.languages != (FRENCH,) else {k: v for k, v in options.items() if k != "languages"}

    def _write(self, folder: Folder, rows: dict[str, list[tuple[Row, ...]]]) -> PreparationReport:
        """Write rows by split and sentence."""
        manifests = {split: [row for sentence in rows[split] for row in sentence] for split in _MEANINGS}
        train_tokenizers(folder.out, manifests["train"] + manifests["text"], self.vocab_size)
        table = "\n".join(f"| {split}.tsv | {len(manifests[split])} | {text} |" for split, text in _MEANINGS.items())
        several = len(self.languages) > 1
        if several:
            for (split, all_rows), language in product(tuple(manifests.items()), self.languages):
                manifests[f"{split}_{language}"] = [row for row in all_rows if row.tgt_lang == language]
        targets = " and ".join(Language.get(language).display_name() for language in self.languages)
        more = MORE.format(one=self.languages[0]) if several else ""
        return folder.finish(
            manifests, README, table=table, targets=targets, more=more, vocab_size=self.vocab_size, seed=self.seed
        )

    def _speak(
        self, out: Path, splits: dict[str, tuple[Translated, ...]], progress: Progress
    ) -> dict[str, list[tuple[Row, ...]]]:
        """The rows of each sentence, by split; they share its recording."""
        from aista.corpora.synthetic.speech import (  # brings torch, which listing options needs not
            Speaker,
            draw_delivery,
        )

        total, done = sum(len(sentences) for sentences in splits.values()), 0
        rows: dict[str, list[tuple[Row, ...]]] = {split: [] for split in splits}
        with Speaker() as speaker:
            for split, sentences in splits.items():
                for index, sentence in enumerate(sentences):
                    id = _id(split, index)
                    delivery = draw_delivery(f"{self.seed}/{id}")
                    utterance = speaker.speak(sentence.source, delivery)
                    audio = f"audio/{id}.flac"
                    write_recording(out / audio, utterance.samples)
                    frames = soundfile.info(str(out / audio)).frames
                    times = format_word_times(utterance.word_times)
                    spoken = {"audio": audio, "n_frames": frames, "speaker": delivery.voice, "word_times": times}
                    made = self._rows(split, index, sentence)
                    rows[split].append(tuple(replace(row, **spoken) for row in made))
                    done += 1
                    progress("speech", done, total)
        return rows

    def _rows(self, split: str, index: int, sentence: Translated) -> tuple[Row, ...]:
        """A row for each language, without its recording."""
        ids = {one: _id(split, index) + ("" if one == FRENCH else f"-{one}") for one in self.languages}
        english = sentence.source
        return tuple(
            Row(ids[one], "", 0, sentence.targets[one], src_text=english, src_lang="en", tgt_lang=one)
            for one in self.languages
        )


def _id(split: str, index: int) -> str:
    return f"quickstart-{split}-{index:05d}"
