"""A run whose number of processes changes at every start learns what one process learns without a stop."""

import json

import pytest
import torch

from aista.engine.training.resharding import join
from tests.engine.training.processes import in_processes
from tests.tiny import tiny_config, write_config

COMPARED = ("nll", "grad_norm", "ot_layer_1", "aligned_rows", "lr")


def records(run):
    lines = (run / "metrics" / "train.jsonl").read_text().splitlines()
    return {record["step"]: record for record in map(json.loads, lines)}  # the later line counts


@pytest.fixture(scope="module")
def config(tmp_path_factory, corpus):
    """No dropout; a warm-up before the layer is chosen, so that the choice is read back too."""
    trainer = {"max_steps": 14, "learning_rate": 3e-3, "log_every": 1, "checkpoint_every": 2, "keep_last": 20}
    retrieval = {"name": "retrieval", "config": {"warmup_steps": 3, "probe_size": 8, "candidates": [1], "top_k": 1}}
    options = tiny_config(corpus, trainer=trainer, layer_selection=retrieval)
    options["encoder"]["config"]["dropout"] = options["llm"]["config"]["dropout"] = 0.0
    options["evaluation"]["metrics"] = []
    return write_config(tmp_path_factory.mktemp("resharding") / "config.yaml", options)


@pytest.fixture(scope="module")
def whole(config):
    in_processes(1, config, config.parent / "whole")
    return config.parent / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
def test_any_number_of_processes_resumes_a_run(config, whole, parallelism):
    run, way = config.parent / parallelism, f"trainer.data_parallelism={parallelism}"
    for number, stop_before in ((1, 4), (2, 7), (1, 10), (2, 12), (3, 0)):
        in_processes(number, config, run, way, stop_before=stop_before)
    expected, found = records(whole), records(run)
    assert list(found) == list(range(1, 15))
    for step, record in expected.items():
        for name in set(COMPARED) & record.keys():
            assert found[step][name] == pytest.approx(record[name], rel=1e-5), (step, name)


@pytest.mark.parametrize("shape", [(5, 2), (1, 3), (2,), (7,)])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_shards_are_joined_to_the_whole(shape, number):
    """FSDP2 cuts as ``torch.chunk`` does; the last processes may have nothing."""
    whole = torch.randn(shape)
    shards = list(whole.chunk(number))
    shards += [whole[:0]] * (number - len(shards))
    assert torch.equal(join(shards, whole.shape), whole)


def test_copies_and_scalars_are_taken_once():
    whole = torch.randn(4, 2)
    assert join([whole, whole], whole.shape) is whole
    assert join([torch.tensor(3.0), torch.tensor(3.0)], whole.shape) == 3
