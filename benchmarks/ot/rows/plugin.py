"""A user's own solvers, from plug-in files."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from aista import registry
from aista.errors import PluginError
from aista.plugin_faults import shown_file
from aista.registry import Entry
from aista.schema import resolve
from aista.testing import contracts
from benchmarks.ot.rows.base import Row
from benchmarks.ot.rows.own import solver
from benchmarks.ot.workload import EPSILON, ITERATIONS

__all__ = ["plugin_rows", "require_contracts"]

_GIVEN = {"epsilon": EPSILON, "max_iterations": ITERATIONS}


def plugin_rows(files: Iterable[str], known: Iterable[str] = ()) -> dict[str, Row]:
    """A row for each solver that plug-in files register, at its defaults.

    Options called ``epsilon`` and ``max_iterations`` get the benchmark's values, so that a solver of the same problem
    is compared on equal terms. One of another problem is timed and marked: it is off from the reference.

    Args:
        files: Plug-in files.
        known: Names of rows, which a solver must not have.

    Raises:
        PluginError: a file registers no solver, or one with the name of a row, or it cannot be loaded or built.
    """
    rows: dict[str, Row] = {}
    for file in files:
        entries = [entry for entry in registry.load_plugins([file]) if entry.kind == "ot_solver"]
        if not entries:
            raise PluginError(f"plug-in {file!r} registers no ot_solver; `aista new ot_solver NAME` writes one")
        for entry in entries:
            if entry.name in known:
                raise PluginError(f"plug-in {file!r}: a row is called {entry.name!r} already; register it otherwise")
            spec = resolve("ot_solver", {"name": entry.name, "config": _options(entry)})
            solve = registry.build("ot_solver", spec)
            summary = (inspect.getdoc(entry.factory) or "no description").partition("\n")[0]
            rows[entry.name] = Row(summary=summary, prepare=solver(solve), half=True, plugin=shown_file(file))
    return rows


def require_contracts(rows: Iterable[str]) -> None:
    """Raise PluginError for a solver that breaks a contract of its kind: its times would mean nothing."""
    for name in rows:
        entry = registry.get("ot_solver", name)
        for outcome in contracts.run("ot_solver", name, _options(entry)):
            if outcome.status == "FAIL":
                reason = f"{outcome.reason} (contract {outcome.contract}); nothing was timed"
                raise PluginError(reason, check=outcome.reason.partition(":")[0])


def _options(entry: Entry) -> dict[str, float]:
    return {option.name: _GIVEN[option.name] for option in entry.options if option.name in _GIVEN}
