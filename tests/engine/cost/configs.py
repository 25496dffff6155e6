"""Experiments whose steps are counted, and folders of real architectures without weights."""

import copy
import json

import tokenizers
import transformers

from aista.engine.inputs import load_split
from aista.selection.base import SelectedLayers
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config

LORA = {"name": "lora", "config": {"r": 4}}
QWEN = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
WHISPER = {
    "architectures": ["WhisperForConditionalGeneration"],
    "model_type": "whisper",
    "d_model": 1280,
    "encoder_layers": 32,
    "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5120,
    "decoder_layers": 32,
    "decoder_attention_heads": 20,
    "decoder_ffn_dim": 5120,
    "num_mel_bins": 128,
    "max_source_positions": 1500,
    "vocab_size": 51866,
}
CHAT = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_llama(folder):
    """A Llama of two blocks with random weights, as large as the corpus' tokenizer."""
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def tiny(folder, corpus, llama, *overrides, kind="native"):
    """The tiny experiment with an LLM of either kind."""
    config = copy.deepcopy(tiny_config(corpus))
    if kind == "hugging face":
        config["llm"] = {"name": "hf_causal_lm", "config": {"path": str(llama)}}
    return load_experiment(write_config(folder / "config.yaml", config), list(overrides))


def prepare(experiment, layers=(0, 1)):
    """The task with its layers chosen, its model, and the training split."""
    task = build_task(experiment)
    model = task.build_model()
    task.select_trainable(model)
    if experiment.task_config.alignment:
        task.selected = SelectedLayers(layers, (1 / len(layers),) * len(layers), "")
    return task, model.train(), load_split(experiment, task, "train")


def make_large_folders(folder):
    """Qwen2.5-7B and Whisper-large-v3 by their config.json alone, and a small tokenizer with a chat template."""
    for name, config in (("qwen", QWEN), ("whisper", WHISPER)):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(config))
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    bare = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = tokenizers.decoders.ByteLevel()
    bare.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT
    )
    wrapped.save_pretrained(folder / "qwen")
    return folder
