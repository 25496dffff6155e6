"""The wav2vec 2.0 encoder itself; imports fairseq2."""

from __future__ import annotations

import torch
from fairseq2.models.transformer import (
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
from fairseq2.runtime.lazy import Lazy
from torch import Tensor, nn

from aista.modules._gangs import placement
from aista.modules.encoders._lengths import check_lengths
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.encoders.wav2vec2 import Wav2Vec2Config
from aista.modules.strided_conv import zero_padding

__all__ = ["Wav2Vec2Encoder"]


class Wav2Vec2Encoder(SpeechEncoder):
    """See ``aista.modules.encoders.wav2vec2``."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.output_dim = config.model_dim
        self.kernels_and_strides = tuple(zip(config.conv_kernels, config.conv_strides, strict=True))
        self.length_range = (_receptive_field(self.kernels_and_strides), config.max_samples)
        factory = _Factory(_fairseq2_config(config))
        self.frontend = factory.create_encoder_frontend()
        self.stack = factory.create_encoder()

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers."""
        return self.stack.layers

    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode waveforms ``[B, W]``; see ``SpeechEncoder.forward``.

        Raises:
            DataError: a row is shorter than the receptive field or longer than ``max_samples``.
        """
        values = check_lengths(
            lengths,
            self.length_range,
            unit="samples",
            remedy="drop the row or, if it is too long, raise max_samples",
        )
        wave_BW = zero_padding(audio, lengths).to(next(self.frontend.parameters()).dtype)
        h_BSE, layout = self.frontend(wave_BW, BatchLayout.of(wave_BW, values))
        return self.stack(h_BSE, layout), self.output_lengths(lengths)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Lengths after the convolutions over the waveform."""
        for kernel, stride in self.kernels_and_strides:
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return lengths


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


def _receptive_field(kernels_and_strides: tuple[tuple[int, int], ...]) -> int:
    """Samples that one state sees: the shortest waveform that gives a state."""
    size = 1
    for kernel, stride in reversed(kernels_and_strides):
        size = (size - 1) * stride + kernel
    return size


def _fairseq2_config(config: Wav2Vec2Config) -> Wav2Vec2EncoderConfig:
    return Wav2Vec2EncoderConfig(
        model_dim=config.model_dim,
        feature_dim=config.conv_dim,
        feature_extractor_layer_descs=[
            (config.conv_dim, kernel, stride)
            for kernel, stride in zip(config.conv_kernels, config.conv_strides, strict=True)
        ],
        feature_extractor_layer_norm_convs=True,
        feature_grad_scale=config.conv_grad_scale,
        layer_norm_features=False,
        pos_conv_kernel_size=config.position_kernel,
        num_pos_conv_groups=config.position_groups,
        num_encoder_layers=config.num_layers,
        num_encoder_attn_heads=config.num_heads,
        ffn_inner_dim=config.ffn_dim,
        dropout_p=config.dropout,
        attn_dropout_p=config.dropout,
        layer_drop_p=0.0,
        norm_order=TransformerNormOrder.PRE,
    )
