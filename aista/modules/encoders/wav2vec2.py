"""Wav2vec 2.0 encoder over raw waveforms, trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from aista.modules.encoders.base import SpeechEncoder
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
    conv_grad_scale: float = option(1.0, "Factor on the gradient of those convolutions.", above=0, maximum=1)
    position_kernel: int = option(128, "Kernel of the convolution that encodes positions.", minimum=1)
    position_groups: int = option(16, "Groups of that convolution; must divide model_dim.", minimum=1)
    dropout: float = option(0.1, "Dropout probability of states and attention weights.", minimum=0, maximum=0.9)
    max_samples: int = option(960_000, "Longest waveform in samples (60 s at 16 kHz).", minimum=1)

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
    """Convolutions over the waveform and pre-norm transformer layers (Baevski et al. 2020), from fairseq2.

    With the default convolutions W samples become about W / 320 states (50 a second at 16 kHz). The
    convolutions carry layer norms, as in the large models: the base model's group norm mixes padding
    into every row. Choose it to learn from waveforms; it needs far more data than ``conformer``.

    Raises:
        ValueError: the configured input is features, not raw waveforms.
    """
    if feature_dim != 0:
        raise ValueError(
            f"wav2vec2 reads raw waveforms [B, W], but the configured features have {feature_dim} channels; "
            "configure raw waveforms, or choose an encoder of features such as conformer"
        )
    preload_libsndfile()
    from aista.modules.encoders._wav2vec2 import Wav2Vec2Encoder

    return Wav2Vec2Encoder(config)
