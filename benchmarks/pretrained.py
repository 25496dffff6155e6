"""Speech translation with a Whisper encoder and a causal LM: aista's task and model, and rows to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from aista.data.features.whisper_log_mel import WhisperLogMel, WhisperLogMelConfig
from aista.modules.encoders.whisper import WhisperEncoder
from aista.modules.lsm import LargeSpeechTextModel
from aista.schema import structure
from aista.selection.base import SelectedLayers
from aista.tasks.speech_translation import SpeechTranslationConfig, SpeechTranslationTask
from aista.testing.dummies import DummyTokenizer
from aista.types import SpeechBatch
from benchmarks.shapes import Folders

__all__ = ["LORA", "PROJECTIONS", "WINDOW", "Aista", "Rows", "make_task"]

PROMPT = "translate {speech} into french:"
LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32.0, "lora_dropout": 0.05}
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WINDOW = 3000
"""Number of 10 ms frames that Hugging Face's Whisper requires: 30 s."""


class Tokens(DummyTokenizer):
    """Letters, and as many ids as the language model has."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size


@dataclass(frozen=True)
class Rows:
    """Utterances of 2 to 8 s with random features: 3 transcript and 4 target tokens a second, give or take."""

    features: tuple[Tensor, ...]
    sources: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]

    @classmethod
    def draw(cls, number: int, *, vocab_size: int, num_mels: int = 80) -> Rows:
        """The same rows in each call."""
        generator = torch.Generator().manual_seed(1)
        frames = torch.randint(200, 801, (number,), generator=generator)

        def texts(per_second: int) -> tuple[Tensor, ...]:
            shares = 0.75 + 0.5 * torch.rand(number, generator=generator)
            sizes = (frames / 100 * per_second * shares).long().tolist()
            return tuple(torch.randint(64, vocab_size, (size,), generator=generator) for size in sizes)

        features = tuple(torch.randn(size, num_mels, generator=generator) for size in frames.tolist())
        return cls(features, texts(3), texts(4))

    def batch(self, numbers: Sequence[int]) -> SpeechBatch:
        """Rows as aista takes them."""

        def pad(items: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            chosen = [items[number] for number in numbers]
            return pad_sequence(chosen, batch_first=True), torch.tensor([len(item) for item in chosen])

        return SpeechBatch(tuple(map(str, numbers)), *pad(self.features), *pad(self.sources), *pad(self.targets))


def make_task(folders: Folders, dtype: torch.dtype = torch.float32) -> SpeechTranslationTask:
    """Frozen encoder, trained conv adapter, LoRA on all projections of the blocks.

    Args:
        folders: Folders of the models; without weights there, the models are built without them.
        dtype: Dtype of the language model's weights.
    """
    vocab_size = transformers.AutoConfig.from_pretrained(folders.llm).vocab_size
    num_mels = transformers.AutoConfig.from_pretrained(folders.whisper).num_mel_bins
    options = {
        "encoder": {"name": "whisper", "config": {"path": str(folders.whisper)}, "tuning": "frozen"},
        "adapter": {"name": "conv", "config": {"stride": 4}},
        "llm": {
            "name": "hf_causal_lm",
            "config": {"path": str(folders.llm), "dtype": str(dtype).removeprefix("torch.")},
            "tuning": {"name": "lora", "config": LORA},
        },
        "prompt": PROMPT,
        "alignment": [{"name": "ot", "weight": 0.1}],
    }
    task = SpeechTranslationTask(
        structure(SpeechTranslationConfig, options),
        tokenizer=Tokens(vocab_size),
        feature=WhisperLogMel(WhisperLogMelConfig(num_mels=num_mels)),
    )
    task.pretrained = "load" if folders.have_weights else "skip"
    return task


class Aista:
    """The task of :func:`make_task` and its model, with the folders' weights or random ones."""

    def __init__(self, folders: Folders, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        self.task = make_task(folders, dtype)
        with torch.device(device):
            self.model: LargeSpeechTextModel = self.task.build_model().to(device)
        self.adapter_config = self.task.config.adapter.config
        self.adapter_widths = {"input_dim": self.model.encoder.output_dim, "output_dim": self.model.llm.model_dim}
        self.task.select_trainable(self.model)
        if not folders.have_weights:
            _fill_randomly(self.model.encoder)
            _fill_randomly(self.model.llm)
        vocab_size = self.task.tokenizer.vocab_size
        self.model.match_scales(vocab_size)
        with torch.no_grad():
            for name, parameter in self.model.llm.named_parameters():
                if ".lora_B." in name:  # it starts at zero, which would hide a wrong update
                    parameter.normal_(std=0.02)

    def align(self, layers: tuple[int, ...]) -> None:
        """Align at these layers from now on; none for cross-entropy only."""
        self.task.selected = SelectedLayers(layers, (1 / len(layers),) * len(layers), "") if layers else None


@torch.no_grad()
def _fill_randomly(part: nn.Module) -> None:
    """Matrices and kernels that keep the size of what they multiply, norms that scale by 1, biases 0."""
    for name, parameter in part.named_parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=parameter[0].numel() ** -0.5)
        else:
            parameter.fill_(float(name.endswith("weight")))
    if isinstance(part, WhisperEncoder):
        part.positions.normal_(std=0.02)
