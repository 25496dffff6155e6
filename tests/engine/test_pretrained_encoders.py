"""A pretrained encoder from a folder, trained and evaluated through the engine."""

import json

import pytest
import torch
from safetensors.torch import load_file

from aista.engine.checkpoints import find_checkpoint, load_weights
from aista.engine.evaluate import evaluate
from aista.engine.train import train
from aista.errors import ConfigError
from aista.tasks.experiment import load_experiment
from tests.modules.encoders.folders import make_folder
from tests.tiny import tiny_config, write_config

FEATURES = {"wav2vec2-base": {"name": "waveform"}, "w2v-bert": {"name": "seamless_fbank"}}


def experiment(tmp_path, corpus, kind, feature, **changes):
    folder = make_folder(tmp_path / "model", kind)
    config = tiny_config(corpus)
    changes = {
        "encoder": {"name": "hf_speech", "config": {"path": str(folder), "layers": "weighted"}},
        "data": config["data"] | {"feature": feature},
        "adapter": {"name": "conv", "config": {"stride": 8}},
        "llm": {"name": "transformer_lm", "config": {"model_dim": 16, "num_layers": 2, "max_positions": 400}},
        "trainer": {"max_steps": 2, "learning_rate": 1e-2, "log_every": 1},
        **changes,
    }
    return load_experiment(write_config(tmp_path / "config.yaml", config | changes))


@pytest.mark.parametrize("kind", FEATURES)
def test_two_steps_train_the_mix_of_a_frozen_encoder(kind, tmp_path, corpus):
    run = tmp_path / "run"
    train(experiment(tmp_path, corpus, kind, FEATURES[kind], freeze_params=[r"encoder\.model"]), run)
    steps = [json.loads(line) for line in (run / "metrics" / "train.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == [1, 2]
    assert all(step["nll"] > 0 and step["align_layer_1"] > 0 for step in steps)
    trained = load_weights(find_checkpoint(run))
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert trained["encoder.mix.weights"].abs().max() > 0
    for name in [name for name in saved if name != "masked_spec_embed"]:
        assert torch.equal(trained[f"encoder.model.{name}"], saved[name]), name
    evaluate(run, "test")
    assert (run / "evaluation" / "test" / "scores.json").is_file()


def test_another_feature_is_refused_before_training(tmp_path, corpus):
    feature = {"name": "waveform", "config": {"normalize": False}}
    with pytest.raises(ConfigError, match=r"data\.feature: .*trained on normalized waveform .* got plain waveform"):
        train(experiment(tmp_path, corpus, "wav2vec2-base", feature), tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.pt"))
