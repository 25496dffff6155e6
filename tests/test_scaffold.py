"""Templates: what `aista new` and `aista init` write is complete, right and formatted."""

import os
import subprocess
import sys

import pytest

from aista import registry
from aista.cli.main import main
from aista.config import load_yaml
from aista.errors import ConfigError, DataError
from aista.kinds import KINDS
from aista.scaffold import ProjectOptions, new_component, new_project, template_kinds
from aista.shipped import find_config
from aista.tasks.experiment import load_experiment
from aista.testing.contracts import run


def test_every_kind_has_a_template():
    assert template_kinds() == tuple(KINDS)


@pytest.mark.parametrize("kind", template_kinds())
def test_a_new_plug_in_keeps_the_contracts_of_its_kind(tmp_path, monkeypatch, clean_registry, kind):
    monkeypatch.chdir(tmp_path)  # some keep files
    path = new_component(kind, "own_part", tmp_path / "plugins" / "own_part.py")
    (entry,) = registry.load_plugins([path])
    assert (entry.kind, entry.name) == (kind, "own_part")
    outcomes = run(kind, "own_part", {"path": "shards"} if kind == "stream" else None)
    assert {outcome.status for outcome in outcomes} == {"PASS"}, outcomes


def test_they_are_formatted_linted_and_say_their_own_name(tmp_path):
    for kind in template_kinds():
        text = new_component(kind, "own_part", tmp_path / f"{kind}.py").read_text()
        assert "$" not in text
        assert '"own_part"' in text
        assert "Choose it" in text or "Choose a" in text
    (tmp_path / "ruff.toml").write_text('line-length = 120\nlint.select = ["E", "F", "I", "UP", "B"]\n')
    for command in (["format", "--check"], ["check"]):
        result = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=tmp_path, capture_output=True)
        assert result.returncode == 0, result.stdout.decode()


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("kost", "x", "is not a kind with a template (did you mean 'cost'?); choose one of encoder"),
        ("cost", "My Cost", "NAME: must be a Python name in lower case, as my_encoder, got 'My Cost'"),
        ("cost", "class", "NAME: must be a Python name in lower case, as my_encoder, got 'class'"),
        ("cost", "../x", "NAME: must be a Python name in lower case, as my_encoder, got '../x'"),
        ("cost", "cosine", "NAME: 'cosine' is a built-in cost; choose another, as my_cosine"),
    ],
)
def test_mistakes(tmp_path, kind, name, message):
    with pytest.raises(ConfigError) as caught:
        new_component(kind, name, tmp_path / "x.py")
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "cost", "own_cost"]) == 0
    assert "test it: aista check own_cost.py" in capsys.readouterr().out
    (tmp_path / "own_cost.py").write_text("mine")
    assert main(["new", "cost", "own_cost"]) == 2
    assert "own_cost.py: already exists" in capsys.readouterr().err
    assert (tmp_path / "own_cost.py").read_text() == "mine"


def test_a_project_has_a_config_that_is_read_and_a_plug_in_with_its_test(tmp_path, capsys):
    project = tmp_path / "talks"
    assert main(["init", str(project), "--target-language", "de", "--data", str(tmp_path)]) == 0
    assert f"make -C {project}" in capsys.readouterr().out
    config = load_yaml(project / "experiment.yaml")
    assert config["prompt"] == "{speech}<de>"
    assert config["data"]["target_language"] == "de"
    assert config["trainer"]["keep_best"] == 1
    experiment = load_experiment(project / "experiment.yaml")
    stages = [experiment.stage(stage).sections for stage in experiment.sections.pretraining]
    assert [stage.evaluation.score for stage in stages] == ["bleu", "wer"]
    assert f"SOURCE ?= {tmp_path}\n" in (project / "Makefile").read_text()
    assert load_yaml(project / "ablation.yaml")["base"] == "experiment.yaml"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert "2 passed" in result.stdout, result.stdout + result.stderr


def test_a_project_of_recognition_has_no_target_language(tmp_path):
    assert main(["init", str(tmp_path / "talks"), "--task", "asr", "--source-language", "bn"]) == 0
    config = load_yaml(tmp_path / "talks/experiment.yaml")
    assert (config["prompt"], config["data"]["tasks"]) == ("{speech}<bn>", ["asr"])
    assert "target_language" not in config["data"]
    assert [stage["part"] for stage in config["pretraining"]] == ["encoder"]
    makefile = (tmp_path / "talks/Makefile").read_text()
    assert "--source-language bn $(IMPORT)" in makefile
    assert "initialize.llm" not in makefile


def test_a_project_of_several_tasks(tmp_path):
    arguments = ["--task", "asr", "--task", "st", "--task", "mt", "--task", "cot", "--task", "st"]
    assert main(["init", str(tmp_path / "talks"), *arguments]) == 0
    config = load_yaml(tmp_path / "talks/experiment.yaml")
    assert config["data"]["tasks"] == ["asr", "st", "mt", "cot"]
    assert {"asr": config["prompt"], **config["prompts"]} == {
        task: f"{{speech}}<{tag}>" for task, tag in (("asr", "en"), ("st", "fr"), ("mt", "text"), ("cot", "cot"))
    }
    assert (config["evaluation"]["score"], config["trainer"]["max_steps"]) == ("wer", 4000)
    experiment = load_experiment(tmp_path / "talks/experiment.yaml")
    stages = [experiment.stage(stage).sections for stage in experiment.sections.pretraining]
    assert [stage.evaluation.score for stage in stages] == ["bleu", "wer"]
    assert config["pretraining"][0]["config"]["prompt"] == config["prompts"]["mt"]
    makefile = (tmp_path / "talks/Makefile").read_text()
    assert "--symbol '<en>' --symbol '<fr>' --symbol '<text>' --symbol '<cot>' --symbol '||'\n" in makefile
    evaluations = [line.split()[1:] for line in makefile.splitlines() if "--task" in line]
    assert evaluations == [
        ["evaluate", f"runs/{run}", "--task", task] for task in ("st", "mt", "cot") for run in ("baseline", "aista")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--task", "mt", "--task", "st"],
            "--task: must begin with a task of speech, got mt; give --task st before it",
        ),
        (
            ["--target-language", "fr", "--target-language", "de"],
            "--target-language: takes one value here, got 'fr' and 'de'",
        ),
        (["--task", "asr", "--target-language", "fr"], "--target-language: --task asr has none, got fr; leave it out"),
    ],
)
def test_what_init_cannot_make_is_refused(arguments, message, tmp_path, capsys):
    assert main(["init", str(tmp_path / "talks"), *arguments]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "talks").exists()


def test_a_project_starts_from_any_config(tmp_path):
    new_project(tmp_path / "b", ProjectOptions(), find_config("voices_fr"))
    head, editor, *rest = (tmp_path / "b/experiment.yaml").read_text().splitlines()
    assert [head, *rest] == find_config("voices_fr").read_text().splitlines()
    assert editor == "# yaml-language-server: $schema=aista.schema.json"
    assert "> aista.schema.json.new" in (tmp_path / "b/Makefile").read_text()


def test_a_project_replaces_nothing(tmp_path):
    (tmp_path / "x.txt").touch()
    with pytest.raises(DataError, match="already exists and is not empty; choose another folder"):
        new_project(tmp_path, ProjectOptions())
    with pytest.raises(ConfigError, match="--target-language: must be a language code, got 'French!'"):
        new_project(tmp_path / "new", ProjectOptions(target="French!"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
