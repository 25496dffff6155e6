"""w2v-BERT encoder over stacked filterbanks, from scratch or from a fairseq2 or fairseq checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from fairseq2.models.transformer import (
    SDPA,
    AttentionBiasCache,
    IdentityBias,
    MultiheadAttention,
    RelativePositionalEncoding,
    RelativePositionSDPA,
    ShawRelativePositionSDPA,
    StandardMultiheadAttention,
)
from fairseq2.models.wav2vec2 import Wav2Vec2Frontend
from fairseq2.nn import BatchLayout
from torch import Tensor, nn

from aista.modules.conformer_stack import check_block, conformer_stack
from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.fairseq_checkpoint import Renaming, load_checkpoint
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice, LayerMix, layer_states
from aista.modules.placement import placement
from aista.registry import register
from aista.schema import Options, option

__all__ = ["W2VBertConfig", "W2VBertEncoder"]

_SEAMLESS = ExpectedInput("seamless_fbank", 16_000, "seamless_fbank")
_SEAMLESS_DIM = 160
_DESCRIBING = (
    f"data.feature ({_SEAMLESS.remedy} for {_SEAMLESS_DIM} channels), model_dim, num_layers, ffn_dim, kernel_size, "
    "positions, conv_norm and the rest"
)
_BLOCK = r"encoder\.layers\.([0-9]+)\."
_FAIRSEQ: Renaming = {
    r"layer_norm\.": "frontend.post_extract_layer_norm.",
    r"post_extract_proj\.": "frontend.model_dim_proj.",
    rf"{_BLOCK}self_attn\.(?:out_proj|linear_out)\.": r"stack.layers.\1.self_attn.output_proj.",
    rf"{_BLOCK}self_attn\.linear_(q|k|v)\.": r"stack.layers.\1.self_attn.\2_proj.",
    rf"{_BLOCK}self_attn\.linear_pos\.": r"stack.layers.\1.self_attn.sdpa.r_proj.",
    rf"{_BLOCK}self_attn\.pos_bias_(u|v)": r"stack.layers.\1.self_attn.sdpa.\2_bias",
    rf"{_BLOCK}self_attn\.rel_k_embedding\.": r"stack.layers.\1.self_attn.sdpa.rel_k_embed.",
    rf"{_BLOCK}conv_module\.layer_norm\.": r"stack.layers.\1.conv_layer_norm.",
    rf"{_BLOCK}conv_module\.layer_norm2\.": r"stack.layers.\1.conv.layer_norm.",
    rf"{_BLOCK}conv_module\.": r"stack.layers.\1.conv.",
    rf"{_BLOCK}ffn(1|2)\.layer_norm\.": r"stack.layers.\1.ffn\2_layer_norm.",
    rf"{_BLOCK}ffn(1|2)\.w_1\.": r"stack.layers.\1.ffn\2.inner_proj.",
    rf"{_BLOCK}ffn(1|2)\.w_2\.": r"stack.layers.\1.ffn\2.output_proj.",
    rf"{_BLOCK}final_layer_norm\.": r"stack.layers.\1.layer_norm.",
    r"encoder\.layer_norm\.": "unused.",  # fairseq's post-norm conformer holds it and never applies it
    r"encoder\.": "stack.",
}


@dataclass(frozen=True, kw_only=True)
class W2VBertConfig(Options):
    """Options of the encoder ``w2v_bert``."""

    model_dim: int = option(1024, "Width of the states.", minimum=2, maximum=100_000)
    num_layers: int = option(24, "Conformer blocks.", minimum=1, maximum=500)
    num_heads: int = option(16, "Attention heads; must divide model_dim.", minimum=1, maximum=1_000)
    ffn_dim: int = option(4096, "Inner width of the two feed-forward networks of a block.", minimum=1, maximum=100_000)
    kernel_size: int = option(31, "Kernel of the depthwise convolutions; odd.", minimum=1, maximum=1_000)
    positions: Literal["shaw", "relative"] = option(
        "shaw", "Relative positions: embeddings of clipped distances (w2v-BERT 2.0), or Transformer-XL's (the others)."
    )
    max_left: int = option(
        64, "Maximum distance to the left distinguished by positions: shaw.", minimum=0, maximum=100_000
    )
    max_right: int = option(
        8, "Maximum distance to the right distinguished by positions: shaw.", minimum=0, maximum=100_000
    )
    causal_conv: bool = option(True, "Causal depthwise convolutions (w2v-BERT 2.0); else centred ones.")
    conv_norm: Literal["layer", "batch"] = option(
        "layer",
        "Norm after the depthwise convolutions: layer norm (w2v-BERT 2.0), or batch norm with the "
        "checkpoint's statistics.",
    )
    layers: LayerChoice = option("last", LAYERS_HELP)
    checkpoint: Path | None = option(
        None, "Checkpoint of fairseq2 or fairseq (.pt, or .safetensors with its names); only tensors are read."
    )
    dropout: float = option(0.0, "Dropout probability before and in the blocks.", minimum=0, maximum=0.9)
    max_frames: int = option(
        3000, "Longest utterance in feature frames (60 s of seamless_fbank).", minimum=1, maximum=1_000_000
    )

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder without its checkpoint, for weights that are loaded later."""
        return W2VBertEncoder(replace(self, checkpoint=None), feature_dim=feature_dim)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_block(self.model_dim, self.num_heads, self.kernel_size)


