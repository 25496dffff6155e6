from pathlib import Path

import pytest

from aista.kinds import KINDS


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
    assert "FAIL    cost/test_chebyshev pairwise: entry (i, j) depends on other states than i and j" in out
    assert "PASS    cost/test_chebyshev documented\n" in out


def test_what_needs_files_is_skipped_aloud_and_counted(aista):
    code, out, _ = aista("check", "encoder/whisper")
    assert code == 0
    assert "SKIPPED encoder/whisper shapes: needs config.path (" in out
    assert "give it with --set path=..." in out
    assert out.splitlines()[-1].endswith("6 skipped")


def test_options_from_the_command_line(aista, plugin):
    code, out, _ = aista("check", plugin, "--set", "scale=2.5")
    assert code == 0
    code, out, _ = aista("check", "cost/test_chebyshev", "--set", "scale=-1")
    assert code == 1
    assert "FAIL    cost/test_chebyshev build: config: 1 fault cost.config.scale: must be greater than 0" in out


def test_a_broken_plugin(aista, tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    code, out, err = aista("check", tmp_path / "broken.py")
    assert (code, out) == (2, "")
    assert "broken.py' failed to load: ModuleNotFoundError: No module named 'nothing_of_that_name'" in err


def test_a_plugin_without_components(aista, tmp_path):
    (tmp_path / "empty.py").write_text("")
    code, _, err = aista("check", tmp_path / "empty.py")
    assert code == 2
    assert "empty.py' registers no component; decorate one with aista.registry.register" in err


def test_names_that_mean_nothing_or_too_much(aista):
    code, _, err = aista("check", "cosin")
    assert (code, err) == (2, "aista: no component is named 'cosin' (did you mean 'cosine'?); see aista list\n")
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
