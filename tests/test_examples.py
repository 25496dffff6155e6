"""The examples are plug-ins that work as their first lines say, and whose masks the contracts prove."""

import ast
from pathlib import Path

import pytest

from aista import registry
from aista.cli.main import main
from aista.config import merge
from aista.strict_yaml import parse
from aista.tasks.experiment import load_experiment
from aista.testing.contracts import run
from tests.tiny import tiny_config, write_config

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
KINDS = ["adapter", "alignment_loss", "cost", "encoder", "layer_selection", "ot_solver"]

pytestmark = pytest.mark.usefixtures("clean_registry")


def test_there_is_one_of_each_kind():
    assert [file.stem for file in EXAMPLES] == KINDS


def test_they_keep_their_contracts(capsys):
    assert main(["check", *map(str, EXAMPLES)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith(" 0 failed, 0 skipped")
    assert {line.split()[1] for line in lines[:-1]} == {f"{kind}/my_{kind}" for kind in KINDS}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_config_in_their_first_lines_is_one(tmp_path, file):
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    config = parse(text.partition("::\n\n")[2], file.name)
    assert config["plugins"] == [f"my_{file.stem}.py"]
    (tmp_path / config["plugins"][0]).write_text(file.read_text())
    experiment = load_experiment(write_config(tmp_path / "config.yaml", merge(tiny_config(tmp_path), config)))
    assert f"my_{file.stem}" in str(experiment.to_plain())


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("adapter", "zero_padding(states, lengths)", "states"),
        ("encoder", "zero_padding(self.norm(states), lengths)", "self.norm(states)"),
        ("alignment_loss", ".masked_fill(~mask_BN[:, :, None], 0)", ""),
        ("alignment_loss", "lengths_B.clamp_min(1)[:, None]", "states_BND.shape[1]"),
        ("ot_solver", "problem.x_mass, problem.y_mass", "torch.ones_like(problem.x_mass), problem.y_mass"),
    ],
)
def test_a_forgotten_mask_fails_the_contracts(tmp_path, kind, old, new):
    text = (EXAMPLES[0].parent / f"{kind}.py").read_text()
    assert old in text
    (tmp_path / "forgotten.py").write_text(text.replace(old, new))
    registry.load_plugins(["forgotten.py"], base=tmp_path)
    failed = {outcome.contract for outcome in run(kind, f"my_{kind}") if outcome.status == "FAIL"}
    assert failed & {"padding", "batch_of_one", "batch_invariance", "marginals"}, failed
