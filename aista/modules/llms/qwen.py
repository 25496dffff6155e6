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
    """fairseq2's Qwen turns channels half a head apart."""
    return ReferenceRotaryEncoder(head_dim, size, theta=hf_config.rope_theta)


@dataclass(frozen=True, kw_only=True)
class QwenConfig(FamilyConfig):
    """Options of ``qwen``."""

    family = Family(model_types=("qwen2", "qwen3"), positions=_positions)


@register("llm", "qwen", config=QwenConfig)
def build_qwen(config: QwenConfig, *, vocab_size: int) -> LanguageModel:
    """Qwen 2, 2.5 and 3 of fairseq2's blocks, with a Hugging Face folder's weights.

    The same function as ``hf_causal_lm`` on the same folder, to rounding. Choose it where all of the model must be
    fairseq2's: plain modules, whose layers are captured without hooks. Choose ``hf_causal_lm`` for other families or
    variants, other attention kernels, and LoRA in peft's layout.

    Raises:
        ValueError: the folder holds no Qwen in safetensors, a variant that fairseq2 does not have, or a vocabulary
            smaller than ``vocab_size``.
    """
    return config.build(vocab_size, with_weights=True)