@register("encoder", "w2v_bert", config=W2VBertConfig)
class W2VBertEncoder(SpeechEncoder):
    """w2v-BERT: conformer blocks over stacked filterbanks (Chung et al. 2021, arXiv 2108.06209), by fairseq2's modules.

    F frames of ``seamless_fbank`` become F states, 50 a second. The defaults are w2v-BERT 2.0 of 600 million
    parameters (Seamless Communication 2023, arXiv 2312.05187), whose checkpoint is ``conformer_shaw.pt``. The first
    w2v-BERT, and the one of SeamlessM4T v1, are ``positions: relative, causal_conv: false, conv_norm: batch``. That
    batch norm always takes the statistics of the checkpoint, so that a row never depends on its batch. Choose it
    for checkpoints of fairseq2 and fairseq, and to train this architecture yourself; ``hf_speech`` for the one of
    Hugging Face.

    Raises:
        ValueError: the configured input is waveforms, or the checkpoint does not fit.
    """

    max_length_option = "max_frames"

    def __init__(self, config: W2VBertConfig, *, feature_dim: int) -> None:
        if feature_dim < 1:
            raise ValueError(
                "w2v_bert reads features [B, F, M], but the configured features are raw waveforms (feature_dim 0); "
                "set data.feature: seamless_fbank, or choose an encoder of waveforms such as wav2vec2"
            )
        super().__init__()
        self.output_dim = config.model_dim
        self.length_range = (1, config.max_frames)
        self.mix = LayerMix(config.layers, config.num_layers)
        self.frontend = Wav2Vec2Frontend(config.model_dim, feature_dim, None, None, dropout_p=config.dropout)
        # One table of relative positions serves all blocks.
        relative = (
            RelativePositionalEncoding(config.model_dim, config.max_frames) if config.positions == "relative" else None
        )
        self.stack = conformer_stack(
            partial(_create_attention, config, relative),
            num_layers=config.num_layers,
            model_dim=config.model_dim,
            ffn_dim=config.ffn_dim,
            kernel_size=config.kernel_size,
            dropout=config.dropout,
            causal_conv=config.causal_conv,
            conv_norm=config.conv_norm,
        )
        if config.checkpoint is not None:
            load_checkpoint(self, config.checkpoint, fairseq=_FAIRSEQ, options=_DESCRIBING)
            self.expected_input = _SEAMLESS if feature_dim == _SEAMLESS_DIM else None
        self.stack.layers = self.stack.layers[: self.mix.depth]

    @property
    def layers(self) -> nn.ModuleList:
        return self.stack.layers

    def train(self, mode: bool = True) -> W2VBertEncoder:
        """Set the mode; batch norm keeps its statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode features ``[B, F, M]``."""
        features_BFM = audio.to(next(self.frontend.parameters()).dtype)
        layout = BatchLayout.of(features_BFM, lengths.tolist())
        h_BFE, _ = self.frontend(features_BFM, layout)
        cache = AttentionBiasCache()
        return self.mix(layer_states(h_BFE, self.layers, lambda block, h: block(h, layout, cache))), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """The lengths unchanged: each frame (20 ms with ``seamless_fbank``) gives a state."""
        return lengths


def _create_attention(config: W2VBertConfig, relative: RelativePositionalEncoding | None) -> MultiheadAttention:
    dim, heads, bias = config.model_dim, config.num_heads, IdentityBias()
    sdpa: SDPA
    if relative is None:
        sdpa = ShawRelativePositionSDPA(dim, heads, bias, config.max_left, max_rhs_rel_pos=config.max_right)
    else:
        sdpa = RelativePositionSDPA(dim, heads, relative, bias)
    return StandardMultiheadAttention(dim, heads, sdpa, **placement())
