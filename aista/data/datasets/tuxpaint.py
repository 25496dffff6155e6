"""Tux Paint stamps -> English: short descriptions spoken by volunteers, with people's translations."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from aista.data.datasets._deb import opened
from aista.data.datasets._stamps import Stamp, draw_splits, read_stamps, text_key
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row, write_manifest
from aista.data.preparation import Folder, PreparationReport, Progress, train_sentencepiece
from aista.errors import DataError
from aista.files import replacing, write_text
from aista.registry import register
from aista.schema import option

__all__ = ["Tuxpaint", "TuxpaintConfig"]

PACKAGE = "tuxpaint-stamps-default"
ROOT = "usr/share/tuxpaint/stamps"
SPLITS = ("train", "dev", "test")
MIN_SECONDS, MAX_SECONDS = 0.2, 30.0
# Below -40 dB of full scale nothing is heard; the quietest real recording peaks at -27 dB.
SILENCE = 0.01
README = """\
# Tux Paint stamps -> English

Descriptions of the stamps of Tux Paint, a drawing program for children: spoken by volunteers, with
transcripts and English translations. The English is the original, the transcripts are its
translations by people; nobody has checked every recording against its transcript. Prepared by
`aista data tuxpaint`.

Source: Debian package {package}, https://tuxpaint.org; its changelog names the contributors.
Licence: GPL-2 as the package. What is passed on of this folder stays under it.

| manifest | rows | hours |
|---|---|---|
{manifests}

No English description and no transcript of one split occurs in another, compared without case,
punctuation and spacing. `spm.model`: joint BPE of {vocab_size} pieces; `spm_source.model`: the
characters of the transcripts, for CTC. Both are trained on train only. Seed of the splits: {seed}.

| rows left out because | count |
|---|---|
{dropped}

