"""The w2v-BERT encoder itself; imports fairseq2."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fairseq2.models.conformer import ConformerBlock
from fairseq2.models.transformer import (
    SDPA,
    AttentionBiasCache,
    IdentityBias,
    MultiheadAttention,
    RelativePositionalEncoding,
    RelativePositionSDPA,
    ShawRelativePositionSDPA,
    StandardMultiheadAttention,
    StandardTransformerEncoder,
)
from fairseq2.models.wav2vec2 import Wav2Vec2Frontend
from fairseq2.nn import BatchLayout
from torch import Tensor, nn

from aista.modules.encoders._conformer import ConvolutionKind, conformer_block
from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.fairseq_checkpoint import Renaming, load_checkpoint
from aista.modules.encoders.layer_mix import LayerMix
from aista.modules.encoders.w2v_bert import W2VBertConfig
from aista.modules.placement import placement

__all__ = ["W2VBertEncoder"]

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


class W2VBertEncoder(SpeechEncoder):
    """See ``aista.modules.encoders.w2v_bert``."""

    max_length_option = "max_frames"

    def __init__(self, config: W2VBertConfig, feature_dim: int) -> None:
        super().__init__()
        self.output_dim = config.model_dim
        self.length_range = (1, config.max_frames)
        self.mix = LayerMix(config.layers, config.num_layers)
        self.frontend = Wav2Vec2Frontend(config.model_dim, feature_dim, None, None, dropout_p=config.dropout)
        self.stack = StandardTransformerEncoder(_create_blocks(config))
        if config.checkpoint is not None:
            load_checkpoint(self, config.checkpoint, fairseq=_FAIRSEQ, options=_DESCRIBING)
            self.expected_input = _SEAMLESS if feature_dim == _SEAMLESS_DIM else None
        self.stack.layers = self.stack.layers[: self.mix.depth]

    @property
    def layers(self) -> nn.ModuleList:
        """The conformer blocks."""
        return self.stack.layers

    def train(self, mode: bool = True) -> W2VBertEncoder:
        """Batch norm keeps the statistics that it has."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode features ``[B, F, M]``; see ``SpeechEncoder``."""
        features_BFM = audio.to(next(self.frontend.parameters()).dtype)
        layout = BatchLayout.of(features_BFM, lengths.tolist())
        h_BFE, _ = self.frontend(features_BFM, layout)
        return self.mix(self._states(h_BFE, layout)), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """The lengths themselves: a frame, which is 20 ms of ``seamless_fbank``, gives a state."""
        return lengths

    def _states(self, h_BFE: Tensor, layout: BatchLayout) -> Iterator[Tensor]:
        """States of layers 0..depth, one by one."""
        yield h_BFE
        cache = AttentionBiasCache()
        for layer in self.layers:
            h_BFE = layer(h_BFE, layout, cache)
            yield h_BFE


def _create_blocks(config: W2VBertConfig) -> list[ConformerBlock]:
    create_attention = _attention_factory(config)
    return [
        conformer_block(
            create_attention,
            model_dim=config.model_dim,
            ffn_dim=config.ffn_dim,
            kernel_size=config.kernel_size,
            dropout=config.dropout,
            convolution=ConvolutionKind(config.causal_conv, config.conv_norm),
        )
        for _ in range(config.num_layers)
    ]


def _attention_factory(config: W2VBertConfig) -> Callable[[], MultiheadAttention]:
    dim, heads = config.model_dim, config.num_heads
    # One table of relative positions serves all blocks.
    relative = RelativePositionalEncoding(dim, config.max_frames) if config.positions == "relative" else None

    def create_attention() -> MultiheadAttention:
        sdpa: SDPA
        if relative is None:
            sdpa = ShawRelativePositionSDPA(
                dim, heads, IdentityBias(), config.max_left, max_rhs_rel_pos=config.max_right
            )
        else:
            sdpa = RelativePositionSDPA(dim, heads, relative, IdentityBias())
        return StandardMultiheadAttention(dim, heads, sdpa, **placement())

    return create_attention
