"""Results are known by the manifest and the checkpoint that they are from."""

from dataclasses import replace
from pathlib import Path

import pytest

from aista.errors import RunError
from aista.run_folder.paths import split_label
from aista.run_folder.sources import Source, differing_data

TEST = Source(checkpoint="step_8", split="test", manifest="/data/test.tsv", sha256="5e" * 32)
OLD = Source.of({"checkpoint": "step_8", "split": "test"})


def test_labels_of_manifests_cannot_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    names = ["train", "dev", "test", "./test", "test.tsv", "other/test.tsv", "test-1234abcd.tsv", "test_step_4.tsv"]
    labels = [split_label(name) for name in names]
    assert labels[:3] == names[:3]
    assert len(set(labels)) == len(names)
    assert split_label(str(tmp_path / "test.tsv")) == split_label("link/link/test.tsv") == split_label("test.tsv")


@pytest.mark.parametrize("name", ["x" * 250 + ".tsv", "日" * 80 + ".tsv", "b\udce9.tsv", "..", "a\tb.tsv"])
def test_a_label_is_a_file_name(name, tmp_path):
    label = split_label(name)
    assert Path(label).name == label
    (tmp_path / f"{label}_step_1000000_measures.png").touch()


@pytest.mark.parametrize(
    "other",
    [
        replace(TEST, sha256="c0" * 32),
        replace(TEST, checkpoint="step_4"),
        replace(OLD, split="other/test.tsv"),
        replace(OLD, checkpoint=""),
    ],
)
def test_other_results_are_not_replaced(other):
    with pytest.raises(RunError, match=r"^run/x: holds the results of .* on .*test.*step_8 on test \(/data/test.tsv"):
        TEST.require_same(other, Path("run/x"))


@pytest.mark.parametrize("other", [TEST, OLD, replace(TEST, manifest="/moved/test.tsv")])
def test_the_same_are(other):
    TEST.require_same(other, Path("run/x"))


def test_the_checkpoint_may_be_left_open():
    TEST.require_same(replace(TEST, checkpoint="step_4"), Path("run/x"), checkpoint=False)


def test_a_comparison_tells_of_differing_manifests():
    noisy = replace(TEST, manifest="/noisy/test.tsv", sha256="c0" * 32)
    assert differing_data({"a": TEST, "b": replace(TEST, checkpoint="step_4"), "c": OLD}) == ""
    warning = differing_data({"a": TEST, "b": noisy})
    assert "a: step_8 on test (/data/test.tsv, SHA-256 5e5e" in warning
    assert "b: step_8 on test (/noisy/test.tsv, SHA-256 c0c0" in warning
