import subprocess
import sys

import pytest
import torch

from aista.data.segmenters import silero
from aista.data.segmenters.silero import FRAME, speech_probabilities
from aista.errors import RunError
from tests.data.segmenters.conftest import SPOKEN


@torch.inference_mode()
def probabilities(wave, size=2**18):
    return torch.cat(list(speech_probabilities(wave.split(size))))


def test_it_says_what_the_package_says(talk):
    """In a process of its own: importing the package sets the number of threads."""
    program = (
        "import sys, torch, silero_vad; wave = torch.load(sys.argv[1], weights_only=True); "
        "torch.save(silero_vad.load_silero_vad().audio_forward(wave[None], 16000)[0].clone(), sys.argv[2])"
    )
    files = [str(talk.folder / "wave.pt"), str(talk.folder / "probabilities.pt")]
    torch.save(talk.wave, files[0])
    subprocess.run([sys.executable, "-c", program, *files], check=True)
    torch.testing.assert_close(probabilities(talk.wave), torch.load(files[1], weights_only=True), atol=1e-5, rtol=0)


def test_blocks_of_any_size_give_the_same(talk):
    whole = probabilities(talk.wave)
    assert len(whole) == -(-len(talk.wave) // FRAME)
    for size in (100, 5_000):
        torch.testing.assert_close(
            probabilities(talk.wave[: 117 * FRAME], size), whole[:117], atol=1e-5, rtol=0, msg=str(size)
        )


def test_speech_is_likely_where_it_is(talk):
    found = probabilities(talk.wave)
    for start, end in SPOKEN:
        assert found[int((start + 0.2) * 31.25) : int((end - 0.2) * 31.25)].mean() > 0.8
    assert found[: int((SPOKEN[0][0] - 0.4) * 31.25)].max() < 0.3


def test_another_package_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "silero_vad" / "data").mkdir(parents=True)
    (tmp_path / "silero_vad" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        RunError, match=r"silero_vad\.jit: must hold the weights of Silero VAD 6 .*; pip install --force"
    ):
        silero._network.__wrapped__()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"vad needs silero-vad, which is not installed; pip install 'aista\[train\]'"):
        silero._network.__wrapped__()
