"""Reads and checks recordings of packages at the manifests' sample rate, and writes them as FLAC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from aista.data.audio_file import EmptyAudioError, UndecodableAudioError
from aista.data.manifest import MANIFEST_SAMPLE_RATE
from aista.files import replacing

__all__ = ["read_recording", "write_recording"]

MIN_SECONDS, MAX_SECONDS = 0.2, 30.0
# -40 dB of full scale. The quietest real recording peaks 14 dB above.
SILENCE = 0.01


def read_recording(path: Path) -> tuple[NDArray[np.int16] | None, str]:
    """A recording at 16 kHz, scaled down if its peak exceeds full scale, or None and its fault."""
    from aista.data.audio import one_thread, read_audio  # brings torch

    try:
        with one_thread():
            wave = read_audio(path.name, path.parent, MANIFEST_SAMPLE_RATE).numpy()
    except UndecodableAudioError:
        return None, "recording is unreadable"
    except EmptyAudioError:
        return None, "recording is empty"
    seconds, peak = len(wave) / MANIFEST_SAMPLE_RATE, float(np.abs(wave).max())
    if seconds < MIN_SECONDS:
        return None, f"recording is shorter than {MIN_SECONDS:g} s"
    if seconds > MAX_SECONDS:
        return None, f"recording is longer than {MAX_SECONDS:g} s"
    if peak < SILENCE:
        return None, "recording is silent"
    return np.rint(wave / max(peak, 1.0) * np.iinfo(np.int16).max).astype(np.int16), ""


def write_recording(path: Path, samples: NDArray[np.int16]) -> None:
    """Write 16 kHz mono FLAC, unless the file exists."""
    if not path.is_file():
        with replacing(path) as temporary:
            soundfile.write(str(temporary), samples, MANIFEST_SAMPLE_RATE, format="FLAC", subtype="PCM_16")
