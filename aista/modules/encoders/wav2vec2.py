"""Wav2vec 2.0 encoder over raw waveforms, from scratch or from a fairseq or fairseq2 checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

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
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice, LayerMix, layer_states
from aista.modules.placement import placement
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Wav2Vec2Config", "Wav2Vec2Encoder"]

_DESCRIBING = "model_dim, num_layers, ffn_dim, conv_norm, conv_bias, norm_order and the rest"


@dataclass(frozen=True, kw_only=True)
class Wav2Vec2Config(Options):
    """Options of the encoder ``wav2vec2``."""

    model_dim: int = option(768, "Width of the states.", minimum=1, maximum=100_000)
    num_layers: int = option(12, "Transformer layers.", minimum=1, maximum=500)
    num_heads: int = option(12, "Attention heads; must divide model_dim.", minimum=1, maximum=1_000)
    ffn_dim: int = option(3072, "Inner width of the feed-forward networks.", minimum=1, maximum=100_000)
    conv_dim: int = option(512, "Channels of the convolutions over the waveform.", minimum=1, maximum=100_000)
    conv_kernels: tuple[int, ...] = option(
        (10, 3, 3, 3, 3, 2, 2),
        "Kernels of the convolutions over the waveform.",
        minimum=1,
        maximum=1_000,
    )
    conv_strides: tuple[int, ...] = option(
        (5, 2, 2, 2, 2, 2, 2),
        "Strides of the convolutions over the waveform.",
        minimum=1,
        maximum=1_000,
    )
    conv_norm: Literal["layer", "group"] = option(
        "layer",
        "Layer norm in all convolutions over the waveform (lv60k, XLS-R), or group norm in the first alone (base).",
    )
    conv_bias: bool = option(False, "Biases in the convolutions over the waveform (lv60k, XLS-R).")
    conv_grad_scale: float = option(
        1.0, "Factor on the gradient of the convolutions over the waveform.", above=0, maximum=1
    )
    position_kernel: int = option(128, "Kernel of the convolution that encodes positions.", minimum=1, maximum=1_000)
    position_groups: int = option(16, "Groups of that convolution; must divide model_dim.", minimum=1, maximum=10_000)
    norm_order: Literal["pre", "post"] = option(
        "pre", "Layer norm before attention and feed-forward (lv60k, XLS-R), or after them (base)."
    )
    layers: LayerChoice = option("last", LAYERS_HELP)
    checkpoint: Path | None = option(
        None, "Checkpoint of fairseq or fairseq2 (.pt, or .safetensors with its names); only tensors are read."
    )
    dropout: float = option(0.1, "Dropout probability of states and attention weights.", minimum=0, maximum=0.9)
    max_samples: int = option(
        960_000, "Longest waveform in samples (60 s at 16 kHz).", minimum=1, maximum=1_000_000_000
    )

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder without its checkpoint, for weights that are loaded later."""
        return Wav2Vec2Encoder(replace(self, checkpoint=None), feature_dim=feature_dim)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.conv_kernels or len(self.conv_kernels) != len(self.conv_strides):
            raise ValueError(
                f"conv_kernels and conv_strides must be equally many and at least one, got "
                f"{len(self.conv_kernels)} and {len(self.conv_strides)}"
            )
        for name, divisor in (("num_heads", self.num_heads), ("position_groups", self.position_groups)):
            if self.model_dim % divisor:
                raise ValueError(f"{name} must divide model_dim, got {divisor} and {self.model_dim}")


@register("encoder", "wav2vec2", config=Wav2Vec2Config)
class Wav2Vec2Encoder(SpeechEncoder):
    """wav2vec 2.0: convolutions over the waveform and transformer layers (Baevski et al. 2020), by fairseq2's modules.

    Source: arXiv 2006.11477. With the default convolutions W samples become about W / 320 states (50 a second at
    16 kHz). A group norm takes its statistics from each row's own samples, without padding. The options must describe
    the checkpoint: the base model is ``conv_norm: group, norm_order: post``; the large one of LV-60k, XLSR and
    XLS-R 300M ``model_dim: 1024, num_layers: 24, num_heads: 16, ffn_dim: 4096, conv_bias: true``. Base models were
    trained on plain waveforms, the others on normalised ones. Choose it to pretrain or to learn from waveforms
    from scratch (which needs far more data than ``conformer``) or for checkpoints of fairseq and fairseq2;
    ``hf_speech`` for those of Hugging Face.

    Raises:
        ValueError: the configured input is features, not raw waveforms, or the checkpoint does not fit.
    """

    max_length_option = "max_samples"

    def __init__(self, config: Wav2Vec2Config, *, feature_dim: int) -> None:
        if feature_dim != 0:
            raise ValueError(
                f"wav2vec2 reads raw waveforms [B, W], but the configured features have {feature_dim} channels; "
                "configure raw waveforms, or choose an encoder of features such as conformer"
            )
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
        blocks: nn.ModuleList = self.stack.layers
        return blocks

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode waveforms ``[B, W]``."""
        wave_BW = audio.to(next(self.frontend.parameters()).dtype)
        extractor: Any = self.frontend.feature_extractor
        frames_BSC = convolve_waveform(extractor.layers, wave_BW, lengths)
        if extractor.training and extractor.grad_scale != 1.0:
            frames_BSC = scale_grad(frames_BSC, extractor.grad_scale)
        lengths = self.output_lengths(lengths)
        layout = BatchLayout.of(frames_BSC, lengths.tolist())
        h_BSE, _ = self.frontend.process_features(self.frontend.post_extract_layer_norm(frames_BSC), layout)
        cache = AttentionBiasCache()
        states = layer_states(h_BSE, self.layers, lambda block, h: block(h, layout, cache), self.stack.layer_norm)
        return self.mix(states), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return conv_lengths(lengths, self.convolutions)


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
    # fairseq keeps the norm of post-norm models, which comes before the layers, in its encoder.
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
