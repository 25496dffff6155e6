"""Base of datasets of English sentences, translated and spoken: checks, splits by sentence, files.

What the datasets `adventures`, `asterisk` and `tuxpaint` share. Each reads its own packages and hands over
``Sentence``s.
"""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from abc import ABC
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from aista.corpora.base import Preparation
from aista.corpora.preparation import Folder, PreparationReport, Progress, require_rows, train_tokenizers
from aista.corpora.recording import read_recording, write_recording
from aista.data.manifest import Row
from aista.errors import DataError
from aista.schema import option

__all__ = ["HEAR", "TRANSCRIPT_ONLY", "Sentence", "SpokenPreparation", "draw_splits", "text_key"]

SPLITS = ("train", "dev", "test")
TRANSCRIPT_ONLY = ""
HEAR = "hear_en"
README = """\
{about}

| manifest | rows | hours |
|---|---|---|
{manifests}

No English sentence and no translation of one split occurs in another, compared without case,
punctuation and spacing. `spm.model`: joint BPE of {vocab_size} pieces; `spm_source.model`: the
characters of the transcripts, for CTC. Both are trained on train only. Seed of the splits: {seed}.

| rows left out because | count |
|---|---|
{dropped}

`sha256sum --check checksums.txt` verifies the files.
"""


@dataclass(frozen=True)
class Sentence:
    """One English sentence, its translations and speakers.

    Attributes:
        name: Unique; also the path of its audio.
        english: The sentence.
        translations: By language.
        recordings: Audio files by language of the translation: of the translation, or, from English, of the sentence;
            under ``TRANSCRIPT_ONLY`` of an English sentence that nobody translated.
        faults: Why there is no usable text, by language.
        speakers: Names of the voices, by language spoken, where they are known.
    """

    name: str
    english: str
    translations: Mapping[str, str]
    recordings: Mapping[str, Path]
    faults: Mapping[str, str]
    speakers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class SpokenPreparation(Preparation, ABC):
    """Base of such datasets: common options, and the preparation of their sentences."""

    languages: tuple[str, ...] = option(("fr", "es"), "Languages beside English.")
    seed: int = option(1, "Seed of the splits.", minimum=0)
    num_dev: int = option(
        75, "English sentences of dev; each is spoken in every language.", minimum=1, maximum=1_000_000
    )
    num_test: int = option(150, "English sentences of test.", minimum=1, maximum=1_000_000)
    max_characters_per_second: float = option(
        25.0, "Rows with more transcript characters per second of recording are left out.", above=0
    )
    vocab_size: int = option(500, "Pieces of the joint BPE model.", minimum=100, maximum=1_000_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(f"languages must name at least one language, each once, got {list(self.languages)}")

    def fill_with(
        self,
        folder: Folder,
        sentences: Sequence[Sentence],
        about: str,
        progress: Progress,
        *,
        from_english: bool = False,
        transcribed: Sequence[Sentence] | None = None,
        dropped: Mapping[str, Iterable[str]] | None = None,
    ) -> PreparationReport:
        """Validate and split recorded sentences, from each language into English or the reverse.

        Args:
            folder: To fill and seal.
            sentences: Sentences of the source, in all its languages.
            about: First part of the README: title, origin, licence.
            progress: Called as ``progress(stage, done, total)``.
            from_english: Whether English is spoken and the languages are what it is translated into.
            transcribed: Further English sentences, recorded and not translated: with the English recordings of train
                they make the manifest ``hear_en``. None: no such manifest.
            dropped: Ids left out before, by reason.

        Raises:
            DataError: too few sentences, or no usable row for a manifest.
        """
        splits = draw_splits(self.dataset, sentences, {"test": self.num_test, "dev": self.num_dev}, self.seed)
        folder.start()
        left_out: dict[str, list[str]] = defaultdict(list)
        for reason, ids in (dropped or {}).items():
            left_out[reason] += ids
        rows: dict[str, list[Row]] = {}
        for language in self.languages:
            wanted = [_Wanted(language, one, from_english) for one in sentences if language in one.recordings]
            rows[language] = _rows(wanted, folder.out, self.max_characters_per_second, left_out, progress)
        manifests: dict[str, list[Row]] = {split: [] for split in SPLITS}
        for language, split in itertools.product(self.languages, SPLITS):
            english = [row.src_text if from_english else row.tgt_text for row in rows[language]]
            chosen = [row for row, text in zip(rows[language], english, strict=True) if splits[text_key(text)] == split]
            manifests[split] += chosen
            if len(self.languages) > 1:
                manifests[f"{split}_{language}"] = chosen
        if transcribed is not None:
            heard = _apart([_Wanted(TRANSCRIPT_ONLY, one, True) for one in transcribed], splits, left_out)
            others = _rows(heard, folder.out, self.max_characters_per_second, left_out, progress)
            manifests[HEAR] = [*_transcripts(manifests["train"]), *others]
        require_rows(self.dataset, manifests, left_out, "; choose other sizes or languages")
        train_tokenizers(folder.out, manifests["train"], self.vocab_size, of_transcripts=True)
        sorted_ids = {reason: sorted(ids) for reason, ids in left_out.items()}
        return folder.finish(
            manifests, README, dropped=sorted_ids, about=about, vocab_size=self.vocab_size, seed=self.seed
        )


@dataclass(frozen=True)
class _Wanted:
    """A sentence and the language that it is translated from or into."""

    language: str
    sentence: Sentence
    from_english: bool

    @property
    def id(self) -> str:
        return f"{self.language}/{self.sentence.name}" if self.language else self.sentence.name

    @property
    def translation(self) -> str:
        return self.sentence.translations.get(self.language, "")

    def row(self, num_frames: int) -> Row:
        """From English, the languages share their recordings."""
        english, translation = self.sentence.english, self.translation
        speaker = self.sentence.speakers.get("en" if self.from_english else self.language, "")
        if self.from_english:
            audio = f"audio/en/{self.sentence.name}.flac"
            return Row(self.id, audio, num_frames, translation, speaker, english, "en", self.language)
        return Row(self.id, f"audio/{self.id}.flac", num_frames, english, speaker, translation, self.language, "en")


@dataclass(frozen=True)
class _Utterance:
    row: Row
    samples: NDArray[np.int16]


def text_key(text: str) -> str:
    """A key of a text without case, punctuation and spacing."""
    text = unicodedata.normalize("NFKC", text).casefold()
    # Letters, marks (vowels in Indic scripts) and numbers.
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split())


