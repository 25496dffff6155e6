"""Claiming a run folder from several processes: the main one writes, the others wait for it."""

import threading

import pytest

from aista.engine import claim as claiming
from aista.engine.claim import claim, holds, released_if_unused
from aista.errors import AistaError, RunError
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config


@pytest.fixture
def experiment(tmp_path, corpus):
    return load_experiment(write_config(tmp_path / "config.yaml", tiny_config(corpus)))


def test_another_process_returns_once_the_main_one_has_written(experiment, tmp_path, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setenv("RANK", "1")
    other = threading.Thread(target=claim, args=(run, experiment, build_task(experiment)))
    other.start()
    other.join(0.2)
    assert other.is_alive()
    assert not run.exists()
    monkeypatch.setenv("RANK", "0")
    claim(run, experiment, build_task(experiment))
    other.join()
    assert (run / "config.yaml").is_file()


def test_another_process_does_not_wait_for_ever(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(claiming, "CLAIM_SECONDS", 0.1)
    with pytest.raises(RunError, match=r"run/config\.yaml: not written by the main process.*shared file system"):
        claim(tmp_path / "run", experiment, build_task(experiment))


def test_a_run_of_an_earlier_aista_is_refused_as_such(experiment, tmp_path):
    run = RunPaths(tmp_path / "run")
    claim(run.path, experiment, build_task(experiment))
    assert holds(run.path, experiment)
    lines = run.config_file.read_text().splitlines()[1:]
    run.config_file.write_text("\n".join(line for line in lines if "max_skipped_steps" not in line) + "\n")
    with pytest.raises(AistaError, match=r"max_skipped_steps: '\(absent\)' there, 0 here \(a run of an earlier aista"):
        holds(run.path, experiment)


@pytest.mark.parametrize("error", [AistaError("x"), OSError(28, "No space left on device")])
def test_a_start_that_fails_before_training_lets_another_config_in(experiment, tmp_path, error):
    run = RunPaths(tmp_path / "run")
    claim(run.path, experiment, build_task(experiment))
    with pytest.raises(type(error)), released_if_unused(run.path, claimed=True):
        raise error
    assert not run.is_run
