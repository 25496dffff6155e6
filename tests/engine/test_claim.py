"""Claiming a run folder from several processes: the main one writes, the others wait for it."""

import dataclasses
import re
import threading
from pathlib import Path

import pytest

from aista.config import apply_overrides
from aista.engine import claim as claiming
from aista.engine.claim import claim, holds, open_experiment, released_if_unused
from aista.errors import AistaError, ConfigError, RunError
from aista.plain import changes_weights
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import Sections, load_experiment, structure_experiment
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


def claimed(experiment, folder):
    claim(folder, experiment, build_task(experiment))
    return RunPaths(folder)


def changed(experiment, *overrides):
    raw = apply_overrides(experiment.raw, overrides)
    return structure_experiment(raw, source="changed")


def test_an_option_that_an_earlier_aista_did_not_know_has_its_default(experiment, tmp_path):
    run = claimed(experiment, tmp_path / "run")
    lines = run.config_file.read_text().splitlines()[1:]
    run.config_file.write_text("\n".join(line for line in lines if "max_skipped_steps" not in line) + "\n")
    assert holds(run.path, experiment)
    with pytest.raises(AistaError, match=r"differs in trainer\.max_skipped_steps: 0 there, 5 here\. Choose another"):
        holds(run.path, changed(experiment, "trainer.max_skipped_steps=5"))


def test_an_option_that_only_an_earlier_aista_knew_is_named(experiment, tmp_path):
    run = claimed(experiment, tmp_path / "run")
    lines = run.config_file.read_text().splitlines()[1:]
    run.config_file.write_text("\n".join([*lines, "warmth: 3"]) + "\n")
    with pytest.raises(ConfigError, match=r"run/config\.yaml.*\n?.*warmth"):
        holds(run.path, experiment)


def test_what_changes_no_weights_is_taken_over(experiment, tmp_path, caplog):
    run = claimed(experiment, tmp_path / "run")
    before = open_experiment(run.path)
    other = changed(experiment, "evaluation.batch_size=3", "corpus_note=tones")
    assert holds(run.path, other)
    with caplog.at_level("INFO"):
        claimed(other, run.path)
    assert "evaluation.batch_size is now 3, was" in caplog.text
    after = open_experiment(run.path).sections  # its seal is whole
    assert (after.evaluation.batch_size, after.corpus_note) == (3, "tones")
    assert after.trainer == before.sections.trainer
    assert after.data.train == before.sections.data.train


def test_the_docs_name_all_options_that_change_no_weights():
    def paths(cls, at=""):
        for field in dataclasses.fields(cls):
            if "section" in field.metadata:
                yield from paths(field.metadata["section"], f"{at}{field.name}.")
            elif not changes_weights(field, None):
                yield at + field.name

    page = " ".join((Path(__file__).parents[2] / "docs" / "config.md").read_text().split())
    sentence = page.split("Only options that do not affect the weights may differ")[1].split("): ")[1].split(". ")[0]
    assert set(re.findall("`([^`]+)`", sentence)) == set(paths(Sections))


def test_more_steps_are_the_same_run_and_fewer_are_not(experiment, tmp_path):
    run = claimed(experiment, tmp_path / "run")
    steps = experiment.sections.trainer.max_steps
    run.timing_file.write_text("{}")
    more = changed(experiment, f"trainer.max_steps={steps + 1}")
    assert not holds(run.path, more)
    claimed(more, run.path)
    assert holds(run.path, more)
    assert not run.timing_file.exists()
    with pytest.raises(AistaError, match=f"trainer.max_steps: {steps + 1} there, {steps} here"):
        holds(run.path, experiment)


@pytest.mark.parametrize("error", [AistaError("x"), OSError(28, "No space left on device")])
def test_a_start_that_fails_before_training_lets_another_config_in(experiment, tmp_path, error):
    run = RunPaths(tmp_path / "run")
    claim(run.path, experiment, build_task(experiment))
    with pytest.raises(type(error)), released_if_unused(run.path, claimed=True):
        raise error
    assert not run.is_run
