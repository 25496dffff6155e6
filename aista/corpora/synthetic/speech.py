"""Synthetic speech: espeak-ng, from the ``espeakng_loader`` wheel, called through ctypes.

espeak-ng keeps state between utterances that no call resets (the same text comes out different the
second time), so each utterance is spoken by a freshly loaded copy of the library: 7 ms, and the same
bytes whatever was spoken before. The library is not thread safe: use one ``Speaker`` per process.
"""

from __future__ import annotations

import _ctypes
import ctypes
import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import espeakng_loader
import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.functional import resample

from aista.data.audio import one_thread
from aista.errors import DataError

__all__ = ["SAMPLE_RATE", "VOICES", "Delivery", "Speaker", "Utterance", "draw_delivery"]

SAMPLE_RATE = 16_000
VOICES = (
    *(f"en-us+{variant}" for variant in ("m1", "m3", "m7", "f1", "f2", "f3", "f4", "Andy", "Annie", "steph")),
    *(f"en-gb+{variant}" for variant in ("m2", "m4", "m7", "f2", "f3", "f5", "linda")),
    *(f"en-gb-x-rp+{variant}" for variant in ("m1", "m3", "f4")),
)
# espeak-ng looks voices up by file, and the British one is called plain "en".
_FILES = {"en-gb": "en"}
_RETRIEVAL, _RATE, _PITCH, _UTF8 = 1, 1, 3, 1
_DONT_EXIT = 0x8000
_SYNCHRONOUS = 2
_END_OF_EVENTS, _WORD = 0, 1


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Delivery:
    """Delivery of one utterance: voice, speed and noise.

    Attributes:
        voice: espeak-ng voice and variant, e.g. ``en-gb+f3``; it is the utterance's speaker id.
        rate: Words per minute.
        pitch: espeak-ng's pitch, 0 to 99.
        gain: Peak amplitude of the speech, 0 to 1.
        snr: Signal-to-noise ratio of the added white noise, dB.
        seed: Seed of the noise.
    """

    voice: str
    rate: int
    pitch: int
    gain: float
    snr: float
    seed: int


class Utterance(NamedTuple):
    """Result of speech synthesis.

    Attributes:
        samples: ``[W]`` 16-bit samples at 16 kHz.
        word_times: Start and end in seconds of each word of the text. A word ends where the next begins; words that
            espeak-ng speaks as one ("did not") share their time.
    """

    samples: NDArray[np.int16]
    word_times: list[tuple[float, float]]


def draw_delivery(key: str, voices: tuple[str, ...] = VOICES) -> Delivery:
    """The delivery for ``key``, e.g. ``"<seed>/<utterance id>"``; depends on nothing else."""
    rng = Random(key)
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    voice = voices[rng.randrange(len(voices))]
    return Delivery(voice, rng.randint(140, 190), rng.randint(35, 65), rng.uniform(0.3, 0.8), rng.uniform(25, 40), seed)


class Speaker:
    """Speaks English text; a context manager that owns a private copy of the library."""

    def __init__(self) -> None:
        data = Path(espeakng_loader.get_data_path())
        library = Path(espeakng_loader.get_library_path())
        if not library.is_file() or not data.is_dir():
            raise DataError(f"espeak-ng is missing ({library}, {data}); reinstall the package espeakng-loader")
        self._data = data
        # A private copy: another user of the wheel's own file in this process would keep it, and its state, loaded.
        self._folder = tempfile.TemporaryDirectory(prefix="aista-espeak-")
        self._library = Path(shutil.copy(library, self._folder.name))

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def speak(self, text: str, delivery: Delivery) -> Utterance:
        """Speak ``text``.

        Returns:
            Samples and word times; the same arguments give the same ones.

        Raises:
            DataError: the voice is unknown, or nothing was spoken.
        """
        samples, rate, starts = self._synthesize(text, delivery)
        if not samples.any():
            raise DataError(f"espeak-ng spoke nothing for {text!r}; give it words")
        wave = _resample(samples, rate)
        wave *= delivery.gain / np.abs(wave).max()
        power = float(np.mean(np.square(wave))) * 10 ** (-delivery.snr / 10)
        wave += np.random.default_rng(delivery.seed).normal(scale=power**0.5, size=wave.shape)
        times = _word_times(text, starts, len(np.trim_zeros(samples, "b")), rate)
        quantized: NDArray[np.int16] = np.clip(np.rint(wave * 32767), -32768, 32767).astype(np.int16)
        return Utterance(quantized, times)

    def _synthesize(self, text: str, delivery: Delivery) -> tuple[NDArray[np.int16], int, dict[int, int]]:
        """Samples, their rate, and the first sample of words by their place in the text."""
        chunks: list[NDArray[np.int16]] = []
        starts: dict[int, int] = {}

        def receive(wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
            index = 0
            while events and events[index].type != _END_OF_EVENTS:
                if events[index].type == _WORD:
                    starts[events[index].text_position - 1] = events[index].sample
                index += 1
            if wave and count > 0:
                chunks.append(np.ctypeslib.as_array(wave, shape=(count,)).copy())
            return 0

        callback = _Callback(receive)
        library = ctypes.CDLL(str(self._library))
        try:
            rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(self._data).encode(), _DONT_EXIT)
            if rate <= 0:
                raise DataError(f"espeak-ng does not start with the data in {self._data}; reinstall espeakng-loader")
            # The clock seeds it otherwise, audible in the voices that use noise (f2, f3, f5).
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            library.espeak_SetSynthCallback(callback)
            self._set_voice(library, delivery.voice)
            library.espeak_SetParameter(_RATE, delivery.rate, 0)
            library.espeak_SetParameter(_PITCH, delivery.pitch, 0)
            data = text.encode() + b"\0"
            library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, _UTF8, None, None)
            library.espeak_Synchronize()
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)
        return np.concatenate(chunks) if chunks else np.zeros(1, np.int16), rate, starts

    def _set_voice(self, library: ctypes.CDLL, voice: str) -> None:
        language, _, variant = voice.partition("+")
        # espeak-ng ignores an unknown variant without a word.
        known = not variant or (self._data / "voices" / "!v" / variant).is_file()
        name = f"{_FILES.get(language, language)}+{variant}" if variant else _FILES.get(language, language)
        if not known or library.espeak_SetVoiceByName(name.encode()) != 0:
            raise DataError(f"espeak-ng has no voice {voice!r}; use a language and variant such as en-us+f3")


def _word_times(text: str, starts: dict[int, int], num_samples: int, rate: int) -> list[tuple[float, float]]:
    places = [word.start() for word in re.finditer(r"\S+", text)]
    begins = [starts[place] for place in places if place in starts]
    spans = list(zip(begins, [*begins[1:], num_samples], strict=True))
    times, number = [], -1
    for place in places:
        number = max(number + (place in starts), 0)
        start, end = spans[number]
        times.append((start / rate, end / rate))
    return times


def _resample(samples: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    with one_thread():
        wave = resample(torch.from_numpy(samples.astype(np.float32)), rate, SAMPLE_RATE)
    return np.asarray(wave.numpy(), np.float64)
