"""Layer selections that ask the model for more than states: in training, on one process and on two."""

import json

import pytest

from tests.engine.training.processes import in_processes
from tests.tiny import tiny_config, write_config

pytestmark = pytest.mark.slow


def options(corpus, name, **changes):
    config = tiny_config(
        corpus,
        trainer={"max_steps": 4, "learning_rate": 3e-3, "log_every": 2},
        layer_selection={"name": name, "config": {"warmup_steps": 2, "probe_size": 8, "top_k": 1}},
        **changes,
    )
    for part in ("encoder", "llm"):
        config[part]["config"]["dropout"] = 0.0
    return config


def choice(run):
    data = json.loads((run / "selection.json").read_text())
    return data["layers"], data["reason"], [layer["measures"] for layer in data["curve"]["layers"]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, corpus):
    """Name -> its choice on one process."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            in_processes(1, write_config(folder / "config.yaml", options(corpus, name)), folder / "run")
            made[name] = choice(folder / "run")
        return made[name]

    return get


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
@pytest.mark.parametrize(("name", "measure"), [("gradient_agreement", "gradient_cosine"), ("logit_lens", "lens_mrr")])
def test_two_processes_choose_as_one(tmp_path, corpus, alone, name, measure, parallelism):
    layers, reason, expected = alone(name)
    assert reason.startswith(f"{measure}: layer ")
    file = write_config(tmp_path / "config.yaml", options(corpus, name))
    in_processes(2, file, tmp_path / "run", f"trainer.data_parallelism={parallelism}")
    found = choice(tmp_path / "run")
    assert found[0] == layers
    for one, other in zip(expected, found[2], strict=True):
        assert other[measure]["value"] == pytest.approx(one[measure]["value"], rel=1e-3, abs=1e-5)


def test_words_are_compared_where_their_times_are_known(alone):
    layers, reason, measures = alone("word_retrieval")
    assert len(layers) == 1
    assert reason.startswith("word_mrr: layer ")
    assert all(0 < layer["word_mrr"]["value"] <= 1 for layer in measures)
