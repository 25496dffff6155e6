"""fairseq2's Qwen from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fairseq2.nn import PositionEncoder
from fairseq2.nn.position_encoder import ReferenceRotaryEncoder

from aista.modules.llms.base import LanguageModel
from aista.modules.llms.fairseq2_family import Family, FamilyConfig
from aista.registry import register

__all__ = ["QwenConfig", "build_qwen"]


def _positions(hf_config: Any, head_dim: int, size: int) -> PositionEncoder:
    """The rotary encoder of fairseq2's Qwen, which rotates channels half a head apart."""
    return ReferenceRotaryEncoder(head_dim, size, theta=hf_config.rope_theta)


@dataclass(frozen=True, kw_only=True)
class QwenConfig(FamilyConfig):
    """Options of ``qwen``."""

    family = Family(model_types=("qwen2", "qwen3"), positions=_positions)


@register("llm", "qwen", config=QwenConfig)
def build_qwen(config: QwenConfig, *, vocab_size: int) -> LanguageModel:
    """Qwen 2, 2.5 and 3, built from fairseq2's blocks with the weights of a Hugging Face folder.

    It computes the same function as ``hf_causal_lm`` on the same folder, up to rounding. Choose it where the model must
    consist of fairseq2's modules, whose layers are captured without hooks. Choose ``hf_causal_lm`` for other families
    or variants, other attention kernels, and LoRA in peft's layout.

    Raises:
        ValueError: the folder holds no Qwen in safetensors, a variant that fairseq2 does not have, or a vocabulary
            smaller than ``vocab_size``.
    """
    return config.build(vocab_size, with_weights=True)
