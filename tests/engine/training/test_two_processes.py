"""Two processes and one run folder: the second is told who trains there. SIGTERM ends the first; it goes on later."""

import json
import os
import signal
import sys
import time

import pytest

from aista.cli.main import main
from aista.engine.claim import claim
from aista.locks import locked
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.processes import Python
from tests.tiny import tiny_config, write_config

STEPS = 150


@pytest.fixture
def config(tmp_path, corpus):
    trainer = {"max_steps": STEPS, "log_every": 10, "checkpoint_every": 10, "learning_rate": 3e-3}
    return write_config(tmp_path / "config.yaml", tiny_config(corpus, trainer=trainer, alignment=[]))


@pytest.mark.slow
def test_the_second_training_is_refused_and_sigterm_lets_it_go_on(tmp_path, config, capsys):
    run = RunPaths(tmp_path / "run")
    command = ["train", str(run.path), "--config", str(config)]
    with (tmp_path / "log").open("w") as log:
        first = Python([sys.executable, "-m", "aista", *command], stdout=log)
    while not run.checkpoint_steps():
        assert first.poll() is None
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGSTOP)  # so that it does not end meanwhile
    assert main(command) == 1
    assert f"{run.path}: in use by process {first.pid} on " in capsys.readouterr().err
    first.terminate()
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait() == 143
    assert (tmp_path / "log").read_text().splitlines()[-1] == "aista: terminated (SIGTERM)"
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert not run.is_complete
    assert main(command) == 0
    assert json.loads(run.timing_file.read_text())["steps"] == STEPS
    assert not list(run.path.rglob("*.lock"))


def test_a_stage_is_not_trained_twice_either_and_nothing_is_left_of_a_refused_start(tmp_path, config, capsys):
    run = RunPaths(tmp_path / "run")
    stage = "pretraining=[{name: mt, task: text_translation, part: llm, config: {trainer: {max_steps: 1}}}]"
    command = ["train", str(run.path), "--config", str(config), stage]
    experiment = load_experiment(config, [stage])
    claim(run.path, experiment, build_task(experiment))
    with locked(run.stage("mt").training_lock, run.path):
        assert main([*command, "--stage", "mt"]) == 1
        assert f"{run.stage('mt').path}: in use by process" in capsys.readouterr().err
    with locked(run.training_lock, run.path):
        before = sorted(run.path.rglob("*"))
        assert main([*command, "--stage", "mt"]) == 1
        assert sorted(run.path.rglob("*")) == before
