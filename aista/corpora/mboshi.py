"""Mboshi -> French: real field recordings with transcripts and translations."""

from __future__ import annotations

import io
import struct
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import ClassVar

import soundfile

from aista.corpora.base import Preparation
from aista.corpora.clone import Clone, open_clone
from aista.corpora.letter_alignment import word_times_of_letters
from aista.corpora.preparation import Folder, PreparationReport, Progress, one_line, require_rows, train_tokenizers
from aista.data.containers import announced_samples
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row
from aista.data.word_times import check_word_times, format_word_times
from aista.errors import DataError
from aista.files import replacing
from aista.registry import register
from aista.schema import option

__all__ = ["Mboshi"]

ROOT = "full_corpus_newsplit"
ALIGNMENTS = "forced_alignments_supervised_spkr/align-kit-old/all"
TRANSCRIPT, TRANSLATION, AUDIO = ".mb.cleaned", ".fr", ".wav"
URL = "https://github.com/besacier/mboshi-french-parallel-corpus"
SHARED = "translation also in test"
NOT_ALIGNED = "no word times: no forced alignment that spells the transcript"
CORRECTED = "the header announced some samples more than were recorded: corrected"
_HEADER = 44  # bytes before the samples
_NEVER_WRITTEN = 4096  # bytes
README = """\
# Mboshi -> French

Field recordings of Mboshi (Bantu C25, Congo-Brazzaville) by three speakers, with transcripts
in a non-standard spelling close to the phonology, and French translations. Prepared by
`aista data mboshi`.

Source: {url}
Cite: Godard et al. 2018, "A Very Low Resource Language Speech Corpus for Computational Language
Documentation Experiments", LREC 2018, https://arxiv.org/abs/1710.03501
Licence: the corpus states none. Use it, cite it, do not redistribute it.

| split | rows | hours | origin |
|---|---|---|---|
{manifests}

No translation of train or dev occurs in test, and none of dev in train (compared without case and
spacing). `spm.model`: joint BPE of {vocab_size} pieces; `spm_source.model`: the characters of the
transcripts, for CTC. Both are trained on train only. Seed of dev: {seed}.

| rows left out because | count |
|---|---|
{dropped}

Word times are the corpus's forced alignments: silver, made by machine from this small corpus.

`sha256sum --check checksums.txt` verifies the files.
"""
_ORIGINS = {
    "train": "the corpus's train, less dev and the rows left out",
    "dev": "drawn from the corpus's train by text",
    "test": "the corpus's dev",
}


@register("dataset", "mboshi")
@dataclass(frozen=True, kw_only=True)
class Mboshi(Preparation):
    """Mboshi-French parallel corpus (4.4 h of real speech, low resource), from a git clone.

    Choose it for a real low-resource AI-STA triple: speech, transcript and translation of a
    language that no pretrained part has seen. Expect single-digit BLEU.
    """

    dataset: ClassVar[str] = "mboshi"
    seed: int = option(1, "Seed of the dev split.", minimum=0)
    num_dev: int = option(300, "Rows of train that become dev.", minimum=1, maximum=1_000_000)
    vocab_size: int = option(500, "Pieces of the joint BPE model.", minimum=100, maximum=1_000_000)

    def fill(self, folder: Folder, source: Path | None, progress: Progress) -> PreparationReport:
        """Extract, validate and split the corpus; ``source`` is a clone of it, bare or with a work tree."""
        if source is None:
            raise DataError(f"mboshi is read from a clone: git clone --bare {URL}, then give it with --from")
        dropped: dict[str, list[str]] = defaultdict(list)
        with closing(open_clone(source, ROOT)) as clone:
            folder.start()
            texts = {split: _texts(clone, split, dropped) for split in ("train", "dev")}
            taken = {_key(row.tgt_text) for row in texts["dev"]}
            dropped[SHARED] = [row.id for row in texts["train"] if _key(row.tgt_text) in taken]
            texts["train"] = [row for row in texts["train"] if _key(row.tgt_text) not in taken]
            corrected: list[str] = []
            rows = _extract(clone, folder.out, texts, dropped, corrected, progress)
            rows = {split: [_aligned(clone, row) for row in usable] for split, usable in rows.items()}
        train, dev = self._carve(rows["train"])
        splits = {"train": train, "dev": dev, "test": rows["dev"]}
        require_rows("mboshi", splits, dropped, "; clone it again")
        train_tokenizers(folder.out, train, self.vocab_size, of_transcripts=True)
        unaligned = [row.id for rows in splits.values() for row in rows if not row.word_times]
        return folder.finish(
            splits,
            README,
            dropped=dropped,
            noted={NOT_ALIGNED: unaligned, CORRECTED: corrected},
            origins=_ORIGINS,
            url=URL,
            vocab_size=self.vocab_size,
            seed=self.seed,
        )

    def _carve(self, rows: list[Row]) -> tuple[list[Row], list[Row]]:
        """Draw dev by text: rows with the same translation stay together, no transcript is shared."""
        groups: dict[str, list[Row]] = defaultdict(list)
        homes: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            groups[_key(row.tgt_text)].append(row)
            homes[_key(row.src_text)].add(_key(row.tgt_text))
        keys = sorted(groups)
        Random(f"{self.seed}/mboshi-dev").shuffle(keys)
        chosen: set[str] = set()
        count = 0
        for key in keys:
            alone = all(len(homes[_key(row.src_text)]) == 1 for row in groups[key])
            if alone and count + len(groups[key]) <= self.num_dev:
                chosen.add(key)
                count += len(groups[key])
        if count < self.num_dev or len(chosen) == len(groups):
            raise DataError(f"mboshi: num_dev={self.num_dev} of {len(rows)} training rows is too many; lower it")
        train = [row for row in rows if _key(row.tgt_text) not in chosen]
        return train, [row for row in rows if _key(row.tgt_text) in chosen]


