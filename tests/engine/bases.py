"""Small pretrained parts in Hugging Face's layout, with random weights."""

import torch
import transformers

from tests.data.tokenizers.test_hugging_face import save as save_tokenizer

WHISPER = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "num_mel_bins": 80}
DECODER = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 24, "vocab_size": 20}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


def save_bases(folder, **saving):
    """Folders ``whisper`` and ``llama``, with a tokenizer; ``saving`` goes to save_pretrained of the latter."""
    torch.manual_seed(0)
    config = transformers.WhisperConfig(**WHISPER, **DECODER, **SPECIAL, max_source_positions=60)
    transformers.WhisperModel(config).save_pretrained(folder / "whisper")
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "vocab_size": 300}
    llama = transformers.LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, initializer_range=0.3)
    transformers.LlamaForCausalLM(llama).save_pretrained(folder / "llama", **saving)
    save_tokenizer(folder / "llama", eos_token="<|end|>", pad_token="<|pad|>")
    return folder
