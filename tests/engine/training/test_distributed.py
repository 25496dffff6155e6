"""DDP and FSDP2 on two CPU processes give the losses of one process."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from aista.cli.main import main
from aista.engine.checkpoints import checkpoint_steps, load_weights
from tests.engine.training.early_ends import PATHS, compare
from tests.engine.training.processes import in_processes
from tests.processes import in_ranks
from tests.tiny import make_corpus, tiny_config, write_config

pytestmark = pytest.mark.slow


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


def train(config, run, number, *overrides):
    in_processes(number, config, run, *overrides)
    return records(run), records(run, "valid")[-1]


def records(run, split="train"):
    return [json.loads(line) for line in (run / "metrics" / f"{split}.jsonl").read_text().splitlines()]


ADAPTERS = {
    "ddp": {"name": "moe", "config": {"stride": 2, "num_experts": 4}},
    "fsdp": {"name": "ctc_compress"},
}


@pytest.mark.parametrize("parallelism", ADAPTERS)
def test_an_adapters_losses_are_the_same_on_two_processes(tmp_path, config, parallelism):
    """Most rows lack transcripts, experts may get no position: every parameter takes part all the same."""
    manifest = make_corpus(tmp_path / "corpus", untranscribed=18) / "train.tsv"
    overrides = [f"adapter={json.dumps(ADAPTERS[parallelism])}", f"data.train={manifest}"]
    expected, expected_valid = train(config, tmp_path / "single", 1, *overrides)
    overrides.append(f"trainer.data_parallelism={parallelism}")
    metrics, valid = train(config, tmp_path / "two", 2, *overrides)
    assert any(name.startswith("adapter_") for name in expected[0])
    for record, one in zip([*metrics, valid], [*expected, expected_valid], strict=True):
        compared = [name for name in one if name.startswith(("nll", "adapter_", "ot_layer_"))]
        assert set(compared) <= record.keys()
        for name in compared:
            assert record[name] == pytest.approx(one[name], rel=1e-3, abs=1e-6), (record["step"], name)


@pytest.fixture(scope="module")
def early_ends(tmp_path_factory):
    """Path and way -> largest difference of a parameter from that of one process; see ``early_ends``."""
    folder = tmp_path_factory.mktemp("early_ends")
    corpus = make_corpus(folder / "corpus", untranscribed=6)
    in_ranks(2, compare, folder, corpus)
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_ends_early_learns_what_one_process_learns(early_ends, path, parallelism):
    assert early_ends[f"{path}-{parallelism}"] < 1e-6


def test_alignment_alone_trains_on_two_processes(config):
    overrides = ["translation_weight=0", "layer_selection={name: fixed, config: {layers: [1]}}"]
    one, two = (config.parent / f"alone_{number}" for number in (1, 2))
    in_processes(1, config, one, *overrides)
    in_processes(2, config, two, *overrides)
    for record, expected in zip(records(two), records(one), strict=True):
        assert record["ot_layer_1"] == pytest.approx(expected["ot_layer_1"], rel=1e-4)
        assert record["aligned_rows"] == expected["aligned_rows"] == 16


BREAKING = """
import os
from aista.losses.costs import Cosine
from aista.registry import register

calls = []

@register("cost", "breaking")
class Breaking(Cosine):
    \"\"\"As cosine, but NaN on the second process after a while. Choose it to test.\"\"\"

    def forward(self, x, y, a, b):
        calls.append(1)
        cost, saved = super().forward(x, y, a, b)
        return cost * (float("nan") if len(calls) > 20 and os.environ.get("RANK") == "1" else 1), saved
"""


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_all_processes_stop_at_a_gradient_that_is_not_finite(tmp_path, config, parallelism):
    (tmp_path / "breaking.py").write_text(BREAKING)
    options = yaml.safe_load(config.read_text()) | {"plugins": [str(tmp_path / "breaking.py")]}
    options["alignment"] = [{"name": "ot", "config": {"cost": "breaking"}}]
    options["layer_selection"] = {"name": "fixed", "config": {"layers": [1]}}
    options["trainer"] = {"max_steps": 20, "log_every": 1, "checkpoint_every": 1, "data_parallelism": parallelism}
    run, file = tmp_path / "run", write_config(tmp_path / "config.yaml", options)
    in_processes(2, file, run, exit_code=1)
    errors = [(run / f"error_{rank}").read_text() for rank in (0, 1)]
    steps = [
        re.match(r"step (\d+): the gradient norm must be finite, got nan; rows .* and 3 more", e)[1] for e in errors
    ]
    (last,) = checkpoint_steps(run)
    assert {int(step) - 1 for step in steps} == {last.step}
    assert all(tensor.isfinite().all() for tensor in load_weights(last).values())


@pytest.fixture(scope="module")
def single(config):
    return train(config, config.parent / "single", 1)


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_two_processes_equal_one(config, single, parallelism):
    run = config.parent / parallelism
    metrics, valid = train(config, run, 2, f"trainer.data_parallelism={parallelism}")
    for record, expected in zip(metrics, single[0], strict=True):
        aligned = sorted(name for name in expected if name.startswith("ot_layer"))
        assert sorted(name for name in record if name.startswith("ot_layer")) == aligned
        for name in ("nll", "grad_norm", *aligned):
            assert record[name] == pytest.approx(expected[name], rel=1e-4), (record["step"], name)
    assert "ot_layer_0" in metrics[-1] or "ot_layer_1" in metrics[-1]
    assert valid["nll"] == pytest.approx(single[1]["nll"], rel=1e-4)
    assert valid["bleu"] == pytest.approx(single[1]["bleu"])
    assert main(["evaluate", str(run)]) == 0


def test_torchrun_starts_the_processes(tmp_path, config):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "aista"]
    overrides = ["trainer.max_steps=3", "trainer.data_parallelism=fsdp"]
    command = [*launcher, "train", str(tmp_path / "run"), "--config", str(config), *overrides]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    shards = (tmp_path / "run" / "checkpoints" / "step_3" / "model" / "pp_00" / "tp_00").iterdir()
    assert sorted(file.name for file in shards) == ["sdp_00.pt", "sdp_01.pt"]


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
    return file, train(file, config.parent / "rivals_single", 1)


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_two_processes_equal_one_with_every_need(rivals, parallelism):
    file, (expected, expected_valid) = rivals
    run = file.parent / f"rivals_{parallelism}"
    metrics, valid = train(file, run, 2, f"trainer.data_parallelism={parallelism}")
    assert {"infonce_accuracy", "infonce2_candidates", "ctc_infeasible", "kl_predictions"} <= set(expected[-1])
    for record, single in zip(metrics, expected, strict=True):
        names = [name for name in single if name.startswith(("infonce", "ctc", "kl"))]
        for name in ("nll", "grad_norm", *names):
            assert record[name] == pytest.approx(single[name], rel=1e-3, abs=1e-6), (record["step"], name)
    assert valid["nll"] == pytest.approx(expected_valid["nll"], rel=1e-3)
