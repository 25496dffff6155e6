import pytest

from aista.engine.checkpoints import checkpoint_steps, find_checkpoint
from aista.errors import RunError


@pytest.fixture
def run(tmp_path):
    for step, score in ((10, "-2.0"), (20, "-1.5"), (30, "-1.7")):
        (tmp_path / "checkpoints" / f"step_{step}" / "model").mkdir(parents=True)
        (tmp_path / "checkpoints" / "scores").mkdir(exist_ok=True)
        (tmp_path / "checkpoints" / "scores" / f"step_{step}.txt").write_text(f"{score}\n")
    (tmp_path / "checkpoints" / "step_40.tmp").mkdir()
    return tmp_path


def test_unfinished_checkpoints_are_not_listed(run):
    assert [checkpoint.step for checkpoint in checkpoint_steps(run)] == [10, 20, 30]


@pytest.mark.parametrize(("which", "step"), [("best", 20), ("last", 30), ("10", 10), ("step_10", 10)])
def test_a_checkpoint_is_found_by_score_age_or_number(run, which, step):
    assert find_checkpoint(run, which).step == step


def test_without_scores_the_best_is_the_last(run):
    for file in (run / "checkpoints" / "scores").iterdir():
        file.unlink()
    assert find_checkpoint(run).step == 30


def test_an_unknown_number_lists_those_there_are(run):
    with pytest.raises(RunError, match=r"no checkpoint '15'; it has steps 10, 20, 30"):
        find_checkpoint(run, "15")


def test_a_run_without_checkpoints_names_the_command(tmp_path):
    with pytest.raises(RunError, match="no checkpoint yet; train with `aista train"):
        find_checkpoint(tmp_path)
