"""Writes the rows of a manifest as a Lhotse Shar."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import soundfile

from aista.data.audio import probe_audio
from aista.data.audio_file import open_audio
from aista.data.manifest import Manifest, Row
from aista.data.word_times import parse_word_times
from aista.errors import DataError
from aista.files import replacing_folder

__all__ = ["SharReport", "write_shar"]

_SUBTYPES = {"PCM_S8": "PCM_16", "PCM_U8": "PCM_16", "PCM_16": "PCM_16"}
_UNSAFE = ("/", "\\", "\0")


@dataclass(frozen=True)
class SharReport:
    """Report of the rows written, and of the rows left out with reasons."""

    rows: int
    shards: int
    seconds: float
    left_out: tuple[tuple[str, str], ...] = ()

    def summary(self, out: Path, examples: int = 20) -> str:
        """The report as text; of the rows left out, the first ones."""
        lines = [f"{out}: {self.rows} rows in {self.shards} shards ({self.seconds / 3600:.2f} h)"]
        if self.left_out:
            lines.append(f"  {len(self.left_out)} left out:")
            lines += [f"    {id}: {reason}" for id, reason in self.left_out[:examples]]
        if len(self.left_out) > examples:
            lines.append(f"    ... and {len(self.left_out) - examples} more")
        return "\n".join(lines)


def write_shar(
    manifest: Manifest,
    out: Path,
    *,
    shard_rows: int = 1_000,
    audio: Literal["original", "flac"] = "original",
    on_bad_rows: Literal["error", "drop"] = "error",
    progress: Callable[[int, int], None] | None = None,
) -> SharReport:
    """Write a manifest's rows, in their order, as a folder that ``stream: shar`` and Lhotse read.

    Every recording is decoded to its end first. The folder is complete or it is not there.

    Args:
        manifest: The rows; all must have audio.
        out: Folder to make, or an empty one.
        shard_rows: Rows of a shard; the last one may have fewer.
        audio: ``original`` copies the files' bytes; ``flac`` encodes them anew: 16-bit samples stay as they are, others
            are rounded to 24 bit.
        on_bad_rows: Stop at a recording that cannot be read, or leave it out and report it.
        progress: Called with (rows done, rows).

    Raises:
        DataError: ``out`` is not empty, a row cannot be read, or none is left.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: must be a new or empty folder; name another one, or remove it")
    left_out: list[tuple[str, str]] = []
    rows = _good_rows(manifest, left_out, stops=on_bad_rows == "error")
    with replacing_folder(out) as folder:
        written, shards, seconds = 0, 0, 0.0
        while (first := next(rows, None)) is not None:
            with _shard(folder, shards) as (cuts, tar):
                for count, row in enumerate(chain((first,), rows), 1):
                    try:
                        cut, content, suffix = _cut(row, manifest.base, audio)
                    except DataError as error:
                        raise DataError(f"{manifest.path}:{row.line}: {row.id}: {error}") from error
                    _add(tar, f"{row.id}.{suffix}", content)
                    _add(tar, f"{row.id}.json", _json(cut["recording"]))
                    cuts.write(_json(cut))
                    written, seconds = written + 1, seconds + cut["duration"]
                    if progress is not None:
                        progress(written + len(left_out), len(manifest.rows))
                    if count == shard_rows:
                        break
            shards += 1
        if not written:
            first_reason = f"; the first: {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
            raise DataError(f"{manifest.path}: no row can be written{first_reason}; correct the manifest")
    return SharReport(written, shards, seconds, tuple(left_out))


def _good_rows(manifest: Manifest, left_out: list[tuple[str, str]], *, stops: bool) -> Iterator[Row]:
    for row in manifest.rows:
        fault = _fault(row, manifest.base)
        if not fault:
            yield row
        elif stops:
            raise DataError(
                f"{manifest.path}:{row.line}: {row.id}: {fault}\ncorrect or remove the row, or leave such rows out by "
                "--on-bad-rows drop"
            )
        else:
            left_out.append((row.id, fault))


def _fault(row: Row, base: Path) -> str:
    if not row.audio:
        return "must name an audio file, got a text-only row"
    if any(character in row.id for character in _UNSAFE) or row.id.startswith("."):
        return "its id names files in an archive: it must hold no / and no backslash, and not begin with a dot"
    try:
        probe_audio(row.audio, base)
    except DataError as error:
        return str(error)
    return ""


@contextmanager
def _shard(folder: Path, number: int) -> Iterator[tuple[gzip.GzipFile, tarfile.TarFile]]:
    with ExitStack() as stack:
        raw = stack.enter_context((folder / f"cuts.{number:06d}.jsonl.gz").open("wb"))
        cuts = stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0))  # same rows, same bytes
        tar = stack.enter_context(tarfile.open(folder / f"recording.{number:06d}.tar", "w", format=tarfile.GNU_FORMAT))
        yield cuts, tar


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _cut(row: Row, base: Path, audio: str) -> tuple[dict[str, Any], bytes, str]:
    """A row as a cut of Lhotse, its encoded audio, and that file's suffix."""
    with open_audio(row.audio, base) as (_, part):
        content = part.read()
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        rate, channels, frames, suffix = file.samplerate, file.channels, file.frames, _suffix(file.format)
        if audio == "flac" and suffix != "flac":
            content, suffix = _flac(file), "flac"
    duration = frames / rate
    every = list(range(channels))
    recording = {
        "id": row.id,
        "sources": [{"type": "shar", "channels": every, "source": ""}],
        "sampling_rate": rate,
        "num_samples": frames,
        "duration": duration,
        "channel_ids": every,
    }
    supervision = {
        "id": row.id,
        "recording_id": row.id,
        "start": 0.0,
        "duration": duration,
        "channel": every if channels > 1 else 0,
        "text": row.src_text,
        **({"language": row.src_lang} if row.src_lang else {}),
        **({"speaker": row.speaker} if row.speaker else {}),
        "custom": {name: text for name in ("tgt_text", "tgt_lang", "task") if (text := getattr(row, name))},
        **({"alignment": {"word": _alignment(row)}} if row.word_times else {}),
    }
    cut = {
        "id": row.id,
        "start": 0.0,
        "duration": duration,
        "channel": every if channels > 1 else 0,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MultiCut" if channels > 1 else "MonoCut",
    }
    return cut, content, suffix


def _alignment(row: Row) -> Sequence[Any]:
    words = zip(row.src_text.split(), parse_word_times(row.word_times), strict=True)
    return [[word, span[0], round(span[1] - span[0], 6), None] for word, span in words if span is not None]


def _suffix(format: str) -> str:
    return {"WAVEX": "wav", "RF64": "wav", "MPEG": "mp3"}.get(format, format.lower())


def _flac(file: soundfile.SoundFile) -> bytes:
    is_whole = file.subtype.startswith("PCM")
    subtype = _SUBTYPES.get(file.subtype, "PCM_24")
    samples = file.read(dtype=("int16" if subtype == "PCM_16" else "int32") if is_whole else "float64")
    if not is_whole and (peak := abs(samples).max()) > 1:
        raise DataError(f"flac holds samples of at most 1, got {peak:g}; keep the file as it is with --audio original")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, file.samplerate, format="FLAC", subtype=subtype)
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8")
