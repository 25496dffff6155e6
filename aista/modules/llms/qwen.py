"""fairseq2's Qwen from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass

from aista.modules.llms._native_options import NativeConfig
from aista.modules.llms.base import LanguageModel
from aista.registry import register

__all__ = ["QwenConfig", "build_qwen"]


@dataclass(frozen=True, kw_only=True)
class QwenConfig(NativeConfig):
    """Options of ``qwen``."""

    model_types = ("qwen2", "qwen3")


@register("llm", "qwen", config=QwenConfig)
def build_qwen(config: QwenConfig, *, vocab_size: int) -> LanguageModel:
    """Qwen 2, 2.5 and 3 of fairseq2's blocks, with a Hugging Face folder's weights.

    The same function as ``hf_causal_lm`` on the same folder, to rounding. Choose it where the whole model is to be
    fairseq2's: plain modules that take no hooks to show their layers. Choose ``hf_causal_lm`` for every other
    family or variant, other attention kernels, and LoRA in peft's layout.

    Raises:
        ValueError: the folder holds no Qwen in safetensors, a variant that fairseq2 does not have, or a vocabulary
            smaller than ``vocab_size``.
        RunError: fairseq2 cannot be imported.
    """
    return config.build("load", vocab_size)