def draw_splits(dataset: str, sentences: Iterable[Sentence], sizes: Mapping[str, int], seed: int) -> dict[str, str]:
    """Give every English sentence, as ``text_key``, a split: those of ``sizes``, in their order, else train.

    Sentences stay together that have a translation in common, in or across the languages they were recorded
    in: so no split shares a text with another, and the draw is the same whichever languages are used. Those
    with faults in all languages are not counted.
    """
    groups = _group(sentences)
    Random(f"{seed}/{dataset}").shuffle(groups)
    splits: dict[str, str] = {}
    for split, size in sizes.items():
        left = size
        for group in groups:
            if len(group) <= left and group[0] not in splits:
                splits.update(dict.fromkeys(group, split))
                left -= len(group)
        total = sum(map(len, groups))
        if left or len(splits) == total:
            raise DataError(f"{dataset}: num_{split}={size} of {total} English sentences is too many; lower it")
    return {sentence: splits.get(sentence, "train") for group in groups for sentence in group}


def _group(sentences: Iterable[Sentence]) -> list[list[str]]:
    """Groups of English keys that share a translation; groups and their list are sorted."""
    spoken: dict[str, list[str]] = defaultdict(list)
    members: dict[str, list[str]] = {}
    for sentence in sentences:
        english = text_key(sentence.english)
        languages = [language for language in sentence.recordings if language not in sentence.faults]
        if not english or not languages:
            continue
        members.setdefault(english, [english])
        for language in languages:
            translation = text_key(sentence.translations.get(language, ""))
            if translation:
                spoken[translation].append(english)
    for first, *others in spoken.values():
        for other in others:
            if members[other] is not members[first]:
                members[first] += members[other]
                members.update(dict.fromkeys(members[other], members[first]))
    return sorted({id(group): sorted(group) for group in members.values()}.values())


def _apart(wanted: Iterable[_Wanted], splits: Mapping[str, str], dropped: dict[str, list[str]]) -> list[_Wanted]:
    """Those whose English is neither in dev nor in test."""
    apart = []
    for one in wanted:
        split = splits.get(text_key(one.sentence.english), "train")
        if split == "train":
            apart.append(one)
        else:
            dropped[f"no translation, and its text is in {split}"].append(one.id)
    return apart


def _transcripts(rows: Iterable[Row]) -> list[Row]:
    """The English recordings of rows, each once, without a translation."""
    once = {row.audio: row for row in rows}
    return [replace(row, id=row.id.partition("/")[2], tgt_text="", tgt_lang="") for row in once.values()]


def _rows(
    wanted: Sequence[_Wanted],
    out: Path,
    max_rate: float,
    dropped: dict[str, list[str]],
    progress: Progress,
) -> list[Row]:
    """The usable rows of one language, one per recording, their audio written to ``out/audio``."""
    utterances: dict[bytes, list[_Utterance]] = defaultdict(list)
    for done, one in enumerate(wanted, start=1):
        utterance, fault = _read(one, max_rate)
        if utterance is None:
            dropped[fault].append(one.id)
        else:
            utterances[hashlib.sha256(utterance.samples.tobytes()).digest()].append(utterance)
        progress(f"audio {one.language or HEAR}", done, len(wanted))
    rows = []
    for same in utterances.values():
        ids = [utterance.row.id for utterance in same]
        if len({text_key(utterance.row.src_text) for utterance in same}) > 1:
            dropped["one recording with several transcripts"] += ids
            continue
        dropped["the recording of an earlier row again"] += ids[1:]
        write_recording(out / same[0].row.audio, same[0].samples)
        rows.append(same[0].row)
    return rows


def _read(wanted: _Wanted, max_rate: float) -> tuple[_Utterance | None, str]:
    """A sentence spoken in one language, or None and its fault."""
    language, sentence = wanted.language, wanted.sentence
    if language in sentence.faults:
        return None, sentence.faults[language]
    if language != TRANSCRIPT_ONLY and not text_key(wanted.translation):
        return None, "no translation" if wanted.from_english else "no transcript"
    if not text_key(sentence.english):
        return None, "no English text"
    samples, fault = read_recording(sentence.recordings[language])
    if samples is None:
        return None, fault
    row = wanted.row(len(samples))
    if len(row.src_text) > max_rate * row.seconds:
        return None, f"more than {max_rate:g} characters per second"
    return _Utterance(row, samples), ""
