"""fairseq2's LLaMA from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass

from aista.modules.llms._native_options import NativeConfig
from aista.modules.llms.base import LanguageModel
from aista.registry import register

__all__ = ["LlamaConfig", "build_llama"]


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(NativeConfig):
    """Options of ``llama``."""

    model_types = ("llama",)


@register("llm", "llama", config=LlamaConfig)
def build_llama(config: LlamaConfig, *, vocab_size: int) -> LanguageModel:
    """LLaMA 1, 2 and 3 to 3.2 of fairseq2's blocks, with a Hugging Face folder's weights.

    ``qwen`` says when to choose it. Queries and keys of Hugging Face are reordered, for fairseq2's LLaMA turns
    neighbouring channels; the frequencies of LLaMA 3.1 and later are scaled as config.json says.

    Raises:
        ValueError: the folder holds no LLaMA in safetensors, a variant that fairseq2 does not have, or a vocabulary
            smaller than ``vocab_size``.
        RunError: fairseq2 cannot be imported.
    """
    return config.build("load", vocab_size)
