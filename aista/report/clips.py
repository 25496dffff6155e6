"""Audio for the report: MP3 clips within a size budget, and spectrograms for transport plans."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from aista.data.audio import read_audio
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.data.manifest import MANIFEST_SAMPLE_RATE, read_manifest
from aista.errors import DataError

__all__ = ["Clip", "Matrix", "matrix", "read_clips"]

NUM_MELS = 64
MOST_FRAMES = 600


@dataclass(frozen=True)
class Matrix:
    """A matrix of numbers in 0..largest, quantised to bytes, row by row, in base64."""

    rows: int
    columns: int
    largest: float
    data: str


@dataclass(frozen=True)
class Clip:
    """One utterance's audio: an MP3 as data URI, "" where only the spectrogram is needed."""

    id: str
    audio: str
    spectrogram: Matrix | None


def matrix(values: Tensor) -> Matrix:
    """Quantise ``[R, C]`` numbers of at least 0 to 256 levels up to the largest."""
    largest = max(float(values.max()), 1e-12)
    levels = (values.double() / largest * 255).round().to(torch.uint8)
    text = base64.b64encode(levels.numpy().tobytes()).decode("ascii")
    return Matrix(values.size(0), values.size(1), largest, text)


def read_clips(
    manifest: Path, ids: Sequence[str], drawn: Collection[str], *, max_clips: int, max_bytes: int
) -> tuple[list[Clip], list[str]]:
    """Encode utterances in the order of ``ids`` until the budget is spent.

    Args:
        manifest: The evaluated manifest.
        ids: Utterances in order of priority.
        drawn: Utterances that need a spectrogram, even if their audio does not fit.
        max_clips: Maximum number of clips with audio.
        max_bytes: Maximum size of the audio; a clip that does not fit is left out, a shorter later one may fit.

    Returns:
        The clips, and problems of those that could not be read.

    Raises:
        DataError: the manifest is missing or malformed.
    """
    table = read_manifest(manifest)
    rows = {row.id: row for row in table.rows}
    clips, problems, left, count = [], [], max_bytes, 0
    for name in dict.fromkeys([*drawn, *ids]):
        if count >= max_clips and name not in drawn:
            continue
        try:
            if name not in rows or not rows[name].audio:
                raise DataError(f"{manifest} names no audio for it")
            wave_W = read_audio(rows[name].audio, table.base, MANIFEST_SAMPLE_RATE)
        except DataError as error:
            problems.append(f"audio of utterance {name}: {error}")
            continue
        encoded = _mp3(wave_W) if count < max_clips else b""
        if len(encoded) > left:
            encoded = b""
        left, count = left - len(encoded), count + bool(encoded)
        audio = f"data:audio/mpeg;base64,{base64.b64encode(encoded).decode('ascii')}" if encoded else ""
        spectrogram = _spectrogram(wave_W) if name in drawn else None
        if audio or spectrogram:
            clips.append(Clip(name, audio, spectrogram))
    return clips, problems


def _mp3(wave_W: Tensor) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave_W.clamp(-1, 1).numpy(), MANIFEST_SAMPLE_RATE, format="MP3")
    return buffer.getvalue()


def _spectrogram(wave_W: Tensor) -> Matrix:
    """Log-mel energies, high frequencies on top, the quietest twentieth black."""
    feature = LogMel(LogMelConfig(num_mels=NUM_MELS, normalize="none"))
    mel_FM = feature(wave_W)
    if len(mel_FM) > MOST_FRAMES:
        mel_FM = torch.nn.functional.adaptive_avg_pool1d(mel_FM.T, MOST_FRAMES).T
    floor = mel_FM.quantile(0.05) if mel_FM.numel() < 10_000_000 else mel_FM.min()
    return matrix((mel_FM - floor).clamp(min=0).T.flip(0))
