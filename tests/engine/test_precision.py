"""``mixed_precision: auto``: chosen by an injected measurement, recorded, and kept on another machine."""

import json
import logging

import pytest
import torch

from aista.engine import claim as claiming
from aista.engine import precision
from aista.engine.claim import claim
from aista.engine.precision import Choice, choose, forecast, recorded, slowness
from aista.engine.training.train import train
from aista.errors import RunError
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config


@pytest.fixture
def load(tmp_path, corpus):
    def load_with(mixed_precision):
        trainer = {"max_steps": 1, "learning_rate": 3e-3, "log_every": 1, "mixed_precision": mixed_precision}
        config = tiny_config(corpus, trainer=trainer)
        del config["data"]["dev"]
        return load_experiment(write_config(tmp_path / f"{mixed_precision}.yaml", config))

    return load_with


@pytest.fixture
def speedup(monkeypatch):
    """Sets what the measurement finds."""
    return lambda value: monkeypatch.setattr(precision, "bfloat16_speedup", lambda: value)


@pytest.mark.parametrize(("measured", "chosen"), [(0.09, "off"), (1.19, "off"), (1.2, "bfloat16"), (5.0, "bfloat16")])
def test_a_cpu_takes_bfloat16_where_it_is_clearly_faster(speedup, measured, chosen):
    speedup(measured)
    reason = f"bfloat16 multiplies at {measured:.2f} times the speed of float32 on this CPU"
    assert choose() == Choice(chosen, reason)


@pytest.mark.parametrize(("native", "chosen"), [(True, "bfloat16"), (False, "off")])
def test_a_gpu_is_asked_for_its_instructions(monkeypatch, native, chosen):
    monkeypatch.setattr(precision, "detect_default_device", lambda: torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or native)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda: pytest.fail("measured on the CPU"))
    assert choose().chosen == chosen
    assert slowness("bfloat16") == ""


def test_the_measurement_draws_no_random_numbers():
    before = torch.get_rng_state()
    assert 0 < precision.bfloat16_speedup.__wrapped__() < 1000
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(("began", "now"), [(5.0, 0.1), (0.1, 5.0)])
def test_a_resumed_run_keeps_its_precision_and_says_so(load, tmp_path, speedup, caplog, began, now):
    caplog.set_level(logging.INFO, "aista.train")
    run, named, experiment = RunPaths(tmp_path / "run"), RunPaths(tmp_path / "named"), load("auto")
    speedup(began)
    claim(run.path, experiment, build_task(experiment))
    first, other = ("bfloat16", "off") if began > 1 else ("off", "bfloat16")
    assert json.loads(run.environment_file.read_text())["mixed_precision"]["chosen"] == first
    speedup(now)
    train(experiment, run.path)
    assert f"mixed_precision auto: {first} (bfloat16 multiplies at {began:.2f} times" in caplog.text
    assert (
        f"it is kept, though this machine would choose {other} (bfloat16 multiplies at {now:.2f} times" in caplog.text
    )
    train(load(first), named.path)
    assert losses(run) == losses(named)


def losses(run):
    records = map(json.loads, run.metrics_file("train").read_text().splitlines())
    return {record["step"]: record["nll"] for record in records}


def test_other_processes_read_the_choice_of_the_main_one(load, tmp_path, speedup, monkeypatch):
    speedup(5.0)
    experiment, run = load("auto"), RunPaths(tmp_path / "run")
    claim(run.path, experiment, build_task(experiment))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(claiming, "choose", lambda: pytest.fail("chosen again"))
    assert not claim(run.path, experiment, build_task(experiment))
    assert recorded(run).chosen == "bfloat16"


@pytest.mark.parametrize("record", [{}, {"mixed_precision": {"chosen": "float8", "reason": ""}}])
def test_an_environment_without_a_choice_is_an_error(tmp_path, record):
    run = RunPaths(tmp_path)
    run.environment_file.write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"environment\.json: incomplete or malformed .*repeat the command"):
        recorded(run)


def test_bfloat16_is_warned_about_where_it_is_much_slower(load, tmp_path, speedup, caplog):
    speedup(0.7)
    assert forecast("bfloat16") == slowness("bfloat16") == ""
    speedup(0.09)
    message = (
        "trainer.mixed_precision: bfloat16 multiplies at 0.09 times the speed of float32 on this CPU; set it to auto"
    )
    assert forecast("bfloat16").startswith(message)
    assert forecast("off") == ""
    line = (
        "trainer.mixed_precision: auto is off on this machine (bfloat16 multiplies at 0.09 times the speed of float32"
    )
    assert forecast("auto").startswith(line)
    train(load("bfloat16"), tmp_path / "run")
    assert caplog.text.count(message) == 1
