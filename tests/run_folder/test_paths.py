"""Where the files of a run folder lie, and that one file of the package says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import aista
from aista.errors import RunError
from aista.run_folder.paths import RunPaths, runs_below

FILES = re.compile(
    r"config\.yaml|(environment|data|parameters|selection|timing|tracking|scores)\.json\b|\.jsonl(?!\.gz)|hypotheses\.tsv|_plan\.json|"
    r"step_[*{]"
)
FOLDERS = {"checkpoints", "engine", "evaluation", "metrics", "pretraining", "probe", "tracking"}
HAS_FOLDER_OF_ITS_OWN = {("runs/ablation/plan.py", "pretraining")}
"""The folder of an ablation has pretraining stages too; it is no run folder."""
OTHER_LAYOUTS = "data/sources/"
"""What reads corpora in the layouts of other tools, with their names of files."""


def test_names_are_spelt_in_one_file() -> None:
    root = Path(aista.__file__).parent
    found = []
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root).as_posix()
        if place != "run_folder/paths.py" and not place.startswith(OTHER_LAYOUTS):
            names = spelt(ast.parse(file.read_text(encoding="utf-8")))
            found += [f"{place}: {name!r}" for name in names if (place, name) not in HAS_FOLDER_OF_ITS_OWN]
    assert found == []


def spelt(tree: ast.Module) -> Iterator[str]:
    """Names of a run folder's files in the texts of a module, but its docstrings, and of its folders in paths."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            if FILES.search(node.value):
                yield node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield from {node.right.value} & FOLDERS


def test_the_guard_sees_names_in_texts_and_in_paths() -> None:
    code = '"""Reads timing.json."""\nx = path / "timing.json", f"{run}/config.yaml: bad", path / "probe" / name'
    assert set(spelt(ast.parse(code))) == {"probe", "timing.json", "/config.yaml: bad"}


def test_a_folder_without_files_is_no_run(tmp_path: Path) -> None:
    run = RunPaths(tmp_path)
    assert not run.is_run
    assert not run.is_complete
    assert run.checkpoint_steps() == run.evaluated_splits() == run.probe_names() == run.plan_names() == []


def test_checkpoints_ascend_by_step_and_half_written_ones_are_left_out(tmp_path: Path) -> None:
    run = RunPaths(tmp_path)
    for name in ("step_100", "step_20", "step_300.tmp", "scores"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert run.checkpoint_steps() == [20, 100]


def test_a_file_in_place_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "step_2").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step_4").touch()
    with pytest.raises(RunError, match="step_4: a checkpoint is a folder, this is a file"):
        RunPaths(tmp_path).checkpoint_steps()


def test_stages_and_runs_within_runs_are_not_listed(tmp_path: Path) -> None:
    for run in ("b", "a", "a/pretraining/asr", "pretraining/asr-0123456789ab", "a/copy"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.yaml").touch()
    assert runs_below(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_folders_that_cannot_be_read_are_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunPaths(tmp_path)
    run.scores_dir.mkdir(parents=True)

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.listdir", refuse)
    monkeypatch.setattr("os.scandir", refuse)
    for read in (run.checkpoint_steps, run.scored_steps, run.half_written_checkpoints):
        with pytest.raises(PermissionError):
            read()
