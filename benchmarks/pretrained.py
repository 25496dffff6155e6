"""Whisper tiny and SmolLM2 135M by shape, or real folders: aista's task and plain transformers on the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.modules.lsm import LargeSpeechTextModel
from aista.schema import structure
from aista.selection.base import SelectedLayers
from aista.tasks.speech_translation import SpeechTranslationConfig, SpeechTranslationTask
from aista.testing.dummies import DummyTokenizer
from aista.types import SpeechBatch

__all__ = ["Aista", "Folders", "Rows", "make_folders"]

PROMPT = "translate {speech} into french:"
LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32.0, "lora_dropout": 0.05}
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WINDOW = 3000
"""Frames of 10 ms that Hugging Face's Whisper wants: 30 s."""


@dataclass(frozen=True)
class Folders:
    """Of the speech encoder and of the language model."""

    whisper: Path
    llm: Path


def make_folders(root: Path) -> Folders:
    """Random weights of the real shapes. Whisper's decoder, which nobody reads, is left small."""
    torch.manual_seed(0)
    whisper = transformers.WhisperConfig(
        d_model=384,
        encoder_layers=4,
        encoder_attention_heads=6,
        encoder_ffn_dim=1536,
        num_mel_bins=80,
        vocab_size=64,
        decoder_layers=1,
        decoder_attention_heads=6,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=1,
    )
    llama = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_theta=100_000.0,
        initializer_range=576**-0.5,
        tie_word_embeddings=True,
    )
    transformers.WhisperModel(whisper).save_pretrained(root / "whisper")
    transformers.LlamaForCausalLM(llama).save_pretrained(root / "llm")
    return Folders(root / "whisper", root / "llm")


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
    def draw(cls, number: int, *, vocab_size: int) -> Rows:
        """The same rows in each call."""
        generator = torch.Generator().manual_seed(1)
        frames = torch.randint(200, 801, (number,), generator=generator)

        def texts(per_second: int) -> tuple[Tensor, ...]:
            shares = 0.75 + 0.5 * torch.rand(number, generator=generator)
            sizes = (frames / 100 * per_second * shares).long().tolist()
            return tuple(torch.randint(64, vocab_size, (size,), generator=generator) for size in sizes)

        features = tuple(torch.randn(size, 80, generator=generator) for size in frames.tolist())
        return cls(features, texts(3), texts(4))

    def batch(self, numbers: Sequence[int]) -> SpeechBatch:
        """Rows as aista takes them."""

        def pad(items: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            chosen = [items[number] for number in numbers]
            return pad_sequence(chosen, batch_first=True), torch.tensor([len(item) for item in chosen])

        return SpeechBatch(tuple(map(str, numbers)), *pad(self.features), *pad(self.sources), *pad(self.targets))


class Aista:
    """The task and its model: frozen encoder, trained conv adapter, LoRA on all projections of the blocks."""

    def __init__(self, folders: Folders) -> None:
        torch.manual_seed(0)
        vocab_size = transformers.AutoConfig.from_pretrained(folders.llm).vocab_size
        options = {
            "encoder": {"name": "whisper", "config": {"path": str(folders.whisper)}, "tuning": "frozen"},
            "adapter": {"name": "conv", "config": {"stride": 4}},
            "llm": {
                "name": "hf_causal_lm",
                "config": {"path": str(folders.llm), "dtype": "float32"},
                "tuning": {"name": "lora", "config": LORA},
            },
            "prompt": PROMPT,
            "alignment": [{"name": "ot", "weight": 0.1}],
        }
        config = structure(SpeechTranslationConfig, options)
        self.task = SpeechTranslationTask(
            config, tokenizer=Tokens(vocab_size), feature=LogMel(LogMelConfig(num_mels=80))
        )
        self.model: LargeSpeechTextModel = self.task.build_model()
        self.adapter_config = config.adapter.config
        self.adapter_widths = {"input_dim": self.model.encoder.output_dim, "output_dim": self.model.llm.model_dim}
        self.task.select_trainable(self.model)
        self.model.match_scales(vocab_size)
        with torch.no_grad():
            for name, parameter in self.model.llm.named_parameters():
                if ".lora_B." in name:  # it starts at zero, which would hide a wrong update
                    parameter.normal_(std=0.02)

    def align(self, layers: tuple[int, ...]) -> None:
        """Align at these layers from now on; none for cross-entropy only."""
        self.task.selected = SelectedLayers(layers, (1 / len(layers),) * len(layers), "") if layers else None