`sha256sum --check checksums.txt` verifies the files.
"""


@dataclass(frozen=True, kw_only=True)
class TuxpaintConfig:
    """Options of the Tux Paint preparation. The same options give the same files."""

    languages: tuple[str, ...] = option(("fr", "es"), "Languages of the speech, as in the names of the recordings.")
    seed: int = option(1, "Seed of the splits.", minimum=0)
    num_dev: int = option(75, "English descriptions of dev; each is spoken in every language.", minimum=1)
    num_test: int = option(150, "English descriptions of test.", minimum=1)
    max_characters_per_second: float = option(
        25.0, "Rows whose transcript cannot be said this fast in their recording are left out.", above=0
    )
    vocab_size: int = option(500, "Pieces of the joint BPE model.", minimum=100)

    def __post_init__(self) -> None:
        if not self.languages or len(set(self.languages)) < len(self.languages):
            raise ValueError(f"languages must name at least one language, each once, got {list(self.languages)}")


@dataclass(frozen=True)
class _Utterance:
    row: Row
    samples: NDArray[np.int16]


@register("dataset", "tuxpaint", config=TuxpaintConfig)
class Tuxpaint:
    """Tux Paint's spoken stamp descriptions (real speech, about 0.3 h per language), from a Debian package.

    Choose it for real AI-STA triples under a free licence that download in a minute, and to compare
    languages on the same sentences. They are short and few: expect to need pretrained parts.
    """

    def __init__(self, config: TuxpaintConfig) -> None:
        self.config = config

    def prepare(self, out: Path, *, source: Path | None = None, progress: Progress | None = None) -> PreparationReport:
        """Read, validate and split the recordings into ``out``.

        A folder that is complete is verified and left alone; an interrupted one is continued.

        Args:
            out: Folder to create.
            source: The package as a file, unpacked, or its folder of stamps; not needed once complete.
            progress: Called as ``progress(stage, done, total)``.

        Raises:
            DataError: ``source`` is not the package, lacks a language, ``out`` holds something else or
                was changed, or too few rows remain.
        """
        folder = Folder(out, "tuxpaint", asdict(self.config))
        finished = folder.finished()
        if finished is not None:
            return finished
        if source is None:
            raise DataError(
                f"tuxpaint is read from the Debian package {PACKAGE}: apt-get download {PACKAGE}, "
                "then give the file with --from"
            )
        dropped: dict[str, list[str]] = defaultdict(list)
        with opened(source, ROOT) as root:
            stamps = read_stamps(root)
            self._check_languages(stamps, source)
            sizes = {"test": self.config.num_test, "dev": self.config.num_dev}
            splits = draw_splits(stamps, sizes, "train", self.config.seed)
            folder.start()
            rows = [
                row
                for language in self.config.languages
                for row in self._rows(language, stamps, out, dropped, progress)
            ]
        return self._write(folder, rows, splits, dropped)

    def _check_languages(self, stamps: Iterable[Stamp], source: Path) -> None:
        found = {language for stamp in stamps for language in stamp.recordings}
        if not found:
            raise DataError(f"--from {source}: no spoken descriptions (NAME_desc_LANGUAGE.ogg); is it {PACKAGE}?")
        unknown = [language for language in self.config.languages if language not in found]
        if unknown:
            raise DataError(
                f"tuxpaint: languages must have recordings in --from {source}, got {', '.join(unknown)}; "
                f"there are {', '.join(sorted(found))}"
            )

    def _rows(
        self,
        language: str,
        stamps: Iterable[Stamp],
        out: Path,
        dropped: dict[str, list[str]],
        progress: Progress | None,
    ) -> list[Row]:
        """The usable rows of one language, their audio written to ``out/audio``; one row per recording."""
        wanted = [stamp for stamp in stamps if language in stamp.recordings]
        utterances: dict[bytes, list[_Utterance]] = defaultdict(list)
        for done, stamp in enumerate(wanted, start=1):
            utterance, fault = self._read(stamp, language)
            if utterance is None:
                dropped[fault].append(f"{language}/{stamp.name}")
            else:
                utterances[hashlib.sha256(utterance.samples.tobytes()).digest()].append(utterance)
            if progress is not None:
                progress(f"audio {language}", done, len(wanted))
        rows = []
        for same in utterances.values():
            ids = [utterance.row.id for utterance in same]
            if len({text_key(utterance.row.src_text) for utterance in same}) > 1:
                dropped["one recording with several transcripts"] += ids
                continue
            dropped["the recording of an earlier row again"] += ids[1:]
            _write_audio(out / same[0].row.audio, same[0].samples)
            rows.append(same[0].row)
        return rows

    def _read(self, stamp: Stamp, language: str) -> tuple[_Utterance | None, str]:
        """A stamp as it is spoken in one language, or None and what is wrong with it."""
        transcript = stamp.translations.get(language, "")
        if stamp.fault:
            return None, stamp.fault
        if not text_key(transcript):
            return None, ".txt has no transcript"
        samples, fault = _read_samples(stamp.recordings[language])
        if samples is None:
            return None, fault
        rate = len(transcript) * MANIFEST_SAMPLE_RATE / len(samples)
        if rate > self.config.max_characters_per_second:
            return None, f"more than {self.config.max_characters_per_second:g} characters per second"
        id = f"{language}/{stamp.name}"
        row = Row(id, f"audio/{id}.flac", len(samples), stamp.english, "", transcript, language, "en")
        return _Utterance(row, samples), ""

    def _write(
        self, folder: Folder, rows: list[Row], splits: Mapping[str, str], dropped: Mapping[str, list[str]]
    ) -> PreparationReport:
        out, config = folder.out, self.config
        manifests = {split: [row for row in rows if splits[text_key(row.tgt_text)] == split] for split in SPLITS}
        if len(config.languages) > 1:
            for split, language in itertools.product(SPLITS, config.languages):
                manifests[f"{split}_{language}"] = [row for row in manifests[split] if row.src_lang == language]
        for name, content in manifests.items():
            if not content:
                raise DataError(
                    f"tuxpaint: no usable row is left for {name} of {len(rows)}; choose other sizes or languages"
                )
            write_manifest(out / f"{name}.tsv", content)
        transcripts = [row.src_text for row in manifests["train"]]
        sentences = [text for row in manifests["train"] for text in (row.src_text, row.tgt_text)]
        train_sentencepiece(out / "spm.model", sentences, vocab_size=config.vocab_size, symbols=["<en>"])
        train_sentencepiece(out / "spm_source.model", transcripts, vocab_size=None, symbols=["<en>"])
        counts = {name: len(content) for name, content in manifests.items()}
        hours = {name: sum(row.seconds for row in content) / 3600 for name, content in manifests.items()}
        kept = {reason: sorted(ids) for reason, ids in sorted(dropped.items()) if ids}
        text = README.format(
            package=PACKAGE,
            manifests="\n".join(f"| {name} | {counts[name]} | {hours[name]:.2f} |" for name in manifests),
            vocab_size=config.vocab_size,
            seed=config.seed,
            dropped="\n".join(f"| {reason} | {len(ids)} |" for reason, ids in kept.items()) or "| (none) | 0 |",
        )
        write_text(out / "README.md", text)
        return folder.seal(PreparationReport(out, counts, hours, kept))


def _read_samples(path: Path) -> tuple[NDArray[np.int16] | None, str]:
    """A recording at 16 kHz, scaled down where its peak lies above full scale, or None and what is wrong with it."""
    from aista.data.audio import EmptyAudioError, UndecodableAudioError, one_thread, read_audio  # brings torch

    try:
        with one_thread():
            wave = read_audio(path.name, path.parent, MANIFEST_SAMPLE_RATE).numpy()
    except UndecodableAudioError:
        return None, "recording is unreadable"
    except EmptyAudioError:
        return None, "recording is empty"
    if not np.isfinite(wave).all():
        return None, "recording has samples that are no numbers"
    seconds, peak = len(wave) / MANIFEST_SAMPLE_RATE, float(np.abs(wave).max())
    if seconds < MIN_SECONDS:
        return None, f"recording is shorter than {MIN_SECONDS:g} s"
    if seconds > MAX_SECONDS:
        return None, f"recording is longer than {MAX_SECONDS:g} s"
    if peak < SILENCE:
        return None, "recording is silent"
    return np.rint(wave / max(peak, 1.0) * np.iinfo(np.int16).max).astype(np.int16), ""


def _write_audio(path: Path, samples: NDArray[np.int16]) -> None:
    if not path.is_file():
        with replacing(path) as temporary:
            soundfile.write(str(temporary), samples, MANIFEST_SAMPLE_RATE, format="FLAC", subtype="PCM_16")
