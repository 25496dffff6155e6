"""A decoder-only transformer built from fairseq2's modules, from a config."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.nn import Linear, RotaryEncoder, StandardEmbedding
from torch import nn

from aista.modules.llms.base import LanguageModel
from aista.modules.llms.fairseq2_block import BlockSpec, build_block, build_norm
from aista.modules.llms.fairseq2_lm import Fairseq2LM, Parts
from aista.registry import register
from aista.schema import Options, option

__all__ = ["TransformerLMConfig", "build_transformer_lm"]


@dataclass(frozen=True, kw_only=True)
class TransformerLMConfig(Options):
    """Options of ``transformer_lm``."""

    model_dim: int = option(128, "Width D of the model.", minimum=2, maximum=100_000)
    num_layers: int = option(4, "Number of blocks.", minimum=1, maximum=500)
    num_heads: int = option(4, "Attention heads; divides model_dim.", minimum=1, maximum=1_000)
    num_key_value_heads: int | None = option(
        None, "Key/value heads (grouped-query attention); None is num_heads.", maximum=1_000
    )
    ffn_dim: int | None = option(
        None,
        "Inner width of the feed-forward networks; None is 4 x model_dim (8/3 x for swiglu).",
        maximum=100_000,
    )
    ffn: str = option("swiglu", "Feed-forward network.", choices=("swiglu", "gelu"))
    norm: str = option("rms_norm", "Normalisation before each sublayer.", choices=("rms_norm", "layer_norm"))
    dropout: float = option(
        0.1, "Dropout of embeddings and sublayer outputs; attention weights have none.", minimum=0, maximum=1
    )
    max_positions: int = option(
        1024, "Maximum positions of a sequence, prompt and target included.", minimum=1, maximum=1_000_000
    )
    rope_theta: float = option(10_000.0, "Base (theta) of the rotary position encoding.", above=0)
    tied_embeddings: bool = option(True, "Whether the output projection shares the embedding's weights.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model_dim % self.num_heads or (self.model_dim // self.num_heads) % 2:
            raise ValueError(
                f"model_dim must be num_heads times an even width (rotary positions turn pairs), "
                f"got model_dim {self.model_dim} and num_heads {self.num_heads}"
            )
        if self.num_key_value_heads is not None and (
            self.num_key_value_heads < 1 or self.num_heads % self.num_key_value_heads
        ):
            raise ValueError(
                f"num_key_value_heads must divide num_heads {self.num_heads}, got {self.num_key_value_heads}"
            )
        if self.ffn_dim is not None and self.ffn_dim < 1:
            raise ValueError(f"ffn_dim must be at least 1, got {self.ffn_dim}")


@register("llm", "transformer_lm", config=TransformerLMConfig)
def build_transformer_lm(config: TransformerLMConfig, *, vocab_size: int) -> LanguageModel:
    """Pre-norm transformer decoder with rotary positions, trained from scratch.

    Embeddings have standard deviation ``model_dim ** -0.5``: under Adam a small model then learns several times faster
    than with embeddings scaled to unit variance.

    Choose it for small models that are trained here (pretrain it on the text pairs, see the
    text-translation task), experiments on CPUs, tests. For pretrained LLMs choose ``hf_causal_lm``, ``qwen`` or
    ``llama``.

    Raises:
        ValueError: ``vocab_size`` is not positive.
    """
    if vocab_size < 1:
        raise ValueError(f"vocab_size must be at least 1, got {vocab_size}")
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
