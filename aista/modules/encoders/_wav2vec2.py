"""The wav2vec 2.0 encoder itself; imports fairseq2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairseq2.models.transformer import (
    AttentionBiasCache,
    FeedForwardNetwork,
    IdentityBias,
    MultiheadAttention,
    RelativePositionalEncoding,
    StandardFeedForwardNetwork,
    StandardMultiheadAttention,
    TransformerNormOrder,
    create_default_sdpa,
)
from fairseq2.models.wav2vec2 import Wav2Vec2EncoderConfig, Wav2Vec2EncoderFactory
from fairseq2.nn import BatchLayout, init_bert_projection
from fairseq2.nn.utils.grad import scale_grad
from fairseq2.runtime.lazy import Lazy
from torch import Tensor, nn

from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.conv_frontend import conv_lengths, convolve_waveform, receptive_field
from aista.modules.encoders.fairseq_checkpoint import Renaming, load_checkpoint
from aista.modules.encoders.layer_mix import LayerMix
from aista.modules.encoders.wav2vec2 import Wav2Vec2Config
from aista.modules.placement import placement

__all__ = ["Wav2Vec2Encoder"]

_DESCRIBING = "model_dim, num_layers, ffn_dim, conv_norm, conv_bias, norm_order and the rest"


class Wav2Vec2Encoder(SpeechEncoder):
    """See ``aista.modules.encoders.wav2vec2``."""

    max_length_option = "max_samples"

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.output_dim = config.model_dim
        self.convolutions = tuple(zip(config.conv_kernels, config.conv_strides, strict=True))
        self.length_range = (receptive_field(self.convolutions), config.max_samples)
        self.mix = LayerMix(config.layers, config.num_layers)
        factory = _Factory(_fairseq2_config(config))
        self.frontend = factory.create_encoder_frontend()
        self.stack: Any = factory.create_encoder()
        if config.checkpoint is not None:
            load_checkpoint(self, config.checkpoint, fairseq=_fairseq_names(config), options=_DESCRIBING)
        self.stack.layers = self.stack.layers[: self.mix.depth]
        if not self.mix.is_complete:
            self.stack.register_module("layer_norm", None)

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers."""
        blocks: nn.ModuleList = self.stack.layers
        return blocks

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode waveforms ``[B, W]``; see ``SpeechEncoder``."""
        wave_BW = audio.to(next(self.frontend.parameters()).dtype)
        extractor: Any = self.frontend.feature_extractor
        frames_BSC = convolve_waveform(extractor.layers, wave_BW, lengths)
        if extractor.training and extractor.grad_scale != 1.0:
            frames_BSC = scale_grad(frames_BSC, extractor.grad_scale)
        lengths = self.output_lengths(lengths)
        layout = BatchLayout.of(frames_BSC, lengths.tolist())
        h_BSE, _ = self.frontend.process_features(self.frontend.post_extract_layer_norm(frames_BSC), layout)
        return self.mix(self._states(h_BSE, layout)), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths after the convolutions over the waveform."""
        return conv_lengths(lengths, self.convolutions)

    def _states(self, h_BSE: Tensor, layout: BatchLayout) -> Iterator[Tensor]:
        """States of layers 0..depth, one by one."""
        yield h_BSE
        cache = AttentionBiasCache()
        for number, layer in enumerate(self.layers, 1):
            h_BSE = layer(h_BSE, layout, cache)
            norm = self.stack.layer_norm if number == len(self.layers) else None
            yield h_BSE if norm is None else norm(h_BSE)


class _Factory(Wav2Vec2EncoderFactory):
    """fairseq2's factory, with gangs given to the projections."""

    def create_self_attention(self, lazy_rel_pos_encoding: Lazy[RelativePositionalEncoding]) -> MultiheadAttention:
        config = self._config
        sdpa = create_default_sdpa(IdentityBias(), dropout_p=config.attn_dropout_p)
        return StandardMultiheadAttention(
            config.model_dim,
            config.num_encoder_attn_heads,
            sdpa,
            qkv_proj_init_fn=init_bert_projection,
            output_proj_init_fn=init_bert_projection,
            **placement(),
        )

    def create_ffn(self, use_swish: bool = False) -> FeedForwardNetwork:
        config = self._config
        return StandardFeedForwardNetwork(
            config.model_dim,
            config.ffn_inner_dim,
            bias=True,
            inner_activation=nn.GELU(),
            proj_init_fn=init_bert_projection,
            **placement(),
        )


def _fairseq2_config(config: Wav2Vec2Config) -> Wav2Vec2EncoderConfig:
    return Wav2Vec2EncoderConfig(
        model_dim=config.model_dim,
        feature_dim=config.conv_dim,
        feature_extractor_layer_descs=[
            (config.conv_dim, kernel, stride)
            for kernel, stride in zip(config.conv_kernels, config.conv_strides, strict=True)
        ],
        feature_extractor_bias=config.conv_bias,
        feature_extractor_layer_norm_convs=config.conv_norm == "layer",
        feature_grad_scale=config.conv_grad_scale,
        layer_norm_features=config.norm_order == "post",
        pos_conv_kernel_size=config.position_kernel,
        num_pos_conv_groups=config.position_groups,
        num_encoder_layers=config.num_layers,
        num_encoder_attn_heads=config.num_heads,
        ffn_inner_dim=config.ffn_dim,
        dropout_p=config.dropout,
        attn_dropout_p=config.dropout,
        layer_drop_p=0.0,
        norm_order=TransformerNormOrder.PRE if config.norm_order == "pre" else TransformerNormOrder.POST,
    )


def _fairseq_names(config: Wav2Vec2Config) -> Renaming:
    number = "([0-9]+)"
    # fairseq keeps the norm of post-norm models, which stands in front of the layers, in its encoder.
    norm = {r"encoder\.layer_norm\.": "frontend.layer_norm."} if config.norm_order == "post" else {}
    return {
        rf"feature_extractor\.conv_layers\.{number}\.0\.": r"frontend.feature_extractor.layers.\1.conv.",
        rf"feature_extractor\.conv_layers\.{number}\.2\.1\.": r"frontend.feature_extractor.layers.\1.layer_norm.",
        rf"feature_extractor\.conv_layers\.{number}\.2\.": r"frontend.feature_extractor.layers.\1.group_norm.",
        r"layer_norm\.": "frontend.post_extract_layer_norm.",
        r"post_extract_proj\.": "frontend.model_dim_proj.",
        r"encoder\.pos_conv\.0\.": "frontend.pos_encoder.conv.",
        rf"encoder\.layers\.{number}\.self_attn\.out_proj\.": r"stack.layers.\1.self_attn.output_proj.",
        rf"encoder\.layers\.{number}\.fc1\.": r"stack.layers.\1.ffn.inner_proj.",
        rf"encoder\.layers\.{number}\.fc2\.": r"stack.layers.\1.ffn.output_proj.",
        rf"encoder\.layers\.{number}\.final_layer_norm\.": r"stack.layers.\1.ffn_layer_norm.",
        **norm,
        r"encoder\.": "stack.",
    }
