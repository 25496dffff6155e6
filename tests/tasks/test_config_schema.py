"""The JSON Schema takes what aista takes, and refuses what is misspelt."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from jsonschema import Draft7Validator

from aista.config import load_yaml, replace_nodes
from aista.errors import ConfigError
from aista.json_schema import options_schema
from aista.runs.ablation.variants import AblationConfig
from aista.schema import Component, component, components, option, required, section, structure
from aista.shipped import shipped_configs
from aista.tasks.config_schema import experiment_schema
from aista.tasks.experiment import load_experiment


def validator(schema):
    Draft7Validator.check_schema(schema)
    return Draft7Validator(json.loads(json.dumps(schema)))


@pytest.fixture(scope="module")
def of_experiments():
    return validator(experiment_schema())


@pytest.mark.parametrize("name", list(shipped_configs()))
def test_shipped_configs_are_valid(name, of_experiments):
    config = load_yaml(shipped_configs()[name])
    of_file = validator(options_schema("ablation", AblationConfig)) if "base" in config else of_experiments
    assert [error.message for error in of_file.iter_errors(config)] == []


@pytest.mark.parametrize("name", ["quickstart", "covost2_multitask_whisper_qwen"])
def test_so_are_configs_with_every_default_filled_in(name, of_experiments):
    config = load_experiment(shipped_configs()[name]).to_plain()
    assert [error.message for error in of_experiments.iter_errors(config)] == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("trainr", {}),
        ("trainer.max_step", 10),
        ("trainer.max_steps", 0),
        ("trainer.max_steps", "many"),
        ("trainer.schedule", "linear"),
        ("data.augmentation.config.num_mask", 2),
        ("alignment[0].wieght", 1.0),
        ("alignment[0].config.solver.config.epsilom", 0.1),
        ("alignment[0].config.solver.config.epsilon", -0.1),
        ("alignment[0].config.solver", "sinkhron"),
        ("layer_selection", {"config": {"layer": [1]}}),
        ("layer_selection", {"name": "all", "config": {"top_k": 2}}),
        ("pretraining[0].config.trainer.max_step", 10),
        ("pretraining[0].config.alignment", []),
        ("pretraining[0].part", "decoder"),
        ("tokenizer.config", {}),
        ("task", "ctc_asr"),
    ],
)
def test_what_is_wrong_is_refused(place, value, of_experiments):
    config = load_yaml(shipped_configs()["quickstart"])
    assert of_experiments.is_valid(config)
    assert not of_experiments.is_valid(replace_nodes(config, {place: value})), place


def test_a_misspelt_key_of_an_ablation_is_refused():
    of_ablations = validator(options_schema("ablation", AblationConfig))
    assert of_ablations.is_valid({"base": "quickstart", "runs": {"a": {"seed": 1}}})
    assert not of_ablations.is_valid({"base": "quickstart", "run": {}})
    assert not of_ablations.is_valid({"runs": {}})


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int | None = option(2, "How deep.", minimum=1, below=8)


@dataclass(frozen=True, kw_only=True)
class Outer:
    path: Path = required("A folder.")
    mode: Literal["a", "b"] = option("a", "A mode.")
    rates: tuple[float, ...] = option((0.5,), "Rates.", above=0)
    pair: tuple[int, str] = option((1, "x"), "A pair.")
    inner: Inner = section(Inner, "A section.")
    cost: Component | None = component("cost", None, "A cost.")
    costs: tuple[Component, ...] = components("cost", "Costs.")


@pytest.mark.parametrize(
    ("data", "is_valid"),
    [
        ({"path": "x"}, True),
        ({}, False),
        ({"path": ""}, False),
        ({"path": "x", "mode": "b"}, True),
        ({"path": "x", "mode": "c"}, False),
        ({"path": "x", "rates": [0.1, 2]}, True),
        ({"path": "x", "rates": [0]}, False),
        ({"path": "x", "pair": [1, "y"]}, True),
        ({"path": "x", "pair": [1]}, False),
        ({"path": "x", "inner": None}, True),
        ({"path": "x", "inner": {"depth": None}}, True),
        ({"path": "x", "inner": {"depth": 8}}, False),
        ({"path": "x", "cost": None}, True),
        ({"path": "x", "cost": "cosine"}, True),
        ({"path": "x", "cost": {"name": "cosine", "config": {"a": 1}}}, False),
        ({"path": "x", "costs": ["cosine", {"name": "euclidean"}]}, True),
        ({"path": "x", "costs": "cosine"}, False),
    ],
)
def test_the_schema_agrees_with_what_reads_configs(data, is_valid):
    assert validator(options_schema("t", Outer)).is_valid(data) is is_valid
    if is_valid:
        structure(Outer, copy.deepcopy(data))
    else:
        with pytest.raises(ConfigError):
            structure(Outer, copy.deepcopy(data))


def test_meaning_and_default_are_there_for_editors():
    schema = options_schema("t", Outer)
    assert schema["properties"]["mode"] == {"description": "A mode.", "default": "a", "enum": ["a", "b"]}
    assert schema["required"] == ["path"]
