"""DDP and FSDP2 on two CPU processes give the losses of one process."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.tiny import make_corpus, tiny_config, write_config

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


@pytest.fixture(scope="module")
def config(tmp_path_factory, corpus):
    """No dropout (each process draws its own), rows without transcripts, layers chosen by retrieval."""
    options = tiny_config(
        corpus,
        trainer={"max_steps": 6, "learning_rate": 3e-3, "log_every": 2, "mixed_precision": "off"},
        layer_selection={"name": "retrieval", "config": {"warmup_steps": 2, "probe_size": 8, "top_k": 2}},
    )
    options["encoder"]["config"]["dropout"] = 0.0
    options["llm"]["config"]["dropout"] = 0.0
    return write_config(tmp_path_factory.mktemp("distributed") / "config.yaml", options)


def train(config, run, launcher, *overrides):
    arguments = ["-m", "aista.cli.main", "train", str(run), "--config", str(config), *overrides]
    result = subprocess.run(
        [*launcher, *arguments], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    metrics = [json.loads(line) for line in (run / "metrics" / "train.jsonl").read_text().splitlines()]
    valid = json.loads((run / "metrics" / "valid.jsonl").read_text().splitlines()[-1])
    return metrics, valid


ADAPTERS = {
    "ddp": {"name": "moe", "config": {"stride": 2, "num_experts": 4}},
    "fsdp": {"name": "ctc_compress"},
}


@pytest.mark.parametrize("parallelism", ADAPTERS)
def test_an_adapters_losses_are_the_same_on_two_processes(tmp_path, config, parallelism):
    """Most rows lack transcripts, experts may get no position: every parameter takes part all the same."""
    manifest = make_corpus(tmp_path / "corpus", untranscribed=18) / "train.tsv"
    overrides = [f"adapter={json.dumps(ADAPTERS[parallelism])}", f"data.train={manifest}"]
    expected, expected_valid = train(config, tmp_path / "single", [sys.executable], *overrides)
    overrides.append(f"trainer.data_parallelism={parallelism}")
    metrics, valid = train(config, tmp_path / "two", TORCHRUN, *overrides)
    assert any(name.startswith("adapter_") for name in expected[0])
    for record, one in zip([*metrics, valid], [*expected, expected_valid], strict=True):
        compared = [name for name in one if name.startswith(("nll", "adapter_", "align_layer_"))]
        assert set(compared) <= record.keys()
        for name in compared:
            assert record[name] == pytest.approx(one[name], rel=1e-3, abs=1e-6), (record["step"], name)


@pytest.fixture(scope="module")
def single(config):
    return train(config, config.parent / "single", [sys.executable])


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_two_processes_equal_one(config, single, parallelism):
    run = config.parent / parallelism
    metrics, valid = train(config, run, TORCHRUN, f"trainer.data_parallelism={parallelism}")
    for record, expected in zip(metrics, single[0], strict=True):
        aligned = sorted(name for name in expected if name.startswith("align_layer"))
        assert sorted(name for name in record if name.startswith("align_layer")) == aligned
        for name in ("nll", "grad_norm", *aligned):
            assert record[name] == pytest.approx(expected[name], rel=1e-4), (record["step"], name)
    assert "align_layer_0" in metrics[-1] or "align_layer_1" in metrics[-1]
    assert valid["nll"] == pytest.approx(single[1]["nll"], rel=1e-4)
    assert valid["bleu"] == pytest.approx(single[1]["bleu"])
    scores = subprocess.run(
        [sys.executable, "-m", "aista.cli.main", "evaluate", str(run)], capture_output=True, text=True
    )
    assert scores.returncode == 0, scores.stderr


RIVALS = [
    {"name": "infonce", "weight": 0.5},  # negatives of all processes
    {"name": "infonce", "weight": 0.5, "config": {"level": "token"}},
    {"name": "ctc", "weight": 0.5},  # the vocabulary's embeddings leave the sharded model
    {"name": "kl", "weight": 0.5},  # sharded weights project again in backward
]


@pytest.fixture(scope="module")
def rivals(config):
    """The same run with the losses that ask for more than states; the text side moves, so that it is gathered too."""
    options = yaml.safe_load(config.read_text()) | {"alignment": RIVALS, "text_gradient": True}
    file = write_config(config.parent / "rivals.yaml", options)
    return file, train(file, config.parent / "rivals_single", [sys.executable])


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_two_processes_equal_one_with_every_need(rivals, parallelism):
    file, (expected, expected_valid) = rivals
    run = file.parent / f"rivals_{parallelism}"
    metrics, valid = train(file, run, TORCHRUN, f"trainer.data_parallelism={parallelism}")
    names = [name for name in expected[-1] if name.startswith("align")]
    assert {"align0_accuracy", "align1_candidates", "align2_infeasible", "align3_predictions"} <= set(names)
    for record, single in zip(metrics, expected, strict=True):
        for name in ("nll", "grad_norm", *(name for name in single if name.startswith("align"))):
            assert record[name] == pytest.approx(single[name], rel=1e-3, abs=1e-6), (record["step"], name)
    assert valid["nll"] == pytest.approx(expected_valid["nll"], rel=1e-3)
