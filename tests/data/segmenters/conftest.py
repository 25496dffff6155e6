"""A short talk: espeak-ng says two sentences, with noise before, between and behind."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from aista.corpora.synthetic.speech import Speaker, draw_delivery

SPOKEN = [(1.5, 4.0), (6.2, 8.2)]
"""At least here it speaks."""
_TEXTS = ("the old doctors never lent some women two blue letters", "a tall king will wait for many poor children")


class Talk(NamedTuple):
    folder: Path
    wave: Tensor


@pytest.fixture(scope="session")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Talk:
    wave = 0.001 * torch.randn(16_000 * 10, generator=torch.Generator().manual_seed(0))
    with Speaker() as speaker:
        for (start, _), text in zip(SPOKEN, _TEXTS, strict=True):
            samples = torch.from_numpy(speaker.speak(text, draw_delivery("talk")).samples.copy()) / 2**15
            place = round((start - 0.2) * 16_000)
            wave[place : place + len(samples)] += samples
    return Talk(tmp_path_factory.mktemp("talk"), wave)
