"""Tiny random models of the decoder-only families that transformers knows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

SIZES = {
    "vocab_size": 11,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
GATED = SIZES | {"num_key_value_heads": 2, "intermediate_size": 24}
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**GATED),
    "qwen2": lambda: transformers.Qwen2Config(**GATED),
    "qwen3": lambda: transformers.Qwen3Config(**GATED, head_dim=4),
    "mistral": lambda: transformers.MistralConfig(**GATED, sliding_window=4),
    "phi3": lambda: transformers.Phi3Config(**GATED),
    "smollm": lambda: transformers.LlamaConfig(**GATED, tie_word_embeddings=True, rope_theta=100_000.0),
    "smollm3": lambda: transformers.SmolLM3Config(**GATED, no_rope_layer_interval=2),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=11, n_embd=16, n_layer=3, n_head=4, n_positions=32, initializer_range=0.3, eos_token_id=2
    ),
    "gemma": lambda: transformers.GemmaConfig(**GATED, head_dim=4),
    "gemma2": lambda: transformers.Gemma2Config(**GATED, head_dim=4, sliding_window=4),
    "gemma3": lambda: transformers.Gemma3TextConfig(**GATED, head_dim=4, sliding_window=4),
    "cohere": lambda: transformers.CohereConfig(**GATED),
    "granite": lambda: transformers.GraniteConfig(**GATED, logits_scaling=3.0, embedding_multiplier=2.0),
    "opt": lambda: transformers.OPTConfig(**SIZES, ffn_dim=24, word_embed_proj_dim=16, init_std=0.3),
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
MORE_CONFIGS = {
    "llama31": lambda: transformers.LlamaConfig(**GATED, rope_scaling=LLAMA3, rope_theta=100.0, rms_norm_eps=1e-4),
    "qwen2_audio": lambda: transformers.Qwen2AudioConfig(
        {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "num_mel_bins": 80},
        transformers.Qwen2Config(**GATED).to_dict(),
        audio_token_index=4,
    ),
}


class Family(NamedTuple):
    """A row of docs/language_models.md: what it is called, the component that runs it, and its config."""

    title: str
    config: Callable[[], Any]
    llm: str = "hf_causal_lm"

    def make(self, folder: Path, vocab_size: int = 11) -> Path:
        """A random model of it in ``folder``, away from initial values that hide faults."""
        torch.manual_seed(0)
        config = self.config()
        config.get_text_config().vocab_size = vocab_size
        if self.llm == "qwen2_audio":
            model = transformers.Qwen2AudioForConditionalGeneration(config)
            torch.nn.init.normal_(model.language_model.lm_head.weight, std=0.3)
        else:
            model = transformers.AutoModelForCausalLM.from_config(config)
        model.save_pretrained(folder)
        return folder

    def reference(self, folder: Path) -> Any:
        """Hugging Face's own causal language model of the folder."""
        if self.llm == "qwen2_audio":
            return transformers.Qwen2AudioForConditionalGeneration.from_pretrained(folder).language_model.eval()
        return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


FAMILIES = {
    "qwen2": Family("Qwen 2, Qwen 2.5", CONFIGS["qwen2"]),
    "qwen3": Family("Qwen 3", CONFIGS["qwen3"]),
    "llama": Family("Llama 2, 3", CONFIGS["llama"]),
    "mistral": Family("Mistral 7B", CONFIGS["mistral"]),
    "gemma": Family("Gemma 1", CONFIGS["gemma"]),
    "gemma2": Family("Gemma 2", CONFIGS["gemma2"]),
    "gemma3": Family("Gemma 3 (text: 270M, 1B)", CONFIGS["gemma3"]),
    "smollm": Family("SmolLM, SmolLM 2 (tied Llama)", CONFIGS["smollm"]),
    "smollm3": Family("SmolLM 3", CONFIGS["smollm3"]),
    "phi3": Family("Phi-3, Phi-4 mini", CONFIGS["phi3"]),
    "gpt2": Family("GPT-2", CONFIGS["gpt2"]),
    "granite": Family("Granite 3", CONFIGS["granite"]),
    "cohere": Family("Command R", CONFIGS["cohere"]),
    "opt": Family("OPT", CONFIGS["opt"]),
    "qwen2_audio": Family("Qwen2-Audio", MORE_CONFIGS["qwen2_audio"], "qwen2_audio"),
    "native_qwen2": Family("Qwen 2, Qwen 2.5", CONFIGS["qwen2"], "qwen"),
    "native_qwen3": Family("Qwen 3", CONFIGS["qwen3"], "qwen"),
    "native_llama": Family("Llama 2, 3", CONFIGS["llama"], "llama"),
    "native_llama31": Family("Llama 3.1, 3.3", MORE_CONFIGS["llama31"], "llama"),
    "native_smollm": Family("Llama 3.2, SmolLM 2 (tied)", CONFIGS["smollm"], "llama"),
}
NATIVE = [name for name, family in FAMILIES.items() if family.llm in ("qwen", "llama")]
