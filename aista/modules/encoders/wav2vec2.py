"""Wav2vec 2.0 encoder over raw waveforms, from scratch or from a fairseq or fairseq2 checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice
from aista.native import preload_libsndfile
from aista.registry import register
from aista.schema import option

__all__ = ["Wav2Vec2Config", "wav2vec2"]


@dataclass(frozen=True, kw_only=True)
class Wav2Vec2Config:
    """Options of the encoder ``wav2vec2``."""

    model_dim: int = option(768, "Width of the states.", minimum=1)
    num_layers: int = option(12, "Transformer layers.", minimum=1)
    num_heads: int = option(12, "Attention heads; must divide model_dim.", minimum=1)
    ffn_dim: int = option(3072, "Inner width of the feed-forward networks.", minimum=1)
    conv_dim: int = option(512, "Channels of the convolutions over the waveform.", minimum=1)
    conv_kernels: tuple[int, ...] = option((10, 3, 3, 3, 3, 2, 2), "Kernels of those convolutions.", minimum=1)
    conv_strides: tuple[int, ...] = option((5, 2, 2, 2, 2, 2, 2), "Strides of those convolutions.", minimum=1)
    conv_norm: Literal["layer", "group"] = option(
        "layer", "Layer norm in all of them (lv60k, XLS-R), or group norm in the first one (base)."
    )
    conv_bias: bool = option(False, "Additive biases in them (lv60k, XLS-R).")
    conv_grad_scale: float = option(1.0, "Factor on the gradient of those convolutions.", above=0, maximum=1)
    position_kernel: int = option(128, "Kernel of the convolution that encodes positions.", minimum=1)
    position_groups: int = option(16, "Groups of that convolution; must divide model_dim.", minimum=1)
    norm_order: Literal["pre", "post"] = option(
        "pre", "Layer norm before attention and feed-forward (lv60k, XLS-R), or behind (base)."
    )
    layers: LayerChoice = option("last", LAYERS_HELP)
    checkpoint: Path | None = option(
        None, "File of fairseq or fairseq2 (.pt) or with its names (.safetensors) to start from; only tensors are read."
    )
    dropout: float = option(0.1, "Dropout probability of states and attention weights.", minimum=0, maximum=0.9)
    max_samples: int = option(960_000, "Longest waveform in samples (60 s at 16 kHz).", minimum=1)

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder without its checkpoint, for weights that are loaded later."""
        return wav2vec2(replace(self, checkpoint=None), feature_dim=feature_dim)

    def __post_init__(self) -> None:
        if not self.conv_kernels or len(self.conv_kernels) != len(self.conv_strides):
            raise ValueError(
                f"conv_kernels and conv_strides must be equally many and at least one, got "
                f"{len(self.conv_kernels)} and {len(self.conv_strides)}"
            )
        for name, divisor in (("num_heads", self.num_heads), ("position_groups", self.position_groups)):
            if self.model_dim % divisor:
                raise ValueError(f"{name} must divide model_dim, got {divisor} and {self.model_dim}")


@register("encoder", "wav2vec2", config=Wav2Vec2Config)
def wav2vec2(config: Wav2Vec2Config, *, feature_dim: int) -> SpeechEncoder:
    """Convolutions over the waveform and transformer layers (Baevski et al. 2020, arXiv 2006.11477), from fairseq2.

    With the default convolutions W samples become about W / 320 states (50 a second at 16 kHz). A group norm
    takes its statistics from each row's own samples, so that padding never matters. The options must describe
    the checkpoint: the base model is ``conv_norm: group, norm_order: post``; the large one of LV-60k, XLSR and
    XLS-R 300M ``model_dim: 1024, num_layers: 24, num_heads: 16, ffn_dim: 4096, conv_bias: true``. Base models were
    trained on plain waveforms, the others on normalised ones. Choose it to pretrain or to learn from waveforms
    from scratch (which needs far more data than ``conformer``) or for checkpoints of fairseq and fairseq2;
    ``hf_speech`` for those of Hugging Face.

    Raises:
        ValueError: the configured input is features, not raw waveforms, or the checkpoint does not fit.
    """
    if feature_dim != 0:
        raise ValueError(
            f"wav2vec2 reads raw waveforms [B, W], but the configured features have {feature_dim} channels; "
            "configure raw waveforms, or choose an encoder of features such as conformer"
        )
    preload_libsndfile()
    from aista.modules.encoders._wav2vec2 import Wav2Vec2Encoder

    return Wav2Vec2Encoder(config)
