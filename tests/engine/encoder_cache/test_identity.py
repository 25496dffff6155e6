"""Whatever changes a recording's states changes the identity, and nothing else does."""

import json
import shutil

import pytest
import torch
import transformers

from aista import registry
from aista.engine.encoder_cache.identity import encoder_identity
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config

PLUGIN = '''
from aista.registry import register
from aista.testing.dummies import DummyEncoder

@register("encoder", "test_identity")
def build(*, feature_dim):
    """One linear layer."""
    return DummyEncoder(feature_dim)
'''


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": 16, "encoder_layers": 2, "encoder_ffn_dim": 24, **heads}
    tokens = {"vocab_size": 20, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = transformers.WhisperConfig(
        **sizes, **tokens, decoder_layers=1, num_mel_bins=80, suppress_tokens=None, begin_suppress_tokens=None
    )
    transformers.WhisperModel(config).save_pretrained(tmp_path / "whisper")
    return tmp_path / "whisper"


@pytest.fixture
def identity(tmp_path, corpus, folder):
    def find(*overrides, path=folder, change=lambda encoder: None):
        config = tiny_config(corpus)
        config["encoder"] = {"name": "whisper", "config": {"path": str(path)}}
        config["data"]["feature"] = {"name": "whisper_log_mel"}
        experiment = load_experiment(write_config(tmp_path / "config.yaml", config), overrides)
        task = build_task(experiment)
        encoder = task.build_part("encoder", feature_dim=task.feature.dim)
        change(encoder)
        return encoder_identity(experiment, encoder)

    return find


def test_it_is_plain_data_that_repeats(identity):
    assert identity() == json.loads(json.dumps(identity()))
    assert identity()["encoder"]["name"] == "whisper"
    assert len(identity()["weights"]) == 64


def test_what_has_no_part_in_the_states_is_left_out(tmp_path, identity, folder):
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert identity(path=moved) == identity()
    assert identity("llm.config.num_layers=1", "seed=9", "data.batch_size=2", "adapter=conv") == identity()
    assert identity(change=lambda encoder: encoder.requires_grad_(False).eval()) == identity()


def nudge(encoder):
    with torch.no_grad():
        encoder.conv1.bias[0] += 1e-6


def nudge_buffer(encoder):
    encoder.positions[0, 0] += 1e-3


def test_weights_buffers_and_options_count(identity):
    found = [
        identity(),
        identity(change=nudge),
        identity(change=nudge_buffer),
        identity(change=lambda encoder: encoder.double()),
        identity("encoder.config.layers=1"),
        identity("data.feature.config.pad_to_30s=true"),
    ]
    assert len({json.dumps(one, sort_keys=True) for one in found}) == len(found)


def test_settings_that_weights_do_not_show_count(identity, folder):
    before = identity()
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"encoder_attention_heads": 4}))
    after = identity()
    assert after["weights"] == before["weights"]
    assert after != before


def test_versions_count(identity, monkeypatch):
    before = identity()
    monkeypatch.setattr("aista.engine.encoder_cache.identity.version", lambda name: "0.0")
    assert identity() != before


def test_the_source_of_a_plugin_counts(tmp_path, corpus, clean_registry):
    found = []
    for number, source in enumerate((PLUGIN, PLUGIN, PLUGIN.replace("One linear", "Another linear"))):
        if source != PLUGIN:
            del registry._entries["encoder", "test_identity"]  # a copy is the same plug-in; this is another
        plugin = tmp_path / f"plugin{number}.py"
        plugin.write_text(source)
        config = tiny_config(corpus, encoder="test_identity", plugins=[str(plugin)])
        experiment = load_experiment(write_config(tmp_path / "config.yaml", config))
        torch.manual_seed(0)
        task = build_task(experiment)
        found.append(encoder_identity(experiment, task.build_part("encoder", feature_dim=task.feature.dim)))
    assert found[0] == found[1] != found[2]
