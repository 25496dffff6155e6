"""What `aista train --dry-run` says, and what it refuses."""

import json
import re

import pytest
import torch

from aista.engine import precision
from aista.engine.batch_plan import length_batches
from aista.engine.cost.dry_run import dry_run
from aista.engine.cost.rows import Assumption
from aista.engine.training.train import find_stage
from aista.environment import peak_mib
from aista.errors import AistaError, ConfigError, DataError
from aista.tasks.experiment import load_experiment
from tests.engine.cost.configs import make_large_folders
from tests.tiny import tiny_config, write_config

ASSUMED = Assumption(2000, 5.4, 12.0, 15.0)


def experiment(tmp_path, corpus, *overrides, **changes):
    return load_experiment(write_config(tmp_path / "config.yaml", tiny_config(corpus, **changes)), list(overrides))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return make_large_folders(tmp_path_factory.mktemp("large"))


def large_config(tmp_path, large):
    config = {
        "tokenizer": {"name": "hugging_face", "config": {"path": str(large / "qwen")}},
        "prompt": {"user": "{speech} Translate."},
        "data": {
            "train": "nowhere/train.tsv",
            "dev": "nowhere/dev.tsv",
            "feature": {"name": "whisper_log_mel", "config": {"num_mels": 128}},
            "target_language": "zh-CN",
        },
        "encoder": {"name": "whisper", "tuning": "frozen", "config": {"path": str(large / "whisper")}},
        "adapter": {"name": "conv"},
        "llm": {"name": "hf_causal_lm", "tuning": {"name": "lora"}, "config": {"path": str(large / "qwen")}},
        "layer_selection": {"name": "retrieval", "config": {"candidates": [0, 1, 2]}},
        "alignment": [{"name": "ot", "weight": 0.1}],
        "trainer": {"mixed_precision": "bfloat16", "activation_checkpointing": True, "max_steps": 200},
    }
    return write_config(tmp_path / "large.yaml", config)


def test_a_run_on_data_is_costed_and_nothing_is_written(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda: 0.09)
    found = dry_run(experiment(tmp_path, corpus, "trainer.mixed_precision=auto"), processes=(1, 2))
    text = str(found)
    assert f"\n{found.to_json()['mixed_precision']}\n" in text
    assert "trainer.mixed_precision: auto is off on this machine (bfloat16 multiplies at 0.09 times" in text
    assert torch.bfloat16 in found.cost.step.by_type  # of a GPU
    assert "nothing was written" in text
    assert f"rows: {corpus}/train.tsv" in text
    assert "24 rows in 3 batches an epoch: 3 steps" in text
    assert "alignment at layers 0, 1 adds" in text
    assert "FSDP2, 2 processes" in text
    assert "on one NVIDIA H100 SXM at 40% of its peak (989.4 TFLOP/s in bfloat16" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml"]


def test_the_json_says_the_same(tmp_path, corpus):
    found = dry_run(experiment(tmp_path, corpus, "trainer.grad_accumulation=2"), processes=(1, 2), device="a100")
    data = json.loads(json.dumps(found.to_json()))
    assert data["parameters"]["model"]["total"] == found.table.total.total
    cost = data["cost"]
    assert cost["steps_per_epoch"] == 1.5
    assert [row["sharded"] for row in cost["memory"]] == [False, False, True]
    assert cost["epoch"]["device"] == "NVIDIA A100 80 GB SXM"
    operations = sum(sum(counts.values()) for counts in cost["operations_of_batch"].values())
    assert cost["epoch"]["seconds"] == pytest.approx(cost["epoch"]["operations"] / (19.5e12 * 0.4))
    assert cost["epoch"]["operations"] == pytest.approx(3 * operations, rel=0.2)


@pytest.mark.slow
def test_a_model_of_seven_billion_without_its_weights(tmp_path, large):
    """Parameter counts of the published models, in little memory, with no data and no weights."""
    before = peak_mib()
    found = dry_run(load_experiment(large_config(tmp_path, large)), assumption=ASSUMED, processes=(8,))
    counts = {part.part: part for part in found.table.parts}
    assert counts["llm"].total - counts["llm"].trainable == 7_615_616_512
    assert counts["encoder"].total == 635_048_960  # of 636,968,960, less 1500 x 1280 fixed sinusoids
    assert found.missing == {"encoder": str(large / "whisper"), "llm": str(large / "qwen")}
    assert f"llm: no weights in {large}/qwen yet; a run would stop there" in str(found)
    cost = found.cost
    assert cost.layers == (1, 2)
    assert 0 < cost.added < 0.02
    assert cost.activations[True] < 0.3 * cost.activations[False]
    assert peak_mib() - before < 1500


