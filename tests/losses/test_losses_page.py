"""What docs/losses.md and docs/choose/solver.md show and list is so."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from aista import registry
from aista.losses import Sinkhorn, from_cost
from aista.losses.ot import OTAlignment, OTAlignmentConfig
from aista.schema import structure

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "losses.md").read_text(encoding="utf-8")
CHOICE = (DOCS / "choose" / "solver.md").read_text(encoding="utf-8")


def _block(language: str) -> str:
    return PAGE.split(f"```{language}\n")[1].split("```")[0]


def test_the_example_runs_and_trains(capsys):
    names: dict[str, object] = {}
    exec(compile(_block("python"), "docs/losses.md", "exec"), names)
    result, speech = names["result"], names["speech"]
    assert result.converged.all()
    assert result.value[3] == 0
    assert (result.value[:3] < 0.6).all()  # random directions begin near 1
    assert not speech.grad[1, 31:].any()
    assert "torch.Size([4, 50, 12])" in capsys.readouterr().out


def test_the_config_builds_the_alignment():
    (node,) = yaml.safe_load(_block("yaml"))["alignment"]
    loss = OTAlignment(structure(OTAlignmentConfig, node["config"]))
    assert isinstance(loss.solver, Sinkhorn)
    assert loss.solver.epsilon == 0.1


def test_the_table_lists_every_solver_of_aista():
    rows = [line.split("`")[1] for line in CHOICE.splitlines() if line.startswith("| `")]
    entries = [entry for entry in registry.entries("ot_solver") if entry.origin.startswith("aista.")]
    assert sorted(rows) == sorted(entry.name for entry in entries)
    for name in rows:
        assert f"**{name}**" in PAGE, name


def test_a_marginal_error_is_squared_as_the_page_says():
    C = torch.rand(1, 40, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    options = {"epsilon": 0.1, "max_iterations": 10}
    lengths = torch.tensor([40]), torch.tensor([20])
    errors = [float(Sinkhorn(**options, polish=p).solve(from_cost(C, *lengths)).marginal_error) for p in (False, True)]
    assert errors[1] < 10 * errors[0] ** 2
