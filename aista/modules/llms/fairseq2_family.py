"""Shared code of fairseq2's Qwen and LLaMA from Hugging Face folders; imports fairseq2 and transformers.

The modules are those that ``fairseq2.models.qwen`` and ``fairseq2.models.llama`` put together. They are built here
because these initialise every weight, and set neither sizes, the base of the rotary positions nor the norms' epsilon
from a folder's config.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from fairseq2.nn import Linear, PositionEncoder, StandardEmbedding
from torch import Tensor, nn

from aista.modules.folder_weights import fill_from_folder
from aista.modules.hf_folder import model_errors, read_causal_config, saved_dtype
from aista.modules.llms.base import LanguageModel
from aista.modules.llms.fairseq2_block import BlockSpec, build_block, build_norm
from aista.modules.llms.fairseq2_lm import Fairseq2LM, Parts
from aista.modules.llms.folder_options import FolderOptions

__all__ = ["Family", "FamilyConfig", "rope_type"]

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


@dataclass(frozen=True, kw_only=True)
class Family:
    """Differences between model families.

    Attributes:
        model_types: Model types allowed in config.json.
        positions: Config, width of a head and number of positions -> the rotary encoder.
        rope_types: Kinds of rope_scaling that ``positions`` knows; "" is none.
        convert: Config, Hugging Face's name and tensor -> the tensor as fairseq2 wants it.
    """

    model_types: tuple[str, ...]
    positions: Callable[[Any, int, int], PositionEncoder]
    rope_types: tuple[str, ...] = ("",)
    convert: Callable[[Any, str, Tensor], Tensor] = lambda _config, _name, tensor: tensor


@dataclass(frozen=True, kw_only=True)
class FamilyConfig(FolderOptions):
    """Options of ``qwen`` and ``llama``."""

    family: ClassVar[Family]

    def build(self, vocab_size: int, *, with_weights: bool) -> LanguageModel:
        remedy = "hf_causal_lm runs the families that fairseq2 does not have"
        folder = self.folder(with_weights=with_weights)
        hf_config = read_causal_config(folder, vocab_size, self.family.model_types, remedy=remedy)
        with model_errors(folder, "built"):
            _check_variant(hf_config, self.family)
            llm = _assemble(hf_config, self.family, vocab_size).to(saved_dtype(hf_config, self.dtype))
        llm.to_empty(device=torch.get_default_device())
        llm.reset_positions()
        if with_weights:
            fill_from_folder(llm, folder, _saved_name, partial(self.family.convert, hf_config))
        return llm.eval()


def _assemble(hf_config: Any, family: Family, vocab_size: int) -> Fairseq2LM:
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
    size = hf_config.max_position_embeddings
    with torch.device("meta"):  # neither memory nor initialisation before the weights are there
        # Decoding counts one step beyond.
        positions = family.positions(hf_config, spec.head_dim or spec.model_dim // spec.num_heads, size + 1)
        tied = hf_config.tie_word_embeddings
        parts = Parts(
            embedding=StandardEmbedding(hf_config.vocab_size, spec.model_dim),
            positions=positions,
            blocks=nn.ModuleList(build_block(spec, positions) for _ in range(hf_config.num_hidden_layers)),
            norm=build_norm(spec),
            projection=None if tied else Linear(spec.model_dim, hf_config.vocab_size, bias=False),
            max_positions=size,
            num_tokens=vocab_size,
        )
        return Fairseq2LM(parts)


def _check_variant(hf_config: Any, family: Family) -> None:
    """Raise ValueError if fairseq2 does not have the variant."""
    variants = {
        "hidden_act": hf_config.hidden_act not in ("silu", "swish"),
        "rope_scaling": rope_type(hf_config.rope_scaling) not in family.rope_types,
        "use_sliding_window": getattr(hf_config, "use_sliding_window", False),
        "attention_bias": getattr(hf_config, "attention_bias", False),
        "mlp_bias": getattr(hf_config, "mlp_bias", False),
        "attention_dropout": hf_config.attention_dropout > 0,
    }
    for key, is_foreign in variants.items():
        if is_foreign:
            raise ValueError(
                f"config.json has {key} {getattr(hf_config, key)!r}, which fairseq2's {hf_config.model_type} does not "
                "have; use hf_causal_lm"
            )


def rope_type(scaling: Mapping[str, Any] | None) -> str:
    """The kind of ``rope_scaling`` in config.json; "" without scaling."""
    settings = scaling or {}
    kind = str(settings.get("rope_type", settings.get("type", "")))
    return "" if kind == "default" else kind


def _saved_name(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name
