"""Exported folders that were damaged, and ones into which something was planted with checksums that fit."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import strategies as st

from aista.engine.export.record import Record, hash_files
from aista.engine.export.write import export
from aista.engine.inference.trained_run import open_run
from aista.errors import AistaError
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.finished import finish
from tests.fuzz import fuzzed
from tests.fuzz.damage import KINDS, PLACES, VALUES, damage, plant
from tests.tiny import tiny_config

WHISPER = {"d_model": 8, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 8, "num_mel_bins": 80}
DECODER = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "vocab_size": 9}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
LLAMA = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 300, "num_attention_heads": 2}
LORA = {"name": "lora", "config": {"r": 2, "lora_dropout": 0.0}}

FILES = [
    "config.json",
    "export.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "encoder/config.json",
    "llm/config.json",
]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An export with a Whisper, LoRA on a Llama, and a tokenizer of Hugging Face's, and its weights."""
    root = tmp_path_factory.mktemp("original")
    torch.manual_seed(0)
    whisper = transformers.WhisperConfig(**WHISPER, **DECODER, **SPECIAL, max_source_positions=60)
    transformers.WhisperModel(whisper).save_pretrained(root / "whisper")
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)).save_pretrained(root / "llama")
    save_tokenizer(root / "llama", eos_token="<|end|>", pad_token="<|pad|>")
    options = tiny_config(root, prompt="{speech}<|fr|>")
    options["encoder"] = {"name": "whisper", "tuning": "frozen", "config": {"path": str(root / "whisper")}}
    options["llm"] = {"name": "hf_causal_lm", "tuning": LORA, "config": {"path": str(root / "llama")}}
    options["tokenizer"] = {"name": "hugging_face", "config": {"path": str(root / "llama")}}
    options["data"]["feature"] = "whisper_log_mel"
    run, _ = finish(root, options)
    export(run, root / "out")
    return root / "out"


@fuzzed(examples=60, file=st.sampled_from(FILES), kind=KINDS, place=st.integers(0, 1 << 30), value=st.integers(0, 255))
def test_a_damaged_export_is_refused(file, kind, place, value, folder, original):
    out = folder / "out"
    shutil.copytree(original, out)
    expected = pytest.raises(AistaError) if damage(out / file, kind, place, value) else contextlib.nullcontext()
    with expected:
        open_run(out, device="cpu")


@fuzzed(
    examples=60,
    file=st.sampled_from([name for name in FILES if name.endswith(".json") and name != "export.json"]),
    place=st.integers(0, 1 << 30),
    value=VALUES,
)
def test_a_planted_value_is_taken_or_refused(file, place, value, folder, original):
    out = folder / "out"
    shutil.copytree(original, out)
    plant(out / file, place, value)
    resign(out)
    with contextlib.suppress(AistaError):
        open_run(out, device="cpu")


@fuzzed(
    examples=20,
    field=st.sampled_from(["run", "kind", "step", "score", "files"]),
    value=VALUES,
    name=st.sampled_from(PLACES),
)
def test_a_planted_record_is_taken_or_refused(field, value, name, folder, original):
    out = folder / "out"
    shutil.copytree(original, out)
    resign(out, **{field: value if field != "files" else {**hash_files(out), name: value}})
    with contextlib.suppress(AistaError):
        open_run(out, device="cpu")


@fuzzed(examples=40, kind=KINDS, place=st.integers(0, 2000), value=st.integers(0, 255))
def test_weights_without_their_checksum_are_taken_or_refused(kind, place, value, folder, original):
    """Most of a file of weights is their numbers; the header is what a reader trips over."""
    out = folder / "out"
    shutil.copytree(original, out)
    damage(out / "model.safetensors", kind, place, value)
    with contextlib.suppress(AistaError):
        open_run(out, device="cpu", verify=False)


def resign(out: Path, **changes):
    data = json.loads((out / "export.json").read_text())
    del data["sha256"]
    (out / "export.json").unlink()
    Record(**{**data, "files": hash_files(out), **changes}).write(out)
