"""A tiny random Qwen2-Audio."""

import torch
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

MELS, FRAMES, VOCABULARY, AUDIO, EOS = 80, 40, 300, 299, 2
_AUDIO = {"encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "d_model": 16, "num_mel_bins": MELS}
_TEXT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "initializer_range": 0.3}
_HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 200}
_SPECIAL = {"bos_token_id": 1, "eos_token_id": EOS, "pad_token_id": 0}


def make_model(max_source_positions=FRAMES // 2, **text):
    """The same weights for the same argument; clips have twice as many frames as there are positions."""
    torch.manual_seed(0)
    config = Qwen2AudioConfig(
        audio_config={**_AUDIO, "max_source_positions": max_source_positions},
        text_config={**_TEXT, **_HEADS, **_SPECIAL, "vocab_size": VOCABULARY, **text},
        audio_token_index=AUDIO,
    )
    model = Qwen2AudioForConditionalGeneration(config).eval()
    for parameter in model.audio_tower.layers.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)  # else attention is nearly uniform
    return model
