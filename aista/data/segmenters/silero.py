"""The voice-activity detector Silero VAD, 16 kHz: its network in PyTorch, with the weights of the package silero-vad.

The package runs it once per 32 ms, as TorchScript or ONNX. Here convolutions take all frames of a block at once and
one LSTM call runs over them: the same probabilities some ten times as fast on a CPU. Only the weights are read from the
package's TorchScript archive (its safetensors hold those of an older version). The package is not imported: that would
set the number of threads of the whole process.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from aista.errors import RunError
from aista.extras import needs

__all__ = ["FRAME", "SAMPLE_RATE", "speech_probabilities"]

SAMPLE_RATE = 16_000
FRAME = 512
"""Samples per probability: 32 ms."""

_CONTEXT = 64  # samples before a frame that the network sees with it
_CHANNELS = 129  # of its spectrum


def speech_probabilities(blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the probability of speech in each frame of a waveform, block by block.

    Args:
        blocks: Mono waveform at 16 kHz in blocks ``[W]`` of any lengths. The last frame is filled up with zeros.

    Yields:
        ``[N]`` probabilities, N frames being complete. Frames of equal samples get equal values up to rounding, however
        the waveform is divided.

    Raises:
        RunError: the package silero-vad is not installed, or is not the one that this network belongs to.
    """
    network = _network()
    state: tuple[Tensor, Tensor] | None = None
    waiting_W = torch.zeros(_CONTEXT)
    for block_W in blocks:
        waiting_W = torch.cat([waiting_W, block_W])
        count = (len(waiting_W) - _CONTEXT) // FRAME
        if count:
            p_N, state = network(waiting_W[: _CONTEXT + count * FRAME], state)
            waiting_W = waiting_W[count * FRAME :]
            yield p_N
    rest = len(waiting_W) - _CONTEXT
    if rest:
        yield network(functional.pad(waiting_W, (0, FRAME - rest)), state)[0]


class _Network(nn.Module):
    """Spectrum by convolution, four convolutions, an LSTM over the frames; parameters in the order of the package's."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = nn.Conv1d(1, 2 * _CHANNELS, 256, stride=128, bias=False)
        self.convs = nn.ModuleList(
            [
                nn.Conv1d(_CHANNELS, 128, 3, padding=1),
                nn.Conv1d(128, 64, 3, stride=2, padding=1),
                nn.Conv1d(64, 64, 3, stride=2, padding=1),
                nn.Conv1d(64, 128, 3, padding=1),
            ]
        )
        self.lstm = nn.LSTM(128, 128)
        self.output = nn.Conv1d(128, 1, 1)

    def forward(self, wave_W: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        frames_NW = wave_W.unfold(0, _CONTEXT + FRAME, FRAME)
        parts_NCF = self.stft(functional.pad(frames_NW, (0, _CONTEXT), mode="reflect")[:, None])
        h_NCF = (parts_NCF[:, :_CHANNELS].square() + parts_NCF[:, _CHANNELS:].square()).sqrt()
        for conv in self.convs:
            h_NCF = conv(h_NCF).relu()
        h_ND, state = self.lstm(h_NCF[..., 0], state)
        return self.output(h_ND.relu()[..., None]).sigmoid().flatten(), state


@functools.cache
def _network() -> _Network:
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise RunError(f"segmenter vad {needs('silero_vad')}")
    file = Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"
    network = _Network().requires_grad_(False).eval()
    try:
        archive = torch.jit.load(file, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
        weights = [weight for name, weight in archive.items() if name.startswith("_model.")]  # the others are for 8 kHz
        network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    except (OSError, RuntimeError, ValueError) as error:
        raise RunError(
            f"{file}: must hold the weights of Silero VAD 6 for 16 kHz ({str(error).splitlines()[-1].strip()}); "
            "pip install --force-reinstall 'silero-vad~=6.2.3'"
        ) from error
    return network
