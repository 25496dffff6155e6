"""Any Hugging Face causal language model, from a local folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aista.modules.llms.base import LanguageModel
from aista.registry import register
from aista.schema import option, required

__all__ = ["HFCausalLMConfig", "build_hf_causal_lm"]


@dataclass(frozen=True, kw_only=True)
class HFCausalLMConfig:
    """Options of ``hf_causal_lm``."""

    path: Path = required("Folder with config.json and *.safetensors, as save_pretrained or a download leaves it.")
    dtype: str = option(
        "auto", "Type of the weights; auto is the checkpoint's own.", choices=("auto", "float32", "bfloat16")
    )
    attention: str = option(
        "auto",
        "Attention implementation; auto is the model's own choice.",
        choices=("auto", "sdpa", "eager", "flash_attention_2"),
    )

    def outline(self, *, vocab_size: int) -> LanguageModel:
        """The model without weights; see ``aista.modules.llms.base.LanguageModel``."""
        from aista.modules.llms._folder import outline_causal_lm
        from aista.modules.llms._huggingface import HuggingFaceLM

        return HuggingFaceLM(outline_causal_lm(self, vocab_size), vocab_size)

    def skeleton(self, *, vocab_size: int) -> LanguageModel:
        """The model from the folder's config.json alone, for weights that are loaded later."""
        from aista.modules.llms._folder import skeleton_causal_lm
        from aista.modules.llms._huggingface import HuggingFaceLM

        return HuggingFaceLM(skeleton_causal_lm(self, vocab_size), vocab_size)


@register("llm", "hf_causal_lm", config=HFCausalLMConfig)
def build_hf_causal_lm(config: HFCausalLMConfig, *, vocab_size: int) -> LanguageModel:
    """Pretrained LLaMA, Qwen, GPT-2, Gemma and their kin; nothing is downloaded and no remote code runs.

    When to choose it: whenever a pretrained LLM should know the languages already. Use its own
    tokenizer, whose vocabulary it must hold.

    Raises:
        ValueError: the folder is missing or holds no causal language model in safetensors, the
            architecture is not supported, or its vocabulary is smaller than ``vocab_size``.
    """
    from aista.modules.llms._folder import load_causal_lm
    from aista.modules.llms._huggingface import HuggingFaceLM

    return HuggingFaceLM(load_causal_lm(config, vocab_size), vocab_size)
