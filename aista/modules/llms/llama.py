"""fairseq2's LLaMA from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from fairseq2.models.llama import LLaMARoPEScaleConfig
from fairseq2.models.llama.factory import init_llama_rope_freqs
from fairseq2.nn import PositionEncoder, RotaryEncoder
from torch import Tensor

from aista.modules.llms.base import LanguageModel
from aista.modules.llms.fairseq2_family import Family, FamilyConfig, rope_type
from aista.registry import register

__all__ = ["LlamaConfig", "build_llama"]


def _positions(hf_config: Any, head_dim: int, size: int) -> PositionEncoder:
    """The rotary encoder of fairseq2's LLaMA, which rotates adjacent channels."""
    scaling = hf_config.rope_scaling
    if not rope_type(scaling):
        return RotaryEncoder(head_dim, size, theta=hf_config.rope_theta)
    scale = LLaMARoPEScaleConfig(
        factor=scaling["factor"],
        frequency_factors=(scaling["low_freq_factor"], scaling["high_freq_factor"]),
        original_context_length=scaling["original_max_position_embeddings"],
    )
    frequencies = partial(init_llama_rope_freqs, rope_scale=scale)
    return RotaryEncoder(head_dim, size, theta=hf_config.rope_theta, freqs_init_fn=frequencies)


def _convert(hf_config: Any, name: str, weight: Tensor) -> Tensor:
    """Reorder each head's rows: pairs that Hugging Face rotates half a head apart become adjacent channels."""
    heads = {".q_proj.weight": hf_config.num_attention_heads, ".k_proj.weight": hf_config.num_key_value_heads}
    for end, num_heads in heads.items():
        if name.endswith(end):
            return weight.view(num_heads, 2, -1, weight.size(1)).transpose(1, 2).reshape(weight.shape)
    return weight


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(FamilyConfig):
    """Options of ``llama``."""

    family = Family(model_types=("llama",), positions=_positions, rope_types=("", "llama3"), convert=_convert)


@register("llm", "llama", config=LlamaConfig)
def build_llama(config: LlamaConfig, *, vocab_size: int) -> LanguageModel:
    """LLaMA 1, 2 and 3 to 3.2, built from fairseq2's blocks with the weights of a Hugging Face folder.

    Choose it for the same reasons as ``qwen``. Queries and keys of Hugging Face are reordered, because fairseq2's
    LLaMA rotates adjacent channels; the frequencies of LLaMA 3.1 and later are scaled as in config.json.

    Raises:
        ValueError: the folder holds no LLaMA in safetensors, a variant that fairseq2 does not have, or a vocabulary
            smaller than ``vocab_size``.
    """
    return config.build(vocab_size, with_weights=True)
