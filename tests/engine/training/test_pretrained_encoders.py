"""A pretrained encoder from a folder, trained and evaluated through the engine."""

import json

import pytest
import torch
from safetensors.torch import load_file

from aista.engine.checkpoints import find_checkpoint, load_weights
from aista.engine.export.write import export
from aista.engine.inference.evaluate import evaluate
from aista.engine.training.train import train
from aista.errors import ConfigError
from aista.tasks.experiment import load_experiment
from tests.modules.encoders.folders import make_folder, make_model
from tests.modules.encoders.test_w2v_bert import SIZE, fairseq_names
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
    assert all(step["nll"] > 0 and step["ot_layer_1"] > 0 for step in steps)
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


def test_w2v_bert_of_fairseq2_is_trained_and_its_export_needs_no_checkpoint(tmp_path, corpus):
    file = tmp_path / "conformer_shaw.pt"
    torch.save({"model": fairseq_names(make_model("w2v-bert").state_dict(), linear=False)}, file)
    encoder = {"name": "w2v_bert", "config": SIZE | {"max_frames": 400, "checkpoint": str(file)}}
    run, out = tmp_path / "run", tmp_path / "out"
    train(experiment(tmp_path, corpus, "w2v-bert", FEATURES["w2v-bert"], encoder=encoder), run)
    trained = load_weights(find_checkpoint(run))
    assert "encoder.stack.layers.2.self_attn.sdpa.rel_k_embed.weight" in trained
    evaluate(run, "test")
    export(run, out)
    file.unlink()
    evaluate(out, str(corpus / "test.tsv"))
    files = [next((folder / "evaluation").glob("test*/hypotheses.tsv")) for folder in (run, out)]
    hypotheses = [file.read_text() for file in files]
    assert hypotheses[0] == hypotheses[1]
    feature = {"name": "log_mel", "config": {"num_mels": 160, "window_ms": 64}}
    torch.save({"model": fairseq_names(make_model("w2v-bert").state_dict(), linear=False)}, file)
    with pytest.raises(ConfigError, match=r"trained on seamless_fbank .*set data\.feature: seamless_fbank"):
        train(experiment(tmp_path, corpus, "w2v-bert", feature, encoder=encoder), tmp_path / "other")
