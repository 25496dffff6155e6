"""Builds fairseq2's Qwen and LLaMA from Hugging Face folders; imports fairseq2 and transformers.

The modules are those that ``fairseq2.models.qwen`` and ``fairseq2.models.llama`` put together. They are built here
because these initialise every weight, and set neither sizes, the base of the rotary positions nor the norms' epsilon
from a folder's config.json.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import torch
from fairseq2.models.llama import LLaMARoPEScaleConfig
from fairseq2.models.llama.factory import init_llama_rope_freqs
from fairseq2.nn import Linear, PositionEncoder, RotaryEncoder, StandardEmbedding
from fairseq2.nn.position_encoder import ReferenceRotaryEncoder
from torch import Tensor, nn

from aista.modules._shards import fill_from_folder
from aista.modules.llms._fairseq2 import Fairseq2LM, Parts
from aista.modules.llms._fairseq2_block import BlockSpec, build_block, build_norm
from aista.modules.llms._folder import read_causal_config
from aista.modules.llms._native_options import NativeConfig

__all__ = ["load", "outline", "skeleton"]

_NAMES = (
    (r"^blocks\.", "model.layers."),
    (r"\.self_attn_layer_norm\.", ".input_layernorm."),
    (r"\.ffn_layer_norm\.", ".post_attention_layernorm."),
    (r"\.self_attn\.output_proj\.", ".self_attn.o_proj."),
    (r"\.ffn\.inner_proj\.", ".mlp.up_proj."),
    (r"\.ffn\.gate_proj\.", ".mlp.gate_proj."),
    (r"\.ffn\.output_proj\.", ".mlp.down_proj."),
    (r"^norm\.", "model.norm."),
    (r"^embedding\.", "model.embed_tokens."),
    (r"^projection\.", "lm_head."),
)
"""Ours and Hugging Face's."""


def load(config: NativeConfig, vocab_size: int) -> Fairseq2LM:
    """The model with the folder's weights; raises ValueError as the factory."""
    hf_config = _read(config, vocab_size, with_weights=True)
    heads = {".q_proj.weight": hf_config.num_attention_heads, ".k_proj.weight": hf_config.num_key_value_heads}
    turned = heads if hf_config.model_type == "llama" else {}

    def convert(name: str, tensor: Tensor) -> Tensor:
        num_heads = next((count for end, count in turned.items() if name.endswith(end)), None)
        return tensor if num_heads is None else _interleave(tensor, num_heads)

    llm = _empty(hf_config, config, vocab_size)
    fill_from_folder(llm, config.path, _saved_name, convert)
    return llm.eval()


def skeleton(config: NativeConfig, vocab_size: int) -> Fairseq2LM:
    """The model of the folder's config.json, with arbitrary weights; raises ValueError as the factory."""
    return _empty(_read(config, vocab_size, with_weights=False), config, vocab_size).eval()


def outline(config: NativeConfig, vocab_size: int) -> Fairseq2LM:
    """The model on the meta device; raises ValueError as the factory."""
    return _assemble(_read(config, vocab_size, with_weights=True), vocab_size)


def _empty(hf_config: Any, config: NativeConfig, vocab_size: int) -> Fairseq2LM:
    saved = hf_config.dtype or torch.float32
    dtype = saved if config.dtype == "auto" else getattr(torch, config.dtype)
    llm = _assemble(hf_config, vocab_size).to(dtype).to_empty(device=torch.get_default_device())
    llm.reset_positions()
    return llm


def _assemble(hf_config: Any, vocab_size: int) -> Fairseq2LM:
    spec = BlockSpec(
        model_dim=hf_config.hidden_size,
        num_heads=hf_config.num_attention_heads,
        num_key_value_heads=hf_config.num_key_value_heads,
        head_dim=getattr(hf_config, "head_dim", None),
        ffn_dim=hf_config.intermediate_size,
        qkv_bias=hf_config.model_type == "qwen2",
        qk_norm=hf_config.model_type == "qwen3",
        norm_epsilon=hf_config.rms_norm_eps,
    )
    with torch.device("meta"):  # neither memory nor initialisation before the weights are there
        positions = _positions(hf_config, spec.head_dim or spec.model_dim // spec.num_heads)
        tied = hf_config.tie_word_embeddings
        parts = Parts(
            embedding=StandardEmbedding(hf_config.vocab_size, spec.model_dim),
            positions=positions,
            blocks=nn.ModuleList(build_block(spec, positions) for _ in range(hf_config.num_hidden_layers)),
            norm=build_norm(spec),
            projection=None if tied else Linear(spec.model_dim, hf_config.vocab_size, bias=False),
            max_positions=hf_config.max_position_embeddings,
            num_tokens=vocab_size,
        )
        return Fairseq2LM(parts)


def _positions(hf_config: Any, head_dim: int) -> PositionEncoder:
    """As fairseq2 has them: LLaMA turns neighbouring channels, Qwen channels half a head apart."""
    size = hf_config.max_position_embeddings + 1  # decoding counts one step beyond
    if hf_config.model_type != "llama":
        return ReferenceRotaryEncoder(head_dim, size, theta=hf_config.rope_theta)
    scaling: Mapping[str, Any] = hf_config.rope_scaling or {}
    if not _rope_type(scaling):
        return RotaryEncoder(head_dim, size, theta=hf_config.rope_theta)
    scale = LLaMARoPEScaleConfig(
        factor=scaling["factor"],
        frequency_factors=(scaling["low_freq_factor"], scaling["high_freq_factor"]),
        original_context_length=scaling["original_max_position_embeddings"],
    )
    frequencies = functools.partial(init_llama_rope_freqs, rope_scale=scale)
    return RotaryEncoder(head_dim, size, theta=hf_config.rope_theta, freqs_init_fn=frequencies)


def _read(config: NativeConfig, vocab_size: int, *, with_weights: bool) -> Any:
    """The folder's config, of a family and variant that fairseq2 has."""
    hf_config = read_causal_config(config.path, vocab_size, with_weights=with_weights)
    if hf_config.model_type not in config.model_types:
        wanted = " or ".join(repr(name) for name in config.model_types)
        raise ValueError(
            f"path {str(config.path)!r}: holds a model of type {hf_config.model_type!r}, not {wanted}; hf_causal_lm "
            "runs the families that fairseq2 does not have"
        )
    rope_type = _rope_type(hf_config.rope_scaling or {})
    variants = {
        "hidden_act": hf_config.hidden_act not in ("silu", "swish"),
        "rope_scaling": rope_type not in (("", "llama3") if hf_config.model_type == "llama" else ("",)),
        "use_sliding_window": getattr(hf_config, "use_sliding_window", False),
        "attention_bias": getattr(hf_config, "attention_bias", False),
        "mlp_bias": getattr(hf_config, "mlp_bias", False),
        "attention_dropout": hf_config.attention_dropout > 0,
    }
    for key, is_foreign in variants.items():
        if is_foreign:
            raise ValueError(
                f"path {str(config.path)!r}: its config.json has {key} {getattr(hf_config, key)!r}, which fairseq2's "
                f"{hf_config.model_type} does not have; use hf_causal_lm"
            )
    return hf_config


def _rope_type(scaling: Mapping[str, Any]) -> str:
    found = str(scaling.get("rope_type", scaling.get("type", "")))
    return "" if found == "default" else found


def _saved_name(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _interleave(weight: Tensor, num_heads: int) -> Tensor:
    """Rows of each head so that channels which Hugging Face turns half a head apart become neighbours."""
    return weight.view(num_heads, 2, -1, weight.size(1)).transpose(1, 2).reshape(weight.shape)
