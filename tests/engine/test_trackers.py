"""Trackers get what the run folder gets, and none of them can stop a run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass

import pytest

from aista import registry
from aista.cli.main import main
from aista.engine.trackers import FIRST_PAUSE, Link
from aista.errors import AistaError, RunError
from aista.locks import locked
from aista.run_folder.metric_records import read_records
from aista.run_folder.paths import RunPaths
from aista.run_folder.tracked_runs import read_tracked_runs
from aista.schema import Options, option
from aista.tracking.base import TrackedRun, Tracker
from tests.tiny import tiny_config, write_config


class Service:
    """A tracking service in this process."""

    def __init__(self):
        self.opened, self.taken, self.notes, self.closed = [], [], [], []
        self.fails = False

    def answer(self):
        if self.fails:
            raise ConnectionError("https://me:very-secret-value@host: no answer")


SERVICE = Service()


class InMemory(TrackedRun):
    link = "https://host/run"

    def __init__(self, run):
        SERVICE.answer()
        self.id = run.id or f"run{len(SERVICE.opened)}"
        SERVICE.opened.append(run)

    def log(self, values, step):
        SERVICE.answer()
        SERVICE.taken.append((step, dict(values)))

    def note(self, name, text, step):
        SERVICE.answer()
        SERVICE.notes.append((step, name, text))

    def close(self, status):
        SERVICE.closed.append(status)


@dataclass(frozen=True, kw_only=True)
class Memory(Options, Tracker):
    project: str = option("p", "Project.")

    @property
    def place(self):
        return self.project

    def open(self, run):
        return InMemory(run)


@dataclass(frozen=True, kw_only=True)
class Unusable(Options, Tracker):
    def check(self):
        raise AistaError("needs a key; set THE_KEY")

    def open(self, run):
        raise AssertionError("a run was opened")


@pytest.fixture
def service(clean_registry, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SERVICE", Service())
    registry.register("tracker", "memory")(Memory)
    registry.register("tracker", "unusable")(Unusable)
    return SERVICE


@pytest.fixture
def command(tmp_path, corpus, service):
    options = tiny_config(
        corpus,
        trainer={"max_steps": 4, "learning_rate": 3e-3, "log_every": 2, "validate_every": 2, "schedule": "constant"},
        evaluation={"metrics": ["bleu"], "generation": {"beam_size": 1, "max_new_tokens": 4}},
    )
    config = write_config(tmp_path / "config.yaml", options)
    return ["train", str(tmp_path / "run"), "--config", str(config)]


def nlls(split):
    return [(step, values[f"{split}/nll"]) for step, values in SERVICE.taken if f"{split}/nll" in values]


def test_a_longer_training_and_an_evaluation_add_to_one_tracked_run(command, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "very-secret-value")
    run = RunPaths(tmp_path / "run")
    assert main([*command, "trainer.tracking=[memory]"]) == 0
    for split in ("train", "valid"):
        assert nlls(split) == [(record["step"], record["nll"]) for record in read_records(run.metrics_file(split))]
    assert SERVICE.notes == [(0, "layers", "after step 0: 0 (weight 0.5), 1 (weight 0.5); layers named in the config")]
    assert read_tracked_runs(run)["memory"].link == "https://host/run"
    assert main([*command, "trainer.tracking=[memory]", "trainer.max_steps=6"]) == 0
    assert [step for step, _ in nlls("train")] == [2, 4, 6]
    assert main(["evaluate", str(run.path)]) == 0
    (score,) = json.loads(run.scores_file("test").read_text())["scores"]
    assert SERVICE.taken[-1][1] == {"test/bleu": score["value"]}
    first, longer, scored = SERVICE.opened
    assert [one.id for one in SERVICE.opened] == ["", "run0", "run0"]
    assert [one.last_step for one in SERVICE.opened] == [0, 4, 0]
    assert (first.name, first.config["trainer"]["max_steps"]) == ("run", 4)
    assert longer.config["trainer"]["max_steps"] == 6
    assert "torch" in first.config["environment"]["packages"]
    assert scored.config is None
    assert SERVICE.closed == ["finished", "finished", None]
    assert "very-secret-value" not in str(SERVICE.opened)


def test_one_that_is_named_later_gets_the_records_so_far(command, tmp_path):
    run = RunPaths(tmp_path / "run")
    assert main(command) == 0
    assert main([*command, "trainer.tracking=[memory]", "trainer.max_steps=6"]) == 0
    assert nlls("train") == [(record["step"], record["nll"]) for record in read_records(run.metrics_file("train"))]
    assert [step for step, _ in nlls("valid")] == [2, 4, 6]
    other = "trainer.tracking=[{name: memory, config: {project: other}}]"
    assert main([*command, other, "trainer.max_steps=8"]) == 0
    assert [one.id for one in SERVICE.opened] == ["", ""], "another project has a run of its own"


def test_an_outage_is_told_counted_and_mended_by_an_evaluation(command, tmp_path, capsys):
    SERVICE.fails = True
    assert main([*command, "trainer.tracking=[memory]"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "tracker memory: https://host: no answer; the run goes on, and what is not sent is kept" in told
    assert "tracker memory: 5 records not sent (https://host: no answer); the run folder has them all" in told
    run = RunPaths(tmp_path / "run")
    assert not run.tracking_file.exists()
    assert not [path for path in run.path.rglob("*") if path.is_file() and b"very-secret" in path.read_bytes()]
    SERVICE.fails = False
    assert main(["evaluate", str(run.path)]) == 0
    assert [step for step, _ in nlls("train")] == [2, 4]
    assert [note[1] for note in SERVICE.notes] == ["layers"]
    assert SERVICE.closed == ["finished"]


def test_while_a_run_is_trained_its_training_sends_the_scores(command, tmp_path, capsys):
    run = RunPaths(tmp_path / "run")
    assert main([*command, "trainer.tracking=[memory]"]) == 0
    with locked(run.training_lock, run.path):
        assert main(["evaluate", str(run.path)]) == 0
    assert "the scores of test are not sent to trackers" in " ".join(capsys.readouterr().err.split())
    assert not [values for _, values in SERVICE.taken if "test/bleu" in values]
    assert main([*command, "trainer.tracking=[memory]", "trainer.max_steps=6"]) == 0
    assert [step for step, values in SERVICE.taken if "test/bleu" in values] == [4]


def test_a_failed_training_says_so_and_a_corrected_one_is_another_run(command, tmp_path, monkeypatch):
    def fail(*_):
        raise RunError("no disk")

    with monkeypatch.context() as patch:
        patch.setattr("aista.engine.training.units.TaskTrainUnit.process_batch", fail)
        assert main([*command, "trainer.tracking=[memory]", "alignment=[]"]) == 1
    assert SERVICE.closed == ["failed"]
    assert not RunPaths(tmp_path / "run").tracking_file.exists()
    assert main([*command, "trainer.tracking=[memory]", "seed=2"]) == 0
    assert [one.id for one in SERVICE.opened] == ["", ""]


def test_mistakes_come_before_training(command, tmp_path, capsys):
    for value, message in (
        ("[unusable]", "trainer.tracking[0]: unusable: needs a key; set THE_KEY"),
        ("[memory, memory]", "trainer: tracking must name each tracker once, got memory, memory"),
        ("[mlfow]", "trainer.tracking[0].name: unknown tracker 'mlfow' (did you mean 'mlflow'?)"),
        ("wandb", "trainer.tracking: expects a list of tracker components, got 'wandb'"),
    ):
        assert main([*command, f"trainer.tracking={value}"]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_damaged_file_of_ids_is_named(command, tmp_path, capsys):
    run = RunPaths(tmp_path / "run")
    assert main([*command, "trainer.tracking=[memory]"]) == 0
    run.tracking_file.write_text(run.tracking_file.read_text().replace("run0", "run7"))
    assert main([*command, "trainer.tracking=[memory]", "trainer.max_steps=6"]) == 1
    assert "tracking.json: incomplete or malformed" in " ".join(capsys.readouterr().err.split())
    run.tracking_file.unlink()
    assert main([*command, "trainer.tracking=[memory]", "trainer.max_steps=6"]) == 0
    shutil.rmtree(run.tracking_dir)
    assert main(["evaluate", str(run.path)]) == 0


def test_pauses_double_and_nothing_kept_is_lost_or_reordered(service):
    now = [0.0]
    link = Link("memory", lambda: InMemory(type("Run", (), {"id": "x"})()), lambda: now[0])
    service.fails, tries = True, []
    answer = service.answer

    def counting():
        tries.append(now[0])
        answer()

    service.answer = counting
    for second in range(0, 500, 10):
        now[0] = float(second)
        link.send(lambda run, step=second: run.log({}, step))
    assert tries == [0, FIRST_PAUSE, 3 * FIRST_PAUSE, 7 * FIRST_PAUSE]
    service.fails = False
    link.close("finished")
    assert [step for step, _ in service.taken] == list(range(0, 500, 10))
