"""The language model of Qwen2-Audio from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aista.modules.llms.base import LanguageModel
from aista.modules.llms.hf_causal_lm import HFCausalLMConfig
from aista.registry import register
from aista.schema import required

__all__ = ["Qwen2AudioLMConfig", "qwen2_audio"]


@dataclass(frozen=True, kw_only=True)
class Qwen2AudioLMConfig(HFCausalLMConfig):
    """Options of the llm ``qwen2_audio``."""

    path: Path = required("Folder of a Hugging Face Qwen2-Audio model (config.json and *.safetensors).")

    def outline(self, *, vocab_size: int) -> LanguageModel:
        """The model without weights; see ``aista.modules.llms.base.LanguageModel``."""
        import torch

        with torch.device("meta"):
            return _build(self, vocab_size, with_weights=False)

    def skeleton(self, *, vocab_size: int) -> LanguageModel:
        """The model from the folder's config.json alone, for weights that are loaded later."""
        return _build(self, vocab_size, with_weights=False)


@register("llm", "qwen2_audio", config=Qwen2AudioLMConfig)
def qwen2_audio(config: Qwen2AudioLMConfig, *, vocab_size: int) -> LanguageModel:
    """The language model inside Qwen2-Audio (Chu et al. 2024, arXiv 2407.10759), a Qwen decoder that knows speech.

    Only its tensors are read from the folder. It is run, tuned and captured as ``hf_causal_lm``; choose it with the
    encoder and the adapter of the same name and folder, and the folder's own tokenizer.

    Raises:
        ValueError: the folder holds no Qwen2-Audio model in safetensors, or its vocabulary is smaller than
            ``vocab_size``.
    """
    return _build(config, vocab_size, with_weights=True)


def _build(config: Qwen2AudioLMConfig, vocab_size: int, *, with_weights: bool) -> LanguageModel:
    import torch

    from aista.modules._qwen2_audio import build_part, read_config
    from aista.modules.llms._huggingface import HuggingFaceLM

    rows = read_config(config.path, with_weights=with_weights).text_config.vocab_size
    if rows < vocab_size:
        raise ValueError(
            f"path {str(config.path)!r}: its vocabulary has {rows} tokens, fewer than the tokenizer's {vocab_size}; "
            f"use the tokenizer of this model"
        )
    model = build_part(
        config.path,
        "language_model",
        dtype=None if config.dtype == "auto" else getattr(torch, config.dtype),
        with_weights=with_weights,
        attention="" if config.attention == "auto" else config.attention,
    )
    return HuggingFaceLM(model, vocab_size)
