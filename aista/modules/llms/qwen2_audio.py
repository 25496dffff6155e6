"""The language model of Qwen2-Audio."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import AutoModelForCausalLM

from aista.modules.folder_weights import fill_from_folder
from aista.modules.hf_folder import build_skeleton, check_vocabulary, read_config, saved_dtype
from aista.modules.llms.base import LanguageModel
from aista.modules.llms.hf_causal_lm import HFCausalLMConfig
from aista.modules.llms.huggingface_lm import HuggingFaceLM
from aista.registry import register
from aista.schema import required

__all__ = ["Qwen2AudioLMConfig", "qwen2_audio"]


@dataclass(frozen=True, kw_only=True)
class Qwen2AudioLMConfig(HFCausalLMConfig):
    """Options of the llm ``qwen2_audio``."""

    path: Path = required(
        "Qwen2-Audio: a folder with config.json and *.safetensors, or a name on the hub.", pretrained="weights"
    )

    def build(self, vocab_size: int, *, with_weights: bool) -> LanguageModel:
        folder = self.folder(with_weights=with_weights)
        config = read_config(folder, ("qwen2_audio",))
        check_vocabulary(config, folder, vocab_size)
        model = build_skeleton(
            AutoModelForCausalLM,
            folder,
            config.text_config,
            dtype=saved_dtype(config, self.dtype),
            attention=self.attention,
        )
        if with_weights:
            fill_from_folder(model, folder, "language_model.{}".format)
        return HuggingFaceLM(model, vocab_size)


@register("llm", "qwen2_audio", config=Qwen2AudioLMConfig)
def qwen2_audio(config: Qwen2AudioLMConfig, *, vocab_size: int) -> LanguageModel:
    """The language model inside Qwen2-Audio (Chu et al. 2024, arXiv 2407.10759), a Qwen decoder trained on speech.

    Only its tensors are read from the folder. It is run, tuned and captured as ``hf_causal_lm``; choose it with the
    encoder and the adapter of the same name and folder, and the folder's own tokenizer.

    Raises:
        ValueError: the folder holds no Qwen2-Audio model in safetensors, or its vocabulary is smaller than
            ``vocab_size``.
    """
    return config.build(vocab_size, with_weights=True)
