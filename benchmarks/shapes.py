"""Shapes of pretrained models, written as folders with a config and without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

__all__ = ["SHAPES", "Folders", "Shape", "make_folders"]


@dataclass(frozen=True)
class Folders:
    """Folders of the speech encoder and of the language model."""

    whisper: Path
    llm: Path

    @property
    def have_weights(self) -> bool:
        """Whether weights are to be read; else random ones are made."""
        return any(self.llm.glob("*.safetensors"))


@dataclass(frozen=True)
class Shape:
    """A speech encoder and a language model.

    Attributes:
        title: The models with these shapes.
        whisper: Makes the encoder's config.
        llm: Makes the language model's.
    """

    title: str
    whisper: Callable[[], Any]
    llm: Callable[[], Any]


def _whisper(width: int, layers: int, *, mels: int = 80) -> Any:
    """Heads are 64 wide (32 in a narrow one). Whisper's decoder, which nobody reads, is left small."""
    heads = max(2, width // 64)
    return transformers.WhisperConfig(
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        num_mel_bins=mels,
        vocab_size=64,
        decoder_layers=1,
        decoder_attention_heads=heads,
        decoder_ffn_dim=width,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        decoder_start_token_id=1,
    )


def _qwen(vocab_size: int, width: int, ffn: int, layers: int, heads: int, kv_heads: int, *, tied: bool) -> Any:
    return transformers.Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=32768,
        rope_theta=1_000_000.0,
        tie_word_embeddings=tied,
        architectures=["Qwen2ForCausalLM"],
    )


def _smollm2_135m() -> Any:
    return transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_theta=100_000.0,
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
    )


SHAPES = {
    "tiny": Shape(
        "Whisper and Qwen2 of width 64 (to try the benchmark out)",
        lambda: _whisper(64, 2),
        lambda: _qwen(512, 64, 128, 3, 4, 2, tied=True),
    ),
    "smollm": Shape("Whisper tiny and SmolLM2 135M", lambda: _whisper(384, 4), _smollm2_135m),
    "small": Shape(
        "Whisper small and Qwen2.5 0.5B",
        lambda: _whisper(768, 12),
        lambda: _qwen(151_936, 896, 4864, 24, 14, 2, tied=True),
    ),
    "large": Shape(
        "Whisper large v3 and Qwen2.5 7B",
        lambda: _whisper(1280, 32, mels=128),
        lambda: _qwen(152_064, 3584, 18_944, 28, 28, 4, tied=False),
    ),
}


def make_folders(root: Path, shape: Shape) -> Folders:
    """Folders of configs alone."""
    shape.whisper().save_pretrained(root / "whisper")
    shape.llm().save_pretrained(root / "llm")
    return Folders(root / "whisper", root / "llm")