def _texts(clone: Clone, split: str, dropped: dict[str, list[str]]) -> list[Row]:
    """Rows of one official split whose three files are there and whose texts are usable; no audio yet."""
    names = set(clone.names(f"{ROOT}/{split}"))
    suffixes = (TRANSCRIPT, TRANSLATION, AUDIO)
    stems = sorted({name.removesuffix(suffix) for name in names for suffix in suffixes if name.endswith(suffix)})
    rows = []
    for stem in stems:
        missing = [suffix for suffix in suffixes if stem + suffix not in names]
        if missing:
            dropped[f"no {' and no '.join(missing)} file"].append(stem)
            continue
        texts = [_text(clone.read(f"{ROOT}/{split}/{stem}{suffix}")) for suffix in suffixes[:2]]
        faults = [fault for text, fault in texts if not text]
        if faults:
            dropped[f"{TRANSCRIPT if not texts[0][0] else TRANSLATION} {faults[0]}"].append(stem)
            continue
        speaker, (transcript, translation) = stem.split("_")[0], (text for text, _ in texts)
        rows.append(Row(stem, f"audio/{stem}{AUDIO}", 0, translation, speaker, transcript, "mdw", "fr"))
    return rows


def _text(content: bytes | None) -> tuple[str, str]:
    """The text of a file on one line, or "" and what is wrong with it."""
    if content is None:
        return "", "is not in the clone"
    try:
        text = one_line(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "", "is not UTF-8"
    return text, "" if text else "is empty"


def _extract(
    clone: Clone,
    out: Path,
    texts: Mapping[str, list[Row]],
    dropped: dict[str, list[str]],
    corrected: list[str],
    progress: Progress,
) -> dict[str, list[Row]]:
    """Copy the recordings of usable rows to ``out/audio`` and fill in their lengths.

    The ids of those whose header had to be corrected are added to ``corrected``.
    """
    total, done = sum(len(rows) for rows in texts.values()), 0
    extracted: dict[str, list[Row]] = {split: [] for split in texts}
    for split, rows in texts.items():
        for row in rows:
            path = out / row.audio
            published = clone.read(f"{ROOT}/{split}/{row.id}{AUDIO}")
            content = None if published is None else _with_true_sizes(published)
            frames, fault = _length(content)
            if fault:
                dropped[f"{AUDIO} {fault}"].append(row.id)
            else:
                extracted[split].append(replace(row, n_frames=frames))
                if content != published:
                    corrected.append(row.id)
                if content is not None and not path.is_file():
                    with replacing(path) as temporary:
                        temporary.write_bytes(content)
            done += 1
            progress("audio", done, total)
    return extracted


def _aligned(clone: Clone, row: Row) -> Row:
    """The row with word times, where its forced alignment is there and fits."""
    content = clone.read(f"{ALIGNMENTS}/{row.id}.txt")
    times = word_times_of_letters(content.decode("utf-8", "replace"), row.src_text) if content else []
    text = format_word_times(times)
    try:
        check_word_times(text, row.src_text, row.seconds)
    except ValueError:
        return row
    return replace(row, word_times=text)


def _with_true_sizes(content: bytes) -> bytes:
    """A recording whose header announces the bytes that are there.

    In 78 published files it announces 726 to 2,178 more, one to three of the recorder's buffers. Where more are
    missing, or the header is another, the recording is returned as it is.
    """
    if content[36:40] != b"data":
        return content
    (announced,) = struct.unpack_from("<I", content, 40)
    there = len(content) - _HEADER
    if not 0 < announced - there <= _NEVER_WRITTEN:
        return content
    sizes = struct.pack("<I", there + _HEADER - 8), struct.pack("<I", there)
    return content[:4] + sizes[0] + content[8:40] + sizes[1] + content[_HEADER:]


def _length(content: bytes | None) -> tuple[int, str]:
    """Samples of a recording, or 0 and what is wrong with it."""
    if content is None:
        return 0, "is not in the clone"
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            frames = len(file.read(dtype="int16"))
            announced_samples(io.BytesIO(content), len(content), file.format, frames)
            if (file.samplerate, file.channels) != (MANIFEST_SAMPLE_RATE, 1):
                return 0, f"is not 16 kHz mono but {file.samplerate} Hz with {file.channels} channels"
    except soundfile.LibsndfileError:
        return 0, "is unreadable"
    except ValueError:
        return 0, "is cut short or damaged"
    return frames, "" if frames else "is empty"


def _key(text: str) -> str:
    return " ".join(text.casefold().split())
