"""Finished runs: a native one, and one of LoRA on a Hugging Face LLM with a pretrained encoder."""

import copy

import pytest

from aista.engine.training.train import train
from aista.tasks.experiment import load_experiment
from tests.engine.bases import save_bases
from tests.tiny import make_corpus, tiny_config, write_config

LORA = {"name": "lora", "config": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}}


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
    return save_bases(tmp_path_factory.mktemp("bases"))


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