STAGES = [
    {"name": "lm", "task": "text_translation", "part": "llm"},
    {"name": "ctc", "task": "ctc_asr", "part": "encoder"},
]


def test_stages_are_costed_too(tmp_path, corpus):
    staged = experiment(tmp_path, corpus, pretraining=STAGES)
    lm, ctc = (dry_run(find_stage(staged, name), processes=(1,)).cost for name in ("lm", "ctc"))
    assert {"seconds", "speech positions"}.isdisjoint(lm.rows)
    assert {part for part, _ in lm.step.operations} == {"llm", "rest"}
    assert ctc.rows["seconds"].mean > 0
    assert ("encoder", 1) in ctc.step.operations
    assert lm.layers is ctc.layers is None
    assert lm.added is ctc.added is None


def test_losses_on_predictions_align_no_layers(tmp_path, corpus):
    text = str(dry_run(experiment(tmp_path, corpus, "alignment=[{name: kl}]"), processes=(1,)))
    assert "alignment of predictions adds" in text


def test_what_depends_on_numbers_has_no_estimate_but_is_checked(tmp_path, corpus):
    found = dry_run(experiment(tmp_path, corpus, "adapter={name: cif}"))
    assert found.cost is None
    assert "no cost is estimated: the step cannot be run on shapes alone" in str(found)
    assert found.to_json()["cost"] is None
    assert found.table.total.trainable > 0


def test_faults_of_the_config_are_still_found(tmp_path, corpus):
    with pytest.raises(ConfigError, match=r"layer_selection\.config.*layer 9"):
        dry_run(experiment(tmp_path, corpus, "layer_selection.config.layers=[9]"), assumption=ASSUMED)
    with pytest.raises(ConfigError, match=r"parameter_groups\[0\].*'lm.x' matches no parameter"):
        dry_run(experiment(tmp_path, corpus, "trainer.parameter_groups=[{params: lm.x, learning_rate: 0.1}]"))
    with pytest.raises(ConfigError, match=r"data\.train: no such file: 'nowhere'"):
        dry_run(experiment(tmp_path, corpus, "data.train=nowhere"))
    with pytest.raises(DataError, match="must take at most 26 LLM positions"):
        dry_run(experiment(tmp_path, corpus, "llm.config.max_positions=26", "evaluation.generation.max_new_tokens=4"))


def test_a_folder_that_is_missing_altogether(tmp_path, large):
    config = large_config(tmp_path, large)
    with pytest.raises(ConfigError, match="nowhere: no such folder; name that of a model with its tokenizer"):
        dry_run(load_experiment(config, ["tokenizer.config.path=nowhere"]), assumption=ASSUMED)
    with pytest.raises(ConfigError, match=r"llm\.config: path: nowhere is not the folder .*no such folder"):
        dry_run(load_experiment(config, ["llm.config.path=nowhere"]), assumption=ASSUMED)
    with pytest.raises(ConfigError, match=r"encoder\.config: path: nowhere is not the folder of a Hugging Face model"):
        dry_run(load_experiment(config, ["encoder.config.path=nowhere"]), assumption=ASSUMED)


def test_more_processes_than_rows_of_a_batch(tmp_path, corpus):
    with pytest.raises(AistaError, match=r"--processes: a batch has data\.batch_size 8 rows, fewer than 16"):
        dry_run(experiment(tmp_path, corpus), processes=(1, 16))


def test_more_processes_than_a_batch_of_seconds_holds(tmp_path, corpus):
    short = experiment(tmp_path, corpus, "data.max_batch_seconds=1", "data.max_seconds=1")
    found = dry_run(short, processes=(1, 8))
    assert found.cost is None
    assert re.search(r"for 8 processes: a batch must hold 8 rows of any size, .* fewer with --processes", str(found))
    assert dry_run(short, processes=(1,)).cost is not None
    with pytest.raises(DataError, match=r"a batch must hold 8 rows of any size, .* raise data\.max_batch_seconds"):
        length_batches([0.4] * 9, short, with_audio=True, world_size=8)
