from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aista.errors import AistaError, RunError
from aista.run_folder.contents import RunFolder


def test_reads_every_part(run_path: Path) -> None:
    run = RunFolder(run_path)
    assert run.config()["task"] == "speech_translation"
    assert run.environment()["device"] == "cpu"
    assert run.timing() == {"train_seconds": 97.3}
    assert [row["step"] for row in run.metrics("valid")] == [50, 100, 150, 200]
    selection = run.selection()
    assert selection is not None
    assert (selection.step, selection.layers, selection.selected.weights) == (60, (1, 2), (0.5, 0.5))
    assert selection.curve is not None
    assert selection.curve.numbers == (0, 1, 2, 3, 4)
    assert run.paths.probe_names() == run.paths.plan_names() == ["final"]
    assert run.probe("final").curve.num_skipped == 3
    plan = run.plan("final")
    assert (len(plan.layers[plan.shown]), len(plan.tokens), plan.seconds_per_position) == (40, 14, 0.08)
    assert run.paths.evaluated_splits() == ["test"]
    evaluation = run.evaluation("test")
    assert (len(evaluation.rows), evaluation.seconds, evaluation.scores[0].value) == (80, 3.5, 40.0)


def test_a_run_without_alignment_has_no_selection(baseline_path: Path) -> None:
    run = RunFolder(baseline_path)
    assert run.selection() is None
    assert run.paths.plan_names() == []


def test_a_selection_without_probe(run_path: Path) -> None:
    record = {"step": 0, "strategy": "fixed", "layers": [0, 1], "weights": [0.5, 0.5], "reason": "named"}
    for extra in ({}, {"curve": None}):
        (run_path / "selection.json").write_text(json.dumps(record | extra))
        selection = RunFolder(run_path).selection()
        assert selection is not None
        assert selection.curve is None


def test_every_choice_of_a_run_that_chose_again(run_path: Path) -> None:
    first = {"step": 10, "layers": [0], "weights": [1.0], "reason": "a", "curve": None}
    last = {"step": 20, "layers": [2], "weights": [1.0], "reason": "b", "curve": None}
    record = {"strategy": "scheduled", **last, "choices": [first, last]}
    (run_path / "selection.json").write_text(json.dumps(record))
    run = RunFolder(run_path)
    assert [(choice.step, choice.layers, choice.strategy) for choice in run.selections()] == [
        (10, (0,), "scheduled"),
        (20, (2,), "scheduled"),
    ]
    assert run.selection() == run.selections()[-1]
    del record["choices"][0]["reason"]  # type: ignore[attr-defined]
    record.pop("reason")
    (run_path / "selection.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"selection\.json: .*KeyError: 'reason'"):
        run.selections()


def test_a_resumed_run_repeats_steps_and_the_last_counts(run_path: Path) -> None:
    lines = [{"step": 1, "nll": 5.0}, {"step": 2, "nll": 9.0}, {"step": 2, "nll": 4.0}, {"step": 3, "nll": 3.0}]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "nl'
    (run_path / "metrics/train.jsonl").write_text(text)
    assert [row["nll"] for row in RunFolder(run_path).metrics("train")] == [5.0, 4.0, 3.0]


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere: no such run folder; `aista train .*nowhere --config FILE`"):
        RunFolder(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"config.yaml: missing; `aista train"):
        RunFolder(tmp_path)


@pytest.mark.parametrize(
    ("part", "read", "command"),
    [
        ("timing.json", lambda run: run.timing(), "aista train RUN"),
        ("probe/final.json", lambda run: run.probe("final"), "aista probe RUN"),
        ("probe/final_plan.json", lambda run: run.plan("final"), "aista probe RUN"),
        ("evaluation/test/scores.json", lambda run: run.evaluation("test"), "aista evaluate RUN --split test"),
        ("evaluation/test/hypotheses.tsv", lambda run: run.evaluation("test"), "aista evaluate RUN --split test"),
    ],
)
def test_missing_parts_name_the_command(
    run_path: Path, part: str, read: Callable[[RunFolder], object], command: str
) -> None:
    (run_path / part).unlink()
    expected = f"{run_path / part}: missing; `{command.replace('RUN', str(run_path))}` makes it"
    with pytest.raises(RunError, match=re.escape(expected)):
        read(RunFolder(run_path))


def test_a_complete_run_misses_its_choices_of_layers(run_path: Path) -> None:
    (run_path / "timing.json").write_text('{"train_seconds": 1.0, "selections": 1}')
    assert RunFolder(run_path).selection() is not None
    (run_path / "selection.json").unlink()
    with pytest.raises(RunError, match=r"selection\.json: holds 0 of the choices of layers .* restore it"):
        RunFolder(run_path).selection()


@pytest.mark.parametrize("is_complete", [True, False])
@pytest.mark.parametrize(
    ("part", "read"),
    [
        ("environment.json", lambda run: run.environment()),
        ("metrics/train.jsonl", lambda run: run.metrics("train")),
    ],
)
def test_what_training_wrote_is_written_again_only_until_it_is_complete(
    run_path: Path, part: str, read: Callable[[RunFolder], object], is_complete: bool
) -> None:
    (run_path / part).unlink()
    if not is_complete:
        (run_path / "timing.json").unlink()
    remedy = "restore it from a copy" if is_complete else f"`aista train {run_path}` makes it"
    with pytest.raises(RunError, match=re.escape(f"{run_path / part}: missing; {remedy}")):
        read(RunFolder(run_path))


@pytest.mark.parametrize(
    ("part", "content", "read", "message"),
    [
        ("config.yaml", "a: [", lambda run: run.config(), "config.yaml:2: not valid YAML"),
        ("config.yaml", "- a", lambda run: run.config(), "expects a mapping, got list"),
        ("config.yaml", "!!python/object/apply:os.getcwd []", lambda run: run.config(), "config.yaml:1: the tag"),
        ("timing.json", "{", lambda run: run.timing(), r"timing.json: incomplete or malformed .*`aista train"),
        (
            "metrics/train.jsonl",
            '{"step": 1}\n{"nll": 2}\n',
            lambda run: run.metrics("train"),
            r"train\.jsonl:2: incomplete .*KeyError: 'step'.* remove the line",
        ),
        ("metrics/train.jsonl", "oops\n", lambda run: run.metrics("train"), r"train\.jsonl:1: incomplete or malformed"),
        ("selection.json", '{"step": 1}', lambda run: run.selection(), "selection.json: .*KeyError: 'strategy'"),
        (
            "selection.json",
            '{"step": 1, "strategy": "s", "layers": [1], "weights": [1.0], "reason": "r", "curve": 3}',
            lambda run: run.selection(),
            "selection.json: not a probe curve",
        ),
        ("probe/final.json", '{"curve": {}}', lambda run: run.probe("final"), "final.json: not a probe curve"),
        ("probe/final.json", "{}", lambda run: run.probe("final"), "final.json: .*KeyError: 'curve'"),
        (
            "probe/final_plan.json",
            '{"id": "a", "layer": 1, "tokens": ["x"], "plan": [[1.0], [0.5, 0.5]]}',
            lambda run: run.plan("final"),
            "one row per speech position and 1 columns",
        ),
        ("evaluation/test/scores.json", '{"scores": [{}]}', lambda run: run.evaluation("test"), "KeyError: 'name'"),
    ],
)
def test_malformed_parts_name_the_file(
    run_path: Path, part: str, content: str, read: Callable[[RunFolder], object], message: str
) -> None:
    (run_path / part).write_text(content)
    with pytest.raises(AistaError, match=message):
        read(RunFolder(run_path))
