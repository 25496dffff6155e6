"""What killed processes leave goes at the next start; what others wrote, and what lives, stays."""

import os

from aista.files import DAY, leftover_prefix, remove_leftovers, replacing_folder
from aista.run_folder.leftovers import remove_training_leftovers
from aista.run_folder.paths import RunPaths


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_training_leaves_nothing_at_its_next_start(tmp_path):
    kept = {
        "config.yaml",
        "checkpoints/step_2/model/weights",
        "checkpoints/scores/step_2.txt",
        "checkpoints/step_old.tmp/mine",
        ".notes.md.0123abcd",
        ".config.yaml.mine",
        "evaluation/test/.scores.json.0123abcd",
    }
    left = {
        ".config.yaml.0123abcd",
        ".data.json.ffffffff",
        ".assets.0123abcd/new/tokenizer.model",
        "metrics/.valid.jsonl.0123abcd",
        "checkpoints/step_4.tmp/model/weights",
        "checkpoints/scores/step_1.txt",
        "checkpoints/scores/.step_2.txt.0123abcd",
    }
    for name in kept | left:
        touch(tmp_path / name)
    remove_training_leftovers(RunPaths(tmp_path))
    assert files(tmp_path) == kept


def test_others_leftovers_are_removed_by_their_age(tmp_path):
    old, new = (tmp_path / f"{leftover_prefix('out')}{digits}" for digits in ("00000000", "11111111"))
    for folder in (old, new):
        touch(folder / "weights")
    os.utime(old, (0, 0))
    with replacing_folder(tmp_path / "out"):
        pass
    assert sorted(tmp_path.iterdir()) == [new, tmp_path / "out"]
    remove_leftovers(tmp_path, "out", older_than=DAY)
    assert new.is_dir()
