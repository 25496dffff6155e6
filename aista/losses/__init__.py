"""Costs, optimal-transport solvers and alignment losses between speech and text states. Only PyTorch is needed.

Examples:
    >>> from aista.losses import Sinkhorn
    >>> loss = Sinkhorn(epsilon=0.05)(x, y, x_lengths, y_lengths, cost="cosine").value.mean()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aista.losses.solvers.base import OTResult, Solver
    from aista.losses.solvers.exact import Exact
    from aista.losses.solvers.ipot import Ipot
    from aista.losses.solvers.partial import Partial
    from aista.losses.solvers.problem import Problem, from_cost, from_states
    from aista.losses.solvers.relaxed import Relaxed
    from aista.losses.solvers.sinkhorn import Sinkhorn
    from aista.losses.solvers.sinkhorn_divergence import SinkhornDivergence
    from aista.losses.solvers.sliced import Sliced
    from aista.losses.solvers.unbalanced import Unbalanced

__all__ = [
    "Exact",
    "Ipot",
    "OTResult",
    "Partial",
    "Problem",
    "Relaxed",
    "Sinkhorn",
    "SinkhornDivergence",
    "Sliced",
    "Solver",
    "Unbalanced",
    "from_cost",
    "from_states",
]

_MODULES = {
    "Exact": "exact",
    "Ipot": "ipot",
    "OTResult": "base",
    "Partial": "partial",
    "Problem": "problem",
    "Relaxed": "relaxed",
    "Sinkhorn": "sinkhorn",
    "SinkhornDivergence": "sinkhorn_divergence",
    "Sliced": "sliced",
    "Solver": "base",
    "Unbalanced": "unbalanced",
    "from_cost": "problem",
    "from_states": "problem",
}


def __getattr__(name: str) -> Any:
    """Import a solver on first use, as the registry and the command line must work without torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.solvers.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """All names that can be imported from here, loaded or not."""
    return sorted({*globals(), *__all__})
