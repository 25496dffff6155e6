"""A model with a part from a plug-in file: the file travels with it, and runs only where it is named and untouched."""

import json
import shutil
from pathlib import Path

import pytest

import aista
from aista import plugins
from aista.cli.main import main
from aista.engine.export.write import export
from aista.engine.training.train import train
from aista.errors import RunError
from aista.files import hash_file
from aista.scaffold import new_component
from aista.tasks.experiment import load_experiment
from tests.tiny import tiny_config, write_config

pytestmark = pytest.mark.usefixtures("clean_registry")


@pytest.fixture(scope="module")
def run(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("mine")
    new_component("adapter", "own_part", folder / "own_part.py")
    new_component("cost", "own_cost", folder / "own_cost.py")  # only training needs it
    alignment = [{"name": "ot", "weight": 0.5, "config": {"cost": "own_cost"}}]
    options = {"plugins": ["own_part.py", "own_cost.py"], "adapter": {"name": "own_part"}, "alignment": alignment}
    config = write_config(folder / "config.yaml", tiny_config(corpus, trainer={"max_steps": 2}, **options))
    train(load_experiment(config), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def exported(run):
    out = run.parent / "out"
    export(run, out)
    return out


@pytest.fixture
def out(tmp_path, exported, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(exported, tmp_path / "out")).relative_to(tmp_path)


PLUGIN = "plugins/own_part.py"


def test_the_file_travels_with_its_checksum(run, out):
    file = run.parent / "own_part.py"
    assert [path.name for path in (out / "plugins").iterdir()] == ["own_part.py"]
    assert (out / PLUGIN).read_bytes() == file.read_bytes()
    assert json.loads((out / "config.json").read_text())["plugins"] == {PLUGIN: hash_file(file)}
    assert "plugins" not in json.loads((out / "config.json").read_text())["experiment"]
    assert json.loads((out / "export.json").read_text())["files"][PLUGIN] == hash_file(file)
    card = (out / "README.md").read_text()
    assert f'aista.load("THIS_FOLDER", plugins=["THIS_FOLDER/{PLUGIN}"])' in card
    assert f"| `{PLUGIN}` | `{hash_file(file)}` |" in card


def test_it_never_runs_unasked(out, corpus, capsys):
    assert main(["translate", str(out), str(corpus / "audio" / "test0.wav")]) == 1
    err = capsys.readouterr().err
    assert f"aista: out: its model needs {PLUGIN}, which is code and never runs unasked; read it, then add " in err
    assert f"--plugin out/{PLUGIN} (in Python: plugins=[...] of aista.load)" in err
    assert not plugins.is_loaded(hash_file(out / PLUGIN))


def test_named_it_gives_the_runs_translations(run, out, corpus):
    wavs = [corpus / "audio" / f"test{index}.wav" for index in range(3)]
    found = [item.text for item in aista.load(out, plugins=[out / PLUGIN]).stream(wavs)]
    assert found == [item.text for item in aista.load(run).stream(wavs)]  # the run's own copy is the same code


def test_a_copy_elsewhere_is_as_good(out, corpus, capsys):
    shutil.copy(out / PLUGIN, "mine.py")
    arguments = ["evaluate", str(out), "--split", str(corpus / "test.tsv"), "--plugin"]
    assert main([*arguments, "mine.py"]) == 0


def test_another_file_is_not(out):
    Path("other.py").write_text((out / PLUGIN).read_text() + "\n# changed\n")
    with pytest.raises(RunError, match=r"its model needs plugins/own_part\.py"):
        aista.load(out, plugins=["other.py"])


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", [PLUGIN, "plugins/added.py"])
def test_a_tampered_file_is_refused_before_it_runs(out, verify, name):
    (out / name).write_text((out / PLUGIN).read_text() + "\nopen('ran', 'w').close()\n")
    with pytest.raises(
        RunError, match=r"damaged: its SHA-256 is|was changed or added after the export, so it is not run"
    ):
        aista.load(out, plugins=[out / name], verify=verify)
    assert not Path("ran").exists()
