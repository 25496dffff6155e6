"""COMET across the boundary of its process: what goes over, what is kept, and what is said of each failure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aista.errors import DataError, RunError
from aista.scoring.base import Metric
from aista.scoring.comet_process import PYTHON_VARIABLE, TRUST_VARIABLE, WORKER
from aista.scoring.score_cache import ScoreCache
from aista.scoring.significance import paired_bootstrap
from aista.scoring.utterance_inputs import UtteranceInputs
from aista.testing import metric as contract
from tests.hub import Hub
from tests.scoring.fake_comet import make_interpreter, make_model, script
from tests.scoring.helpers import make

SOURCES = UtteranceInputs(["the cat sleeps", "she eats", "two birds", "it rains"])
REFERENCES = ["le chat dort", "elle mange", "deux oiseaux", "il pleut"]
HYPOTHESES = ["le chat", "elle mange", "deux\tchats \u2028", ""]
VALUE = 100 * (2 / 3 + 1 + 1 / 2 + 0) / 4


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an interpreter and a model; the user's cache is in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv(PYTHON_VARIABLE, str(make_interpreter(tmp_path / "env")))
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    make_model(tmp_path / "models" / "tiny")
    return tmp_path


def comet(place: Path, **options: Any) -> Metric:
    return make("comet", **{"model": place / "models" / "tiny", **options})


def calls(place: Path) -> list[str]:
    return (place / "log").read_text().splitlines() if (place / "log").exists() else []


def test_the_score_is_the_mean_of_the_segments(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    score = comet(place, batch_size=3).score(HYPOTHESES, REFERENCES, SOURCES)
    assert score.value == pytest.approx(VALUE)
    assert score.signature.startswith("model:tiny|sha256:")
    assert score.signature.endswith("|refs:yes|scale:100|version:comet-9.9")
    shown = capfd.readouterr()
    assert shown.out == ""  # scores alone come over standard output
    assert "GPU available: False" in shown.err
    assert "Predicting: 100%" in shown.err
    assert calls(place) == ["4 batch_size=3 gpus=0"]


def test_scores_are_kept_by_model_and_texts(place: Path) -> None:
    metric = comet(place)
    metric.score(HYPOTHESES, REFERENCES, SOURCES)
    metric.score(HYPOTHESES[::-1] * 2, REFERENCES[::-1] * 2, SOURCES.at([3, 2, 1, 0] * 2))
    again = comet(place).score([*HYPOTHESES[:3], "il pleut"], REFERENCES, SOURCES)
    assert again.value == pytest.approx(VALUE + 25)
    assert [line.split()[0] for line in calls(place)] == ["4", "1"]  # in the same process, and in the next one
    make_model(place / "models" / "other")
    comet(place, model=place / "models" / "other").score(HYPOTHESES, REFERENCES, SOURCES)
    comet(place, references=False).score(HYPOTHESES, REFERENCES, SOURCES)
    assert [line.split()[0] for line in calls(place)] == ["4", "1", "4", "4"]
    assert not list(place.glob("cache/aista/comet/*/.*"))


def test_without_references_the_model_sees_none(place: Path) -> None:
    score = comet(place, references=False).score(["the cat", "x", "x", "x"], REFERENCES, SOURCES)
    assert score.value == pytest.approx(100 * (2 / 3) / 4)
    assert "|refs:no|" in score.signature


def test_two_models_are_told_apart_by_their_labels(place: Path) -> None:
    assert comet(place, label="kiwi").score(HYPOTHESES, REFERENCES, SOURCES).name == "kiwi"
    with pytest.raises(ValueError, match="label: must be a name of letters, digits and _, got 'a b'"):
        comet(place, label="a b")


def test_a_bootstrap_resamples_what_was_scored_once(place: Path) -> None:
    found = paired_bootstrap(
        ("base", HYPOTHESES), {"good": REFERENCES}, REFERENCES, comet(place), inputs=SOURCES, samples=100
    )
    assert found.system("good").score == pytest.approx(100)
    assert found.system("good").difference_interval.low > 0
    assert [line.split()[0] for line in calls(place)] == ["4", "3"]  # one is the same in both


@pytest.mark.parametrize(
    "check", [contract.check_shapes, contract.check_additive, contract.check_direction, contract.check_needs]
)
def test_it_keeps_the_contracts_of_metrics(place: Path, check: Any) -> None:
    check(comet(place))


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("crash", r"env/python ended with exit code 7; its last lines: .*RuntimeError: the seventh seal / is broken"),
        ("killed", r"was killed \(signal 9\), most likely because memory ran out; lower batch_size"),
        ("short", "gave 3 scores for 4 segments"),
        ("nan", r"1 of 4 scores are not finite numbers \(first: segment 2\)"),
        ("not weights", r"holds more than weights, .*: GLOBAL os\.system\); if you .*AISTA_COMET_TRUST=\w{64}$"),
        ("old lightning", "holds more than weights"),
    ],
)
def test_each_failure_is_one_message(place: Path, monkeypatch: pytest.MonkeyPatch, mode: str, message: str) -> None:
    monkeypatch.setenv("FAKE_COMET", mode)
    with pytest.raises(RunError, match=message) as error:
        comet(place).score(HYPOTHESES, REFERENCES, SOURCES)
    assert "\n" not in str(error.value)
    assert not list(place.glob("cache/aista/comet/*/*"))  # nothing of a failure is kept
    monkeypatch.setenv("FAKE_COMET", "")
    assert comet(place).score(HYPOTHESES, REFERENCES, SOURCES).value == pytest.approx(VALUE)


@pytest.mark.parametrize("mode", ["not weights", "old lightning"])
def test_a_checkpoint_may_be_trusted(place: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("FAKE_COMET", mode)
    monkeypatch.setenv(TRUST_VARIABLE, "0" * 64)
    with pytest.raises(RunError, match="holds more than weights") as error:
        comet(place).score(HYPOTHESES, REFERENCES, SOURCES)
    monkeypatch.setenv(TRUST_VARIABLE, f"{'0' * 64},{str(error.value)[-64:]}")
    metric = comet(place)
    assert metric.score(HYPOTHESES, REFERENCES, SOURCES).value == pytest.approx(VALUE)


def test_a_model_that_needs_references_or_a_gpu_that_is_not_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"device: cuda, but torch 9\.9 finds no GPU there .* choose cpu or auto"):
        comet(place, device="cuda").score(HYPOTHESES, REFERENCES, SOURCES)
    monkeypatch.setenv("FAKE_COMET", "needs references")
    with pytest.raises(RunError, match=r"\(Model\) judges by references; leave references: true"):
        comet(place, references=False).score(HYPOTHESES, REFERENCES, SOURCES)


MAKE = r".*`python3 -m venv comet-env` and `comet-env/bin/pip install unbabel-comet 'setuptools<81'` make one; then set"


def with_python(monkeypatch: pytest.MonkeyPatch, python: Path | str) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(python))


def test_interpreters_that_will_not_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_python(monkeypatch, place / "none")
    with pytest.raises(ValueError, match=rf"{PYTHON_VARIABLE}: {place}/none is not an interpreter .*run;{MAKE}"):
        comet(place)
    with_python(monkeypatch, "")
    with pytest.raises(ValueError, match=rf"{PYTHON_VARIABLE} is not set, and this one has no unbabel-comet;{MAKE}"):
        comet(place)
    with_python(monkeypatch, make_interpreter(place / "bare", packaged=False))
    with pytest.raises(ValueError, match=rf"bare/python has no unbabel-comet \(No package metadata was found .*{MAKE}"):
        comet(place)
    with_python(monkeypatch, script(place / "broken", "echo cannot start >&2; exit 1"))
    with pytest.raises(ValueError, match=rf"broken has no unbabel-comet \(cannot start\);{MAKE}"):
        comet(place)
    with_python(monkeypatch, script(place / "talkative", "echo hello"))
    with pytest.raises(ValueError, match=rf"talkative has no unbabel-comet;{MAKE}"):
        comet(place)


def test_a_comet_that_cannot_be_imported(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_python(monkeypatch, make_interpreter(place / "half", comet="raise ImportError('no libcudart.so.11')"))
    with pytest.raises(RunError, match=rf"cannot be imported by .* \(ImportError: no libcudart\.so\.11\);{MAKE}"):
        comet(place).score(HYPOTHESES, REFERENCES, SOURCES)


def test_answers_that_are_no_scores(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = """case "$3" in --version) echo '{"version": "1"}';; *) echo hello;; esac"""
    with_python(monkeypatch, script(place / "odd", line))
    with pytest.raises(RunError, match="answered 'hello' in place of scores"):
        comet(place).score(HYPOTHESES, REFERENCES, SOURCES)


def test_models_that_are_not_there(place: Path) -> None:
    with pytest.raises(
        ValueError, match=r"model: .*/models must be a name on the hub or a folder with hparams\.yaml and"
    ):
        comet(place, model=place / "models")
    (place / "models" / "tiny" / "checkpoints" / "model.ckpt").unlink()
    with pytest.raises(ValueError, match=r"models/tiny must be .* has no checkpoints/model\.ckpt"):
        comet(place)


def test_a_model_on_the_hub_is_fetched_when_it_scores(place: Path, hub: Hub) -> None:
    hub.add("org/scorer", make_model(place / "scorer"))
    hub.add("org/other", place / "env" / "packages")
    metric = comet(place, model=Path("org/scorer"))
    assert not any("model.ckpt" in line for line in hub.log)
    score = metric.score(HYPOTHESES, REFERENCES, SOURCES)
    assert score.value == pytest.approx(VALUE)
    assert score.signature.startswith("model:org/scorer@main|sha256:")
    with pytest.raises(ValueError, match=r"model: .*org/other holds no hparams\.yaml; choose another model"):
        comet(place, model=Path("org/other"))


def test_an_interrupt_ends_the_process(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remembered(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    def interrupt(*_: Any) -> None:
        if started:  # before it, a log may be written there
            raise KeyboardInterrupt

    metric = comet(place)
    monkeypatch.setattr(subprocess, "Popen", remembered)
    monkeypatch.setattr(sys.stderr, "write", interrupt)  # while its progress is shown
    with pytest.raises(KeyboardInterrupt):
        metric.score(HYPOTHESES, REFERENCES, SOURCES)
    assert started[0].returncode is not None


def test_a_damaged_or_unwritable_cache_costs_no_score(
    place: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    metric = comet(place)
    metric.score(HYPOTHESES, REFERENCES, SOURCES)
    (file,) = place.glob("cache/aista/comet/*/*.json")
    assert set(json.loads(file.read_text()).values()) == {2 / 3, 1.0, 0.5, 0.0}
    file.write_text("[1")
    assert comet(place).score(HYPOTHESES, REFERENCES, SOURCES).value == pytest.approx(VALUE)
    assert f"{file}: cannot be read and is left out" in caplog.text
    (tmp_path / "taken").write_text("a file")
    cache = ScoreCache(tmp_path / "taken")
    cache.add({"a": 1.0})
    assert cache.scores() == {"a": 1.0}
    assert "scores are not kept for the next time" in caplog.text


def test_the_source_is_asked_for(place: Path) -> None:
    with pytest.raises(DataError, match="comet: needs the transcript of each utterance, and 4 of 4 have none"):
        comet(place).score(HYPOTHESES, REFERENCES)
    assert calls(place) == []


def test_the_worker_imports_nothing_of_ours() -> None:
    code = f"import sys, runpy; runpy.run_path({str(WORKER)!r}); print([m for m in sys.modules if 'aista' in m])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
