"""Finished runs: a native one, and one of LoRA on a Hugging Face LLM with a pretrained encoder."""

import copy

import pytest
import torch
import transformers

from aista.engine.training.train import train
from aista.tasks.experiment import load_experiment
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.tiny import make_corpus, tiny_config, write_config

LORA = {"name": "lora", "config": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}}
WHISPER = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "num_mel_bins": 80}
DECODER = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 24, "vocab_size": 20}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("export") / "corpus")


@pytest.fixture(scope="session")
def wavs(tones):
    return sorted((tones / "audio").glob("test*.wav"))


@pytest.fixture(scope="session")
def native(tmp_path_factory, tones):
    """A run of parts that start from scratch."""
    folder = tmp_path_factory.mktemp("native")
    trainer = {"max_steps": 20, "learning_rate": 1e-2, "log_every": 2}
    train(load_experiment(write_config(folder / "config.yaml", tiny_config(tones, trainer=trainer))), folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    """Folders of a random Whisper and a random Llama with its own tokenizer."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bases")
    config = transformers.WhisperConfig(**WHISPER, **DECODER, **SPECIAL, max_source_positions=60)
    transformers.WhisperModel(config).save_pretrained(folder / "whisper")
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "vocab_size": 300}
    llama = transformers.LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, initializer_range=0.3)
    transformers.LlamaForCausalLM(llama).save_pretrained(folder / "llama")
    save_tokenizer(folder / "llama", eos_token="<|end|>", pad_token="<|pad|>")
    return folder


@pytest.fixture(scope="session")
def lora(tmp_path_factory, tones, bases):
    """A run with LoRA on the Llama, a frozen Whisper, and an adapter trained in full."""
    folder = tmp_path_factory.mktemp("lora")
    options = tiny_config(tones, trainer={"max_steps": 12, "learning_rate": 1e-2, "log_every": 2})
    options["encoder"] = {"name": "whisper", "tuning": "frozen", "config": {"path": str(bases / "whisper")}}
    options["llm"] = {
        "name": "hf_causal_lm",
        "tuning": copy.deepcopy(LORA),
        "config": {"path": str(bases / "llama")},
    }
    options["tokenizer"] = {"name": "hugging_face", "config": {"path": str(bases / "llama")}}
    options["prompt"] = "{speech}<|fr|>"
    options["data"]["feature"] = "whisper_log_mel"
    train(load_experiment(write_config(folder / "config.yaml", options)), folder / "run")
    return folder / "run"
