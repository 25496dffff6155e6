"""CoVoST 2: Common Voice recordings with transcripts and translations."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import soundfile

from aista.corpora.base import Preparation
from aista.corpora.preparation import Folder, PreparationReport, Progress, one_line, require_rows, train_tokenizers
from aista.data.audio import AudioInfo, read_audio
from aista.data.audio_file import EmptyAudioError, MissingAudioError, UndecodableAudioError
from aista.data.file_memory import decoded_audio
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row
from aista.data.sources.common_voice_tables import SPLITS, VALIDATED, Clip, read_clips, read_translations
from aista.errors import DataError
from aista.files import replacing
from aista.registry import register
from aista.schema import option

__all__ = ["Covost2"]

CLIPS = "clips"
SAVE_EVERY = 5000
DIFFERS = "transcript is another in validated.tsv; the split's is taken"
REPEATED = "transcript also in test; the row stays"
README = """\
# CoVoST 2, {source} -> {target}

Read speech of Common Voice with transcripts and translations. Prepared by `aista data covost2`.

Source: Common Voice 4 (https://commonvoice.mozilla.org), translations of https://github.com/facebookresearch/covost
Cite: Wang et al. 2021, "CoVoST 2 and Massively Multilingual Speech Translation", Interspeech 2021,
https://arxiv.org/abs/2007.10310; Ardila et al. 2020, "Common Voice", LREC 2020
Licence: CC0.

| split | rows | hours |
|---|---|---|
{manifests}

Audio: {audio}.

| rows left out because | count |
|---|---|
{dropped}

| rows noted because | count |
|---|---|
{noted}

`sha256sum --check checksums.txt` verifies the files of this folder.
"""


@register("dataset", "covost2")
@dataclass(frozen=True, kw_only=True)
class Covost2(Preparation):
    """CoVoST 2 (Wang et al. 2021, arXiv 2007.10310) from a Common Voice folder: ``clips/`` and the tables beside it.

    The official splits, nothing resampled unless asked for. What was decoded is remembered beside the manifests, where
    training finds it too. Choose it to compare with published systems: En-Zh and En-Ja are the pairs of AI-STA's paper.
    """

    dataset: ClassVar[str] = "covost2"
    source: str = option("en", "Language of the speech, as CoVoST names it.")
    target: str = option("zh-CN", "Language of the translations, as CoVoST names it, e.g. zh-CN, ja, de.")
    convert: bool = option(
        False,
        "Copy the recordings as 16 kHz FLAC (about 115 MB an hour); else manifests refer to the original clips.",
    )
    vocab_size: int | None = option(
        None,
        "Pieces of a joint BPE model; null makes none: a pretrained LLM has its own tokenizer.",
        minimum=50,
        maximum=1_000_000,
    )

    def fill(self, folder: Folder, source: Path | None, progress: Progress) -> PreparationReport:
        """Read the splits, decode every clip to its end, and write manifests.

        ``source`` is a Common Voice folder with ``clips/``, ``validated.tsv`` and CoVoST's tables.
        """
        if source is None or not (source / CLIPS).is_dir():
            reason = "" if source is None else f"; {source} has no folder {CLIPS}"
            raise DataError(
                f"covost2 is read from an unpacked Common Voice 4 ({self.source}): give the folder that holds "
                f"{CLIPS}/ and validated.tsv with --from{reason}"
            )
        pair = self.source, self.target
        splits = {split: list(map(_cleaned, read_translations(source, pair, split))) for split in SPLITS}
        folder.start()
        dropped: dict[str, list[str]] = defaultdict(list)
        noted = _note(splits, source / VALIDATED)
        total, done = sum(map(len, splits.values())), 0
        rows: dict[str, list[Row]] = {}
        for split in SPLITS:
            candidates = list(self._usable(splits[split], dropped))
            rows[split] = []
            for row, fault in self._measured(candidates, folder.out, source, split):
                if fault:
                    dropped[fault].append(row.id)
                else:
                    rows[split].append(row)
                done += 1
                progress("clips", done, total)
        require_rows("covost2", rows, dropped)
        if self.vocab_size is not None:
            train_tokenizers(folder.out, rows["train"], self.vocab_size)
        audio = "16 kHz FLAC copies" if self.convert else "the clips of Common Voice, which lie elsewhere"
        return folder.finish(
            rows, README, dropped=dropped, noted=noted, audio=audio, source=self.source, target=self.target
        )

    def _usable(self, clips: list[Clip], dropped: dict[str, list[str]]) -> Iterator[Row]:
        """Rows whose texts can be used, each clip once; no audio yet."""
        seen: set[str] = set()
        for clip in clips:
            fault = "no translation" if not clip.translation else "no transcript" if not clip.transcript else ""
            fault = clip.fault or ("named twice in its split" if clip.file in seen else fault)
            seen.add(clip.file)
            id = Path(clip.file).stem
            if fault:
                dropped[fault].append(id or clip.place)
                continue
            yield Row(id, clip.file, 0, clip.translation, clip.speaker, clip.transcript, self.source, self.target)

    def _measured(self, rows: list[Row], out: Path, source: Path, split: str) -> Iterator[tuple[Row, str]]:
        """Each row with its audio and length, and what is wrong with its clip or ""."""
        clips = Path(os.path.relpath(source / CLIPS, out))
        cache = decoded_audio(out / f"{split}.tsv")

        def measure(row: Row) -> tuple[Row, str]:
            clip = str(clips / row.audio)
            try:
                if self.convert:
                    clip = _convert(clip, out, f"audio/{row.id}.flac")
                info = AudioInfo(*cache.recall(clip))
            except MissingAudioError:
                return row, "no such clip"
            except EmptyAudioError:
                return row, "clip without sound"
            except UndecodableAudioError:
                return row, "clip cannot be decoded"
            return replace(row, audio=clip, n_frames=round(info.seconds * MANIFEST_SAMPLE_RATE)), ""

        try:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for start in range(0, len(rows), SAVE_EVERY):
                    yield from pool.map(measure, rows[start : start + SAVE_EVERY])
                    cache.save()
        finally:
            cache.save()


def _cleaned(clip: Clip) -> Clip:
    return clip._replace(transcript=one_line(clip.transcript), translation=one_line(clip.translation))


def _note(splits: Mapping[str, list[Clip]], table: Path) -> dict[str, list[str]]:
    """What is odd about rows that are kept."""
    validated = {clip.file: one_line(clip.transcript) for clip in read_clips(table)} if table.is_file() else {}
    tested = {clip.transcript.casefold() for clip in splits["test"]}
    everything = [clip for split in SPLITS for clip in splits[split] if not clip.fault]
    noted = {
        DIFFERS: [clip for clip in everything if validated.get(clip.file, clip.transcript) != clip.transcript],
        REPEATED: [clip for clip in splits["train"] if not clip.fault and clip.transcript.casefold() in tested],
    }
    return {reason: [Path(clip.file).stem for clip in clips] for reason, clips in noted.items()}


def _convert(clip: str, out: Path, copy: str) -> str:
    """Write the clip as 16 kHz FLAC unless that is done."""
    if not (out / copy).is_file():
        wave = read_audio(clip, out, MANIFEST_SAMPLE_RATE)
        with replacing(out / copy) as temporary:
            soundfile.write(str(temporary), wave.clamp(-1, 1).numpy(), MANIFEST_SAMPLE_RATE, format="FLAC")
    return copy
