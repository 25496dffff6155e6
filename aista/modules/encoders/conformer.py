"""Conformer encoder over log-mel features, trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aista.modules.encoders.base import SpeechEncoder
from aista.native import preload_libsndfile
from aista.registry import register
from aista.schema import option

__all__ = ["ConformerConfig", "check_block", "conformer"]


@dataclass(frozen=True, kw_only=True)
class ConformerConfig:
    """Options of the encoder ``conformer``."""

    model_dim: int = option(256, "Width of the states.", minimum=2)
    num_layers: int = option(6, "Conformer blocks.", minimum=1)
    num_heads: int = option(4, "Attention heads; must divide model_dim.", minimum=1)
    ffn_dim: int = option(1024, "Inner width of the two feed-forward networks of a block.", minimum=1)
    subsampling: int = option(4, "Feature frames per encoder frame.", choices=(1, 2, 4, 8))
    subsampling_kernel_size: int = option(3, "Kernel of the subsampling convolutions.", minimum=2)
    kernel_size: int = option(15, "Kernel of the depthwise convolutions; odd.", minimum=1)
    positions: Literal["relative", "rotary", "sinusoidal"] = option(
        "relative", "Position encoding: Transformer-XL's relative one, rotary, or sinusoids added to the input."
    )
    dropout: float = option(0.1, "Dropout probability in the blocks and after the front-end.", minimum=0, maximum=0.9)
    max_frames: int = option(6000, "Longest utterance in feature frames.", minimum=1)

    def __post_init__(self) -> None:
        check_block(self.model_dim, self.num_heads, self.kernel_size)


def check_block(model_dim: int, num_heads: int, kernel_size: int) -> None:
    """Raise ValueError where no conformer block has these sizes."""
    if model_dim % (2 * num_heads):
        raise ValueError(f"model_dim must be a multiple of 2 * num_heads, got {model_dim} with {num_heads} heads")
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, got {kernel_size}")


@register("encoder", "conformer", config=ConformerConfig)
def conformer(config: ConformerConfig, *, feature_dim: int) -> SpeechEncoder:
    """Convolutional subsampling and conformer blocks (Gulati et al. 2020), built from fairseq2's modules.

    F feature frames become ``ceil(F / subsampling)`` states. The depthwise convolutions are followed
    by layer norm in place of batch norm, so that a row does not depend on its batch and DDP works on
    CPU. Choose it to train a speech encoder from scratch, with CTC first (task ``ctc_asr``).

    Raises:
        ValueError: the configured features are raw waveforms.
    """
    if feature_dim < 1:
        raise ValueError(
            "conformer reads features [B, F, M], but the configured features are raw waveforms (feature_dim 0); "
            "configure log-mel features, or choose an encoder of waveforms such as wav2vec2"
        )
    preload_libsndfile()
    from aista.modules.encoders._conformer import ConformerEncoder

    return ConformerEncoder(config, feature_dim)
