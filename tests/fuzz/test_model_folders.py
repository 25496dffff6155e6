"""Folders of Hugging Face models and tokenizers, damaged or with something planted in them."""

import contextlib
import shutil

import pytest
import torch
import transformers
from hypothesis import strategies as st

from aista import registry
from aista.errors import AistaError
from aista.schema import resolve
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.fuzz import fuzzed
from tests.fuzz.damage import KINDS, VALUES, damage, plant
from tests.modules.encoders.folders import make_folder
from tests.modules.llms.families import CONFIGS

COMPONENTS = {
    "hf_causal_lm": ("llm", {"vocab_size": 11}),
    "llama": ("llm", {"vocab_size": 11}),
    "hf_speech": ("encoder", {"feature_dim": 0}),
    "hugging_face": ("tokenizer", {}),
}
FILES = ["config.json", "generation_config.json", "model.safetensors"]
MORE = {
    "hf_speech": [*FILES[::2], "preprocessor_config.json"],
    "hugging_face": ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"],
}
NAMES = st.sampled_from(list(COMPONENTS))
PLACE = st.integers(0, 1 << 30)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("originals")
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(CONFIGS["llama"]()).save_pretrained(root / "llama")
    make_folder(root / "speech", "wav2vec2-base")
    save_tokenizer(root / "llama", eos_token="<|end|>", pad_token="<|pad|>")
    return root


def build(name, folder):
    kind, dependencies = COMPONENTS[name]
    spec = resolve(kind, {"name": name, "config": {"path": str(folder)}})
    with contextlib.suppress(AistaError):
        registry.build(kind, spec, **dependencies)


def copied(name, originals, folder):
    return shutil.copytree(originals / ("speech" if name == "hf_speech" else "llama"), folder / "model")


@fuzzed(examples=60, name=NAMES, file=st.integers(0, 2), kind=KINDS, place=PLACE, value=st.integers(0, 255))
def test_a_damaged_folder_is_taken_or_refused(name, file, kind, place, value, folder, originals):
    model, files = copied(name, originals, folder), MORE.get(name, FILES)
    damage(model / files[file % len(files)], kind, place, value)
    build(name, model)


@fuzzed(examples=60, name=NAMES, file=st.integers(0, 2), place=PLACE, value=VALUES)
def test_a_planted_value_is_taken_or_refused(name, file, place, value, folder, originals):
    model = copied(name, originals, folder)
    files = [name for name in MORE.get(name, FILES) if name.endswith(".json")]
    plant(model / files[file % len(files)], place, value)
    build(name, model)
