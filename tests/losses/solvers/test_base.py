"""A solver is its options: in Python, in YAML and in the registry it is the same object with the same bounds."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import aista.losses
from aista.errors import ConfigError
from aista.losses import from_cost, from_states
from aista.registry import build, entries
from aista.schema import Component, resolve, structure
from tests.losses.clouds import clouds
from tests.test_imports import imported_by

SOLVERS = {
    "exact": "Exact",
    "ipot": "Ipot",
    "partial": "Partial",
    "relaxed": "Relaxed",
    "sinkhorn": "Sinkhorn",
    "sinkhorn_divergence": "SinkhornDivergence",
    "sliced": "Sliced",
    "unbalanced": "Unbalanced",
}
BROKEN = [
    ("sinkhorn", "epsilon", 0),
    ("sinkhorn", "value", "dual"),
    ("sinkhorn", "max_iterations", 2.5),
    ("sinkhorn", "tolerance", float("inf")),
    ("sinkhorn", "gradient", "implicit"),
    ("sinkhorn_divergence", "gradient", "implicit"),
    ("unbalanced", "rho_x", -1),
    ("unbalanced", "backend", "log"),
    ("exact", "max_iterations", 0),
    ("partial", "fraction", 1.5),
    ("relaxed", "window", 0.5),
    ("sliced", "num_projections", 0),
    ("ipot", "epsilon", 0.0),
    ("unbalanced", "rho_y", 1e300),
    ("exact", "max_iterations", 2**70),
    ("sliced", "seed", 2**64),
    ("sliced", "num_projections", 2**70),
]


def test_every_registered_solver_is_exported():
    assert sorted(entry.name for entry in entries("ot_solver") if entry.origin.startswith("aista.")) == sorted(SOLVERS)
    assert set(SOLVERS.values()) < set(aista.losses.__all__)
    assert set(aista.losses.__all__) <= set(dir(aista.losses))
    with pytest.raises(AttributeError, match="no attribute 'Sinkhron'"):
        _ = aista.losses.Sinkhron


@pytest.mark.parametrize("name", SOLVERS)
def test_what_a_config_builds_is_the_solver_itself(name):
    solver = getattr(aista.losses, SOLVERS[name])
    assert build("ot_solver", Component(name)) == solver()
    option, value = {"partial": ("fraction", 0.3), "relaxed": ("side", "y"), "sliced": ("seed", 3)}.get(
        name, ("max_iterations", 7)
    )
    spec = resolve("ot_solver", {"name": name, "config": {option: value}})
    built = build("ot_solver", spec)
    assert built is spec.config
    assert built == solver(**{option: value}) != solver()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(built, option, value)


@pytest.mark.parametrize(("name", "option", "value"), BROKEN)
def test_bounds_hold_in_python_as_in_a_config(name, option, value):
    solver = getattr(aista.losses, SOLVERS[name])
    with pytest.raises(ValueError, match=option):
        solver(**{option: value})
    with pytest.raises(ConfigError, match=option):
        structure(solver, {option: value})


def test_a_call_solves_the_problem_of_its_states():
    case = clouds([5, 0, 3], [4, 2, 2])
    geometry = {"cost": "sqeuclidean", "x_mass": "norm", "position_weight": 0.3, "position_power": 2.0}
    solver = aista.losses.Sinkhorn()
    problem = from_states(*case, **geometry)
    assert torch.equal(solver(*case, **geometry).value, solver.solve(problem).value)
    given = from_cost(problem.restore(problem.cost), *case[2:], x_mass=problem.restore(problem.x_mass))
    torch.testing.assert_close(solver.solve(given).value, solver.solve(problem).value)


def test_the_room_is_imported_without_torch():
    assert "torch" not in imported_by("import aista.losses; dir(aista.losses)")
