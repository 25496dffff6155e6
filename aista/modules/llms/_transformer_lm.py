"""Builds ``transformer_lm`` from its options; imports fairseq2."""

from __future__ import annotations

from fairseq2.nn import Linear, RotaryEncoder, StandardEmbedding
from torch import nn

from aista.modules.llms._fairseq2 import Fairseq2LM, Parts
from aista.modules.llms._fairseq2_block import BlockSpec, build_block, build_norm
from aista.modules.llms.transformer_lm import TransformerLMConfig

__all__ = ["build"]


def build(config: TransformerLMConfig, vocab_size: int) -> Fairseq2LM:
    """A model with fresh weights.

    Embeddings have standard deviation ``model_dim ** -0.5``: under Adam a small model learns several times
    faster so than with embeddings scaled to unit variance.
    """
    spec = _spec(config)
    # One table of rotary frequencies serves all blocks; +1 because decoding counts one step beyond.
    positions = RotaryEncoder(config.model_dim // config.num_heads, config.max_positions + 1, theta=config.rope_theta)
    embedding = StandardEmbedding(vocab_size, config.model_dim, init_fn=_init_embedding)
    parts = Parts(
        embedding=embedding,
        positions=positions,
        blocks=nn.ModuleList(build_block(spec, positions) for _ in range(config.num_layers)),
        norm=build_norm(spec),
        projection=None if config.tied_embeddings else Linear(config.model_dim, vocab_size, bias=False),
        max_positions=config.max_positions,
        num_tokens=vocab_size,
        dropout=config.dropout,
    )
    return Fairseq2LM(parts)


def _spec(config: TransformerLMConfig) -> BlockSpec:
    gated = config.ffn == "swiglu"
    # Two thirds of 4 x model_dim: three matrices then cost what two do (arXiv 2002.05202).
    usual = -(-8 * config.model_dim // 3) if gated else 4 * config.model_dim
    return BlockSpec(
        model_dim=config.model_dim,
        num_heads=config.num_heads,
        num_key_value_heads=config.num_key_value_heads,
        ffn_dim=config.ffn_dim or usual,
        gated=gated,
        rms_norm=config.norm == "rms_norm",
        dropout=config.dropout,
    )


def _init_embedding(embedding: StandardEmbedding) -> None:
    nn.init.normal_(embedding.weight, std=embedding.embed_dim**-0.5)
