"""One pre-norm block of fairseq2's modules; imports fairseq2."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.models.transformer import (
    AttentionBiasCache,
    CausalAttentionBias,
    FeedForwardNetwork,
    GLUFeedForwardNetwork,
    StandardFeedForwardNetwork,
    StandardMultiheadAttention,
    TransformerNormOrder,
)
from fairseq2.models.transformer.sdpa.base import SDPA
from fairseq2.models.transformer_lm import StandardTransformerLMDecoderLayer
from fairseq2.nn import BatchLayout, LayerNorm, PositionEncoder, RMSNorm, StandardLayerNorm
from torch import Tensor, nn
from torch.nn import functional

from aista.modules.placement import placement

__all__ = ["CAUSAL", "MASK", "BlockSpec", "CausalAttention", "build_block", "build_norm"]

CAUSAL = CausalAttentionBias()
MASK = "aista_mask"


@dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """Sizes and variants of a block.

    Attributes:
        head_dim: None is ``model_dim // num_heads``.
        qkv_bias: Biases of the query, key and value projections.
        qk_norm: An RMS norm on each head's queries and keys (Qwen 3).
        gated: SwiGLU instead of GELU.
        rms_norm: RMS norms instead of layer norms.
        norm_epsilon: Added to the mean square.
    """

    model_dim: int
    num_heads: int
    num_key_value_heads: int | None
    ffn_dim: int
    head_dim: int | None = None
    qkv_bias: bool = False
    qk_norm: bool = False
    gated: bool = True
    rms_norm: bool = True
    norm_epsilon: float = 1e-5
    dropout: float = 0.0


class CausalAttention(SDPA):
    """PyTorch's fused attention: causal without a mask, or with the mask that decoding put into the cache.

    fairseq2's own builds a bias of B x N x N in a Python loop over padded rows.
    """

    def forward(
        self,
        q: Tensor,
        q_layout: BatchLayout,
        k: Tensor,
        k_layout: BatchLayout,
        v: Tensor,
        bias_cache: AttentionBiasCache,
        *,
        needs_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """``[B, N, H, K]`` queries, keys and values -> attention values of the same shape."""
        if needs_weights:
            raise NotImplementedError("aista computes no attention weights")
        mask = bias_cache.maybe_get(CAUSAL, MASK, Tensor)
        values = functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=mask,
            is_causal=mask is None and q.size(1) > 1,
        )
        return values.transpose(1, 2), None


def build_block(spec: BlockSpec, positions: PositionEncoder) -> StandardTransformerLMDecoderLayer:
    """A block with random weights; ``positions`` is shared by all blocks."""
    head_dim = spec.head_dim or spec.model_dim // spec.num_heads
    attention = StandardMultiheadAttention(
        spec.model_dim,
        spec.num_heads,
        CausalAttention(),
        head_dim=head_dim,
        num_key_value_heads=spec.num_key_value_heads,
        pos_encoder=positions,
        bias=spec.qkv_bias,
        output_proj_bias=False,
        q_norm=RMSNorm(head_dim, bias=False, eps=spec.norm_epsilon) if spec.qk_norm else None,
        k_norm=RMSNorm(head_dim, bias=False, eps=spec.norm_epsilon) if spec.qk_norm else None,
        **placement(),
    )
    return StandardTransformerLMDecoderLayer(
        attention,
        build_norm(spec),
        _ffn(spec),
        build_norm(spec),
        norm_order=TransformerNormOrder.PRE,
        dropout_p=spec.dropout,
    )


def build_norm(spec: BlockSpec) -> LayerNorm:
    """A normalisation of the model's width."""
    if spec.rms_norm:
        return RMSNorm(spec.model_dim, bias=False, eps=spec.norm_epsilon)
    return StandardLayerNorm(spec.model_dim, bias=True, eps=spec.norm_epsilon)


def _ffn(spec: BlockSpec) -> FeedForwardNetwork:
    if spec.gated:
        return GLUFeedForwardNetwork(spec.model_dim, spec.ffn_dim, bias=False, inner_dim_scale=1.0, **placement())
    return StandardFeedForwardNetwork(
        spec.model_dim, spec.ffn_dim, bias=False, inner_activation=nn.GELU(), **placement()
    )
