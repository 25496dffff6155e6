"""Tiny random models of the decoder-only families that transformers knows."""

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
TITLES = {
    "qwen2": "Qwen 2, Qwen 2.5",
    "qwen3": "Qwen 3",
    "llama": "Llama 2, 3",
    "mistral": "Mistral 7B",
    "gemma": "Gemma 1",
    "gemma2": "Gemma 2",
    "gemma3": "Gemma 3 (text: 270M, 1B)",
    "smollm": "SmolLM, SmolLM 2 (tied Llama)",
    "smollm3": "SmolLM 3",
    "phi3": "Phi-3, Phi-4 mini",
    "gpt2": "GPT-2",
    "granite": "Granite 3",
    "cohere": "Command R",
    "opt": "OPT",
}
