from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import settings

from aista.data.manifest import Row
from aista.data.tokenizers.base import TextTokenizer

settings.register_profile("no-deadline", deadline=None)  # a busy machine is no fault
settings.load_profile("no-deadline")


class CharacterTokenizer(TextTokenizer):
    """Letters are their own ids: small, exact, picklable."""

    vocab_size = 256
    bos_id = 1
    eos_id = 2
    pad_id = 3

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(id) for id in ids if id > 3)

    def piece(self, id: int) -> str:
        return chr(id)


@pytest.fixture
def tokenizer() -> TextTokenizer:
    return CharacterTokenizer()


WriteAudio = Callable[..., Path]


@pytest.fixture
def write_audio(tmp_path: Path) -> WriteAudio:
    def write(name: str, seconds: float = 0.5, rate: int = 16_000, channels: int = 1, seed: int = 0) -> Path:
        generator = np.random.default_rng(seed)
        samples = 0.1 * generator.standard_normal((round(seconds * rate), channels))
        path = tmp_path / name
        soundfile.write(path, samples, rate)
        return path

    return write


@pytest.fixture
def corpus(write_audio: WriteAudio) -> tuple[Row, ...]:
    """Twelve utterances of 0.2 to 0.75 s; every third has no transcript."""
    rows = []
    for index in range(12):
        seconds = 0.2 + 0.05 * index
        write_audio(f"u{index}.wav", seconds, seed=index)
        source = "" if index % 3 == 2 else "a" * (index + 1)
        rows.append(Row(f"u{index}", f"u{index}.wav", round(seconds * 16_000), "b" * (index + 2), src_text=source))
    return tuple(rows)
