import json

import pytest

from aista.run_folder.paths import RunPaths
from aista.run_folder.run_names import RunNames, link_by_name


@pytest.mark.parametrize(
    ("paths", "names", "pattern"),
    [
        (["a/b/c", "a/b/d"], ("c", "d"), "a/b/*"),
        (["a/b"], ("b",), "a/*"),
        (["a/x/e/h.tsv", "a/y/e/h.tsv"], ("x/e/h.tsv", "y/e/h.tsv"), "a/*"),
        (["a/b", "a/b/c"], ("b", "b/c"), "a/*"),
        (["a/x@test", "a/x@dev"], ("x@test", "x@dev"), "a/*"),
    ],
)
def test_what_all_paths_begin_with_is_cut(paths, names, pattern):
    assert RunNames.of(paths) == RunNames(names, (f"names stand for * in {pattern}",))


def test_what_all_files_end_in_can_be_cut_too():
    found = RunNames.of(["a/x/e/h.tsv", "a/y/e/h.tsv"], cut_ends=True)
    assert found == RunNames(("x", "y"), ("names stand for * in a/*/e/h.tsv",))
    assert RunNames.of(["a/h.tsv"], cut_ends=True).names == ("h.tsv",)


@pytest.mark.parametrize("paths", [["x"], ["x", "y"], ["a", "a/b"]])
def test_what_shares_nothing_stays(paths):
    assert RunNames.of(paths) == RunNames(tuple(paths), ())


@pytest.fixture
def ablation(tmp_path):
    runs = [("ce only", 1, "runs/3fa2"), ("ot", 1, "runs/99aa"), ("ot again", 1, "runs/99aa")]
    for _, _, folder in runs:
        (tmp_path / folder / "evaluation/test").mkdir(parents=True, exist_ok=True)
    records = [{"name": name, "seed": seed, "folder": folder} for name, seed, folder in runs]
    (tmp_path / "runs.json").write_text(json.dumps(records))
    return tmp_path / "runs"


def test_runs_of_an_ablation_have_their_row_and_seed(ablation):
    paths = [str(ablation / "99aa"), str(ablation / "3fa2")]
    assert RunNames.of(paths).names == ("ot, seed 1", "ce only, seed 1")
    assert RunNames.of(paths).notes == (f"ot, seed 1: {paths[0]}", f"ce only, seed 1: {paths[1]}")
    assert RunNames.of([f"{ablation}/3fa2/evaluation/test/hypotheses.tsv"]).names == ("ce only, seed 1",)
    assert RunPaths(ablation / "99aa").title == "ot, seed 1"


def test_two_files_of_one_run_keep_their_paths(ablation):
    files = [f"{ablation}/3fa2/evaluation/{split}/hypotheses.tsv" for split in ("test", "dev")]
    assert RunNames.of(files).names == tuple(files)


@pytest.mark.parametrize("text", ["{", '[{"folder": 3}]', "{}"])
def test_an_index_that_cannot_be_read_names_nothing(ablation, text):
    (ablation.parent / "runs.json").write_text(text)
    assert RunPaths(ablation / "99aa").title == "99aa"


def test_runs_have_links_of_their_names(ablation):
    folder = ablation.parent
    link_by_name(folder, [("ot", 1, ablation / "3fa2"), ("gone", 2, ablation / "99aa")])
    for _ in range(2):  # a second call changes nothing
        link_by_name(folder, [("ot", 1, ablation / "99aa"), ("ce/only", 1, ablation / "3fa2")])
        links = {str(path.relative_to(folder)): path.resolve().name for path in folder.glob("seed_*/*")}
        assert links == {"seed_1/ot": "99aa", "seed_1/ce_only": "3fa2"}
    assert RunNames.of([f"{folder}/seed_1/ot"]).names == ("ot, seed 1",)
    (folder.parent / "moved").symlink_to(folder)
    assert (folder.parent / "moved/seed_1/ot/evaluation").is_dir()
