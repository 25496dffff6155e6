"""The configs that come with aista, named or copied, from a folder that holds nothing else."""

import pytest

from aista.config import load_yaml
from aista.errors import ConfigError
from aista.runs.ablation.plan import load_ablation
from aista.shipped import FOLDER, describe_config, find_config, shipped_configs
from aista.tasks.experiment import load_experiment

NAMES = list(shipped_configs())


def test_every_config_has_a_name_of_its_own():
    assert {FOLDER / path for path in shipped_configs().values()} == set(FOLDER.rglob("*.yaml"))
    assert len(NAMES) >= 28


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_elsewhere_is_the_same(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped, copy = find_config(name), tmp_path / "my.yaml"
    copy.write_text(shipped.read_text())
    if "base" in load_yaml(shipped):  # tests/runs/ablation/test_presets.py resolves copies of these
        assert find_config(load_yaml(copy)["base"], tmp_path) in shipped_configs().values()
    else:
        assert load_experiment(find_config("my.yaml")).to_plain() == load_experiment(shipped).to_plain()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_headed_by_its_command_and_what_it_is(name):
    command, summary = describe_config(find_config(name))
    assert f"aista ablate {name}" in command or f"--config {name}" in command
    assert 20 < len(summary) < 200


def test_a_path_is_a_path(tmp_path):
    for text in ("quickstart.yaml", "./runs/quickstart.yaml", "folder/quickstart"):
        assert find_config(text, tmp_path) == tmp_path / text
    assert find_config(tmp_path / "quickstart") == tmp_path / "quickstart"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"quickstrat: is not a shipped config \(did you mean 'quickst") as error:
        find_config("quickstrat")
    assert "`aista configs` lists them; a file of your own is named with its ending, quickstrat.yaml" in str(
        error.value
    )


def test_an_unknown_base_is_a_fault_of_the_file(tmp_path):
    (tmp_path / "my.yaml").write_text("base: quickstrat\nruns: {a: {}}\n")
    with pytest.raises(ConfigError, match="base: quickstrat: is not a shipped config") as error:
        load_ablation(tmp_path / "my.yaml", tmp_path)
    assert error.value.source == str(tmp_path / "my.yaml")
