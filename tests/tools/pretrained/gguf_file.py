"""Writes tiny GGUF files for the tests with the gguf package's own writer."""

import gguf
import torch
from tokenizers import pre_tokenizers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BYTE_LEVEL = [*CONTROL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġt", "he", "Ġthe"]
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
LLAMA_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
GEMMA_NAMES = LLAMA_NAMES | {
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
SHAPE = {
    "vocab_size": len(BYTE_LEVEL),
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}


def tiny_llama():
    torch.manual_seed(0)
    return shaken(LlamaForCausalLM(LlamaConfig(**SHAPE, rope_theta=100_000.0, rms_norm_eps=1e-5)))


def tiny_gemma():
    torch.manual_seed(0)
    return shaken(Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, query_pre_attn_scalar=256, sliding_window=8)))


def shaken(model):
    """Norms other than 1, so that a change of them shows."""
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def write_llama(path, model, *, quantised=None):
    """The model in GGUF, its q and k rows in the order of llama.cpp's rotary embedding."""
    writer = start(path, model, "llama")
    for name, tensor in model.model.state_dict().items():
        values = tensor.float()
        for kind, heads in (("q_proj", 4), ("k_proj", 2)):
            if kind in name:
                values = values.view(heads, 2, len(values) // heads // 2, -1).transpose(1, 2).reshape(values.shape)
        add(writer, translate(name, LLAMA_NAMES), values, quantised)
    finish(writer)


def write_gemma(path, model):
    """The model in GGUF, 1 added to its norms as llama.cpp has them."""
    writer = start(path, model, "gemma3")
    for name, tensor in model.model.state_dict().items():
        add(writer, translate(name, GEMMA_NAMES), tensor.float() + ("norm" in name))
    finish(writer)


def start(path, model, architecture):
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    if architecture == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    writer.add_vocab_size(config.vocab_size)
    for name, value in byte_level_metadata(architecture).items():
        if name.startswith("tokenizer."):
            write_field(writer, name, value)
    return writer


def byte_level_metadata(architecture="llama"):
    return {
        "general.architecture": architecture,
        f"{architecture}.context_length": 128,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": BYTE_LEVEL,
        "tokenizer.ggml.token_type": [3] * len(CONTROL) + [1] * (len(BYTE_LEVEL) - len(CONTROL)),
        "tokenizer.ggml.merges": ["Ġ t", "h e", "Ġt he"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.chat_template": TEMPLATE,
    }


def write_field(writer, name, value):
    add = {int: writer.add_uint32, str: writer.add_string, list: writer.add_array}[type(value)]
    add(name, value)


def translate(name, names):
    if not name.startswith("layers."):
        return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]
    _, block, *inner, leaf = name.split(".")
    return f"blk.{block}.{names['.'.join(inner)]}.{leaf}"


def add(writer, name, tensor, quantised=None):
    if quantised is None or tensor.ndim == 1:
        writer.add_tensor(name, tensor.numpy())
        return
    data = gguf.quants.quantize(tensor.numpy(), quantised)
    writer.add_tensor(name, data, raw_dtype=quantised)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
