"""w2v-BERT encoder over stacked filterbanks, from scratch or from a fairseq2 or fairseq checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.conformer import check_block
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice
from aista.native import preload_libsndfile
from aista.registry import register
from aista.schema import option

__all__ = ["W2VBertConfig", "w2v_bert"]


@dataclass(frozen=True, kw_only=True)
class W2VBertConfig:
    """Options of the encoder ``w2v_bert``."""

    model_dim: int = option(1024, "Width of the states.", minimum=2)
    num_layers: int = option(24, "Conformer blocks.", minimum=1)
    num_heads: int = option(16, "Attention heads; must divide model_dim.", minimum=1)
    ffn_dim: int = option(4096, "Inner width of the two feed-forward networks of a block.", minimum=1)
    kernel_size: int = option(31, "Kernel of the depthwise convolutions; odd.", minimum=1)
    positions: Literal["shaw", "relative"] = option(
        "shaw", "Relative positions: embeddings of clipped distances (w2v-BERT 2.0), or Transformer-XL's (the others)."
    )
    max_left: int = option(64, "Distance to the left beyond which positions: shaw makes no difference.", minimum=0)
    max_right: int = option(8, "The same to the right.", minimum=0)
    causal_conv: bool = option(True, "Depthwise convolutions that see no later states (w2v-BERT 2.0), or both sides.")
    conv_norm: Literal["layer", "batch"] = option(
        "layer", "Norm behind them: layer norm (w2v-BERT 2.0), or batch norm with the statistics of the checkpoint."
    )
    layers: LayerChoice = option("last", LAYERS_HELP)
    checkpoint: Path | None = option(
        None, "File of fairseq2 or fairseq (.pt) or with its names (.safetensors) to start from; only tensors are read."
    )
    dropout: float = option(0.0, "Dropout probability in the blocks and in front of them.", minimum=0, maximum=0.9)
    max_frames: int = option(3000, "Longest utterance in feature frames (60 s of seamless_fbank).", minimum=1)

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder without its checkpoint, for weights that are loaded later."""
        return w2v_bert(replace(self, checkpoint=None), feature_dim=feature_dim)

    def __post_init__(self) -> None:
        check_block(self.model_dim, self.num_heads, self.kernel_size)


@register("encoder", "w2v_bert", config=W2VBertConfig)
def w2v_bert(config: W2VBertConfig, *, feature_dim: int) -> SpeechEncoder:
    """Conformer blocks over stacked filterbanks, w2v-BERT (Chung et al. 2021, arXiv 2108.06209), of fairseq2's modules.

    F frames of ``seamless_fbank`` become F states, 50 a second. The defaults are w2v-BERT 2.0 of 600 million
    parameters (Seamless Communication 2023, arXiv 2312.05187), whose checkpoint is ``conformer_shaw.pt``. The first
    w2v-BERT, and the one of SeamlessM4T v1, are ``positions: relative, causal_conv: false, conv_norm: batch``. That
    batch norm always takes the statistics of the checkpoint, so that a row never depends on its batch. Choose it
    for checkpoints of fairseq2 and fairseq, and to train this architecture yourself; ``hf_speech`` for the one of
    Hugging Face.

    Raises:
        ValueError: the configured input is waveforms, or the checkpoint does not fit.
    """
    if feature_dim < 1:
        raise ValueError(
            "w2v_bert reads features [B, F, M], but the configured features are raw waveforms (feature_dim 0); "
            "set data.feature: seamless_fbank, or choose an encoder of waveforms such as wav2vec2"
        )
    preload_libsndfile()
    from aista.modules.encoders._w2v_bert import W2VBertEncoder

    return W2VBertEncoder(config, feature_dim)
