"""A run folder alone: from another folder, moved, without its corpus and tokenizer."""

import os
import shutil
from pathlib import Path

import pytest

from aista.cli.main import main
from aista.engine.claim import holds, open_experiment
from aista.errors import AistaError
from aista.run_folder.parsing import read_object, write_object
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import load_experiment
from tests.tiny import make_corpus, tiny_config, write_config


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with corpus, config and run, all paths relative."""
    folder = tmp_path_factory.mktemp("projects") / "project"
    folder.mkdir()
    make_corpus(folder / "corpus", num_train=8, num_dev=4)
    options = tiny_config(Path("corpus"), trainer={"max_steps": 2, "log_every": 1})
    write_config(folder / "config.yaml", options)
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["train", "run", "--config", "config.yaml"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def away(tmp_path, monkeypatch):
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")


def printed(capsys, *command):
    assert main([str(part) for part in command]) == 0
    return capsys.readouterr().out


def start_elsewhere(run, folder, elsewhere):
    """Let a run that was started in a folder say that it was started in another."""
    file = RunPaths(run).assets_file
    record = read_object(file, "")
    assert record["started_in"] == str(folder)
    write_object(file, record | {"started_in": str(elsewhere)})


@pytest.mark.usefixtures("away")
def test_commands_work_from_any_folder(project, tmp_path, capsys):
    run, wav = project / "run", project / "corpus" / "audio" / "test0.wav"
    expected = printed(capsys, "translate", run, wav)
    printed(capsys, "evaluate", run)
    printed(capsys, "evaluate", run, "--split", project / "corpus" / "dev.tsv")
    printed(capsys, "probe", run, "--size", "4", "--resamples", "0")
    page = printed(capsys, "report", run, "--out", tmp_path / "page.html")
    assert "missing: the manifest" not in page
    printed(capsys, "export", run, tmp_path / "out")
    assert printed(capsys, "translate", tmp_path / "out", wav) == expected
    printed(capsys, "train", run)  # complete


@pytest.mark.usefixtures("away")
def test_a_copy_needs_nothing_but_the_data_it_reads(project, tmp_path, capsys):
    run, wav = tmp_path / "run", tmp_path / "test0.wav"
    shutil.copytree(project / "run", run)
    shutil.copytree(project / "corpus", tmp_path / "corpus")
    shutil.copy(tmp_path / "corpus" / "audio" / "test0.wav", wav)
    expected = printed(capsys, "translate", run, wav)
    start_elsewhere(run, project, tmp_path / "gone")
    (tmp_path / "corpus" / "spm.model").unlink()
    assert printed(capsys, "translate", run, wav) == expected
    printed(capsys, "evaluate", run, "--split", tmp_path / "corpus" / "test.tsv")
    assert main(["evaluate", str(run)]) == 2
    assert f"{tmp_path}/away/corpus/test.tsv" in capsys.readouterr().err


def test_the_same_config_is_the_same_experiment_only_where_its_paths_lead_to_the_same_files(
    project, tmp_path, monkeypatch
):
    run = project / "run"
    monkeypatch.chdir(project)
    relative = load_experiment(project / "config.yaml")
    assert holds(run, relative)
    assert holds(run, relative.from_folder(project))
    monkeypatch.chdir(tmp_path)
    assert holds(run, open_experiment(run))
    with pytest.raises(AistaError, match=rf"data\.train: '{project}/corpus/train.tsv' there, '{tmp_path}/corpus"):
        holds(run, relative)


@pytest.mark.usefixtures("away")
def test_a_project_that_was_moved_is_used_from_its_new_place(project, tmp_path, capsys, monkeypatch):
    moved = tmp_path / "moved"
    shutil.copytree(project, moved)
    start_elsewhere(moved / "run", project, tmp_path / "gone")
    monkeypatch.chdir(moved)
    printed(capsys, "train", "run", "--config", "config.yaml")
    printed(capsys, "evaluate", "run")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"started_in": "/", "nodes": []}',
        '{"started_in": "/", "nodes": {"x": 1}}',
        '{"started_in": "/", "nodes": {"tokenizer.config.path": null}}',
    ],
)
def test_a_damaged_record_is_one_message(project, tmp_path, capsys, content):
    run = tmp_path / "run"
    shutil.copytree(project / "run", run)
    (run / "assets" / "assets.json").write_text(content)
    assert main(["translate", str(run), str(project / "corpus" / "audio" / "test0.wav")]) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "assets.json: " in lines[0]
