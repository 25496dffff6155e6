"""Any Hugging Face causal language model, from a folder or the hub."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import AutoModelForCausalLM

from aista.modules.hf_folder import build_model, model_errors, read_causal_config
from aista.modules.llms.base import LanguageModel
from aista.modules.llms.folder_options import FolderOptions
from aista.modules.llms.huggingface_lm import HuggingFaceLM
from aista.registry import register
from aista.schema import option

__all__ = ["HFCausalLMConfig", "build_hf_causal_lm"]


@dataclass(frozen=True, kw_only=True)
class HFCausalLMConfig(FolderOptions):
    """Options of ``hf_causal_lm``."""

    attention: str = option(
        "auto",
        "Attention implementation; auto is the model's own choice.",
        choices=("auto", "sdpa", "eager", "flash_attention_2"),
    )

    def build(self, vocab_size: int, *, with_weights: bool) -> LanguageModel:
        folder = self.folder(with_weights=with_weights)
        config = read_causal_config(folder, vocab_size)
        model = build_model(
            AutoModelForCausalLM,
            folder,
            config,
            with_weights=with_weights,
            dtype=self.dtype,
            attention=self.attention,
        )
        with model_errors(folder, "used"):
            return HuggingFaceLM(model, vocab_size)


@register("llm", "hf_causal_lm", config=HFCausalLMConfig)
def build_hf_causal_lm(config: HFCausalLMConfig, *, vocab_size: int) -> LanguageModel:
    """Pretrained causal LM from Hugging Face: LLaMA, Qwen, GPT-2, Gemma and similar; no remote code runs.

    Choose it wherever a pretrained LLM knows the languages. Use the tokenizer of the same model.

    Raises:
        ValueError: the folder is missing or holds no causal language model in safetensors, the
            architecture is not supported, or its vocabulary is smaller than ``vocab_size``.
    """
    return config.build(vocab_size, with_weights=True)
