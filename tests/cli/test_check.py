import re
import subprocess
import sys
from pathlib import Path

import pytest

from aista.kinds import KINDS
from aista.scaffold import new_component
from tests.places import line_of


@pytest.mark.parametrize(("target", "component"), [("cost/cosine", "cost/cosine"), ("euclidean", "cost/euclidean")])
def test_a_component_by_kind_and_name_or_by_name(aista, target, component):
    code, out, err = aista("check", target)
    assert (code, err) == (0, "")
    assert f"PASS    {component} gradients\n" in out
    assert out.endswith(" passed, 0 failed, 0 skipped\n")


def test_a_plugin_file_is_checked_whole(aista, plugin):
    code, out, _ = aista("check", plugin)
    assert code == 0
    assert "PASS    cost/test_chebyshev pairwise\n" in out


def test_a_failure_has_a_reason_and_exit_code_1(aista, plugin):
    plugin.write_text(plugin.read_text().replace("return self.scale *", "return x.sum() + self.scale *"))
    code, out, _ = aista("check", plugin)
    assert code == 1
    place = r"my_cost\.py:\d+: entry \(i, j\) depends on other states than i and j"
    assert re.search(rf"^FAIL    cost/test_chebyshev pairwise: .*{place}", out, re.MULTILINE)
    assert "PASS    cost/test_chebyshev documented\n" in out


def test_what_needs_files_is_skipped_aloud_and_counted(aista):
    code, out, _ = aista("check", "encoder/whisper")
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.startswith("SKIPPED"))
    assert line.startswith("SKIPPED encoder/whisper constructs, shapes, padding, ")
    assert ": needs config.path (" in line
    assert line.endswith("give it with --set path=...")
    assert out.splitlines()[-1].endswith("7 skipped")


def test_options_from_the_command_line(aista, plugin):
    code, out, _ = aista("check", plugin, "--set", "scale=2.5")
    assert code == 0
    code, out, _ = aista("check", "cost/test_chebyshev", "--set", "scale=-1")
    assert code == 1
    assert "FAIL    cost/test_chebyshev constructs: config: 1 fault cost.config.scale: must be greater than 0" in out


def test_a_broken_plugin(aista, tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    code, out, err = aista("check", tmp_path / "broken.py")
    assert (code, err) == (1, "")
    assert out.endswith(
        "broken.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'\n0 passed, 1 failed, 0 skipped\n"
    )


def test_a_plugin_without_components(aista, tmp_path):
    (tmp_path / "empty.py").write_text("")
    code, out, _ = aista("check", tmp_path / "empty.py")
    assert code == 1
    assert "empty.py loads: registers no component; decorate one with aista.registry.register" in out


MISTAKES = {
    "a method is missing": (
        ("def output_lengths(", "def lengths_of("),
        "constructs: {file}:{at}: OwnPart lacks `def output_lengths(self, lengths: Tensor) -> Tensor`; kind adapter "
        "asks for `OwnPart(config: OwnPartConfig, *, input_dim, output_dim, vocab_size)`",
    ),
    "another signature": (
        ("*, input_dim: int, output_dim: int", "input_dim: int, output_dim: int, depth: int"),
        "constructs: {file}:{at}: OwnPart cannot be built: TypeError: OwnPart.__init__() missing 1 required "
        "positional argument: 'depth'; kind adapter asks for `OwnPart(config: OwnPartConfig, *, ",
    ),
    "it raises": (
        ("= config.window", "= {}['window']"),
        "constructs: {file}:{mistake}: OwnPart cannot be built: KeyError",
    ),
    "it returns something else": (
        (", out_lengths", ""),
        "shapes, lengths, batch_of_one: {file}:{at}: must return positions [B, P, D] and lengths [B], got a Tensor",
    ),
    "it breaks when it is used": (
        ("self.output_lengths(lengths)", "states @ lengths"),
        "shapes: {file}:{mistake}: RuntimeError: size mismatch",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_its_place_and_the_other_targets_are_checked(
    aista, tmp_path, monkeypatch, clean_registry, mistake
):
    (old, new), reason = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    file = new_component("adapter", "own_part", Path("own_part.py"))
    file.write_text(file.read_text().replace(old, new))
    places = {"at": line_of(file, "@register("), "mistake": line_of(file, new)}
    Path("broken.py").write_text("def broken(:")
    code, out, err = aista("check", "broken.py", file, "cost/cosine")
    assert (code, err) == (1, "")
    failures = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert failures[0] == "FAIL    broken.py loads: broken.py:1: SyntaxError: invalid syntax"
    assert failures[1].startswith(f"FAIL    adapter/own_part {reason.format(file=file, **places)}")
    assert len(failures) == 2
    assert "PASS    cost/cosine gradients\n" in out


def test_developers_see_the_traceback(tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no luck')")
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-m", "aista", "check", "broken.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    assert "Traceback (most recent call last):" in result.stderr
    assert 'broken.py", line 1, in <module>' in result.stderr


def test_names_that_mean_nothing_or_too_much(aista, tmp_path, monkeypatch):
    code, _, err = aista("check", "cosin")
    assert (code, err) == (2, "aista: no component is named 'cosin' (did you mean 'cosine'?); see aista list\n")
    monkeypatch.chdir(tmp_path)
    Path("cosin.py").touch()
    assert "'cosin' (did you mean cosin.py?)" in aista("check", "cosin")[2]
    code, _, err = aista("check", "cosine")
    assert (code, err) == (
        2,
        "aista: 'cosine' is the name of several components; choose one of alignment_loss/cosine, cost/cosine, "
        "weight_schedule/cosine\n",
    )
    code, _, err = aista("check", "kost/cosine")
    assert code == 2
    assert "unknown kind 'kost' (did you mean 'cost'?)" in err


def test_the_example_of_the_docs_keeps_its_contracts(aista, tmp_path, clean_registry):
    page = (Path(__file__).parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")
    (example,) = (block for part in page.split("```python\n")[1:] if "@register(" in (block := part.split("```")[0]))
    file = tmp_path / "example.py"
    file.write_text(example)
    code, out, _ = aista("check", file)
    assert code == 0, out
    assert out.count("PASS    cost/chebyshev ") > 3
    assert " 0 failed, 0 skipped" in out


def test_the_docs_list_every_kind_with_its_package():
    page = (Path(__file__).parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{kind.name}` |"))
        assert row.endswith(f"| `{kind.package}` |")
