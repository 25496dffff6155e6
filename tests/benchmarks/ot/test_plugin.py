"""A user's own solver beside the others."""

import math

import pytest

from aista.errors import PluginError
from aista.scaffold import new_component
from benchmarks.ot.memory import extra_memory, save_case
from benchmarks.ot.rows.plugin import plugin_rows, require_contracts
from tests.benchmarks.ot.test_main import bench, tiny
from tests.places import line_of

pytestmark = pytest.mark.usefixtures("clean_registry")
__all__ = ["bench", "tiny"]

ENTROPIC = """
from dataclasses import dataclass

from aista.losses import Sinkhorn
from aista.registry import register


@register("ot_solver", "own_sinkhorn")
@dataclass(frozen=True, kw_only=True)
class OwnSinkhorn(Sinkhorn):
    \"\"\"Sinkhorn under a name of one's own.\"\"\"
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return new_component("ot_solver", "own_solver", tmp_path / "own_solver.py")


def test_a_plug_in_is_timed_and_its_errors_are_shown(bench, tiny, plugin, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.ot.measure.extra_memory", lambda case_file, row, plugin: 1.0)
    (tmp_path / "entropic.py").write_text(ENTROPIC)
    arguments = ("--workload", "tiny", "--rows", "sinkhorn", "--rounds", "1", "--out", "out")
    code, out, err = bench(*arguments, "--plugin", "own_solver.py", "--plugin", "entropic.py")
    assert (code, err) == (0, "")
    assert "tiny, own_solver: value is off by " in out  # it solves another problem, and is marked
    lines = (tmp_path / "out/ot_cpu.csv").read_text().splitlines()
    rows = {line.split(",")[1]: line for line in lines[1:]}
    assert list(rows) == ["floor", "sinkhorn", "own_solver", "own_sinkhorn"]
    assert ",own_solver.py " in rows["own_solver"]
    assert "off by" not in rows["own_sinkhorn"]  # at the benchmark's epsilon and iterations


def test_a_check_alone(bench, tiny, plugin):
    code, out, _ = bench("--check", "--workload", "tiny", "--rows", "floor", "--plugin", "own_solver.py")
    assert code == 0
    assert "tiny, own_solver: value is off by " in out


def test_the_process_that_measures_memory_knows_the_plug_in(case, plugin, tmp_path):
    save_case(case, tmp_path / "case.pt")
    mib = extra_memory(tmp_path / "case.pt", "own_solver", "own_solver.py")
    assert mib >= 0 or math.isnan(mib)


def test_a_plug_in_that_breaks_a_contract_is_not_timed(bench, tiny, plugin, tmp_path):
    plugin.write_text(plugin.read_text().replace("plan * problem.cost).sum((1, 2))", "plan * problem.cost).sum()"))
    code, out, err = bench("--workload", "tiny", "--rows", "floor", "--plugin", "own_solver.py", "--out", "out")
    assert (code, out) == (2, "")
    line = line_of(plugin, "return OTResult.of(")
    assert err.startswith(f"benchmarks.ot: plug-in own_solver.py:{line}: RuntimeError: shape '[4]' is invalid")
    assert "(contract shapes); nothing was timed; `aista check own_solver.py` tests it" in err
    assert not (tmp_path / "out").exists()


def test_files_without_a_row_of_their_own_are_refused(plugin, tmp_path):
    new_component("cost", "own_cost", tmp_path / "own_cost.py")
    with pytest.raises(
        PluginError, match=r"'own_cost\.py' registers no ot_solver; `aista new ot_solver NAME` writes one"
    ):
        plugin_rows(["own_cost.py"])
    with pytest.raises(PluginError, match="a row is called 'own_solver' already; register it otherwise"):
        plugin_rows(["own_solver.py"], known=["own_solver"])
    require_contracts(plugin_rows(["own_solver.py"]))
