"""Cases whose results are kept, bit for bit, in ``recorded.safetensors.gz``; ``test_recorded.py`` compares.

``python -m tests.losses.recorded`` writes the file anew: only where a change of the numbers is meant. The first one was
written by commit 924c031, in which each solver was a function too and its options were declared twice.
"""

from __future__ import annotations

import gzip
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from aista.losses import from_cost
from aista.losses.base import AlignmentContext
from aista.registry import build
from aista.schema import resolve
from aista.types import LayerStates, length_mask

FILE = Path(__file__).with_name("recorded.safetensors.gz")
X_LENGTHS, Y_LENGTHS = [7, 1, 0, 9], [5, 6, 3, 4]
GIVEN = "given"
FP64, BF16 = torch.float64, torch.bfloat16


@dataclass(frozen=True)
class SolverCase:
    """A registered solver, its options, and what it is called with; ``given`` masses hold a zero."""

    solver: str
    options: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    masses: str | None = None
    of_costs: bool = False
    large: bool = False
    geometry: dict[str, Any] = field(default_factory=dict)


def _solver_cases() -> Iterator[SolverCase]:
    for dtype in (torch.float32, FP64, BF16):
        for solver in ("sinkhorn", "sinkhorn_divergence", "unbalanced"):
            yield SolverCase(solver, dtype=dtype)
    sharp = {"epsilon": 0.01, "max_iterations": 500}
    for options in (
        {"backend": "scaling"},
        {"backend": "reference"},
        {"epsilon": 0.3, "epsilon_scale": "max", "tolerance": 1e-5},
        {"epsilon": 0.05, "epsilon_scale": "absolute", "max_iterations": 7, "tolerance": 0.0},
        {**sharp},
        {**sharp, "acceleration": "none"},
        {**sharp, "acceleration": "overrelaxation"},
        {"polish": False, "max_iterations": 10},
        {"value": "linear"},
        {"value": "linear", "gradient": "implicit"},
        {"gradient": "unrolled", "max_iterations": 20, "tolerance": 0.0},
    ):
        yield SolverCase("sinkhorn", options)
    yield SolverCase("sinkhorn", {"epsilon": 0.02, "max_iterations": 60}, large=True)
    yield SolverCase("sinkhorn", {"backend": "reference"}, FP64, GIVEN)
    for cost in ("sqeuclidean", "euclidean"):
        for solver in ("sinkhorn", "sinkhorn_divergence", "ipot"):
            yield SolverCase(solver, geometry={"cost": cost, "position_weight": 0.3, "position_power": 2.0})
    for rho in ((1.0, 0.4), (0.3, float("inf")), (0.0, 1.0)):
        for backend in ("scaling", "reference"):
            yield SolverCase("unbalanced", {"rho_x": rho[0], "rho_y": rho[1], "backend": backend}, masses=GIVEN)
    for solver in ("exact", "partial", "relaxed", "sliced", "ipot"):
        for dtype in (torch.float32, FP64):
            yield SolverCase(solver, dtype=dtype)
    for solver, options in (
        ("partial", {"fraction": 0.5}),
        ("partial", {"fraction": 1.0}),
        ("relaxed", {"side": "x"}),
        ("relaxed", {"side": "y", "window": 1.5}),
        ("sliced", {"num_projections": 7, "seed": 5}),
        ("ipot", {"epsilon": 0.4, "epsilon_scale": "max", "tolerance": 1e-2}),
    ):
        yield SolverCase(solver, options, masses="norm")
    for cost in ("sqeuclidean", "euclidean"):
        yield SolverCase("sliced", {"num_projections": 7}, geometry={"cost": cost})
    for solver in ("sinkhorn", "sinkhorn_divergence", "unbalanced", "exact", "partial", "relaxed", "ipot"):
        yield SolverCase(solver, masses=GIVEN)
        yield SolverCase(solver, masses=GIVEN, of_costs=True)


SOLVER_CASES = tuple(_solver_cases())
LOSS_CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ot", {}),
    ("ot", {"cost": "euclidean", "solver": "unbalanced", "text_mass": "norm", "position_weight": 0.5}),
    ("ot", {"solver": {"name": "relaxed", "config": {"side": "x"}}, "position_weight": 0.5, "position_power": 2.0}),
    ("cmot", {}),
    ("cmot", {"side": "both", "window": None, "mass": "uniform"}),
    ("soft_dtw", {}),
    ("soft_dtw", {"gamma": 0.5, "divergence": True, "cost": "sqeuclidean"}),
    ("cosine", {}),
    ("cosine", {"level": "token"}),
    ("mse", {"level": "max"}),
    ("mse", {"level": "token"}),
    ("infonce", {}),
    ("infonce", {"level": "token", "temperature": 0.3}),
    ("word_aligned", {}),
    ("wasserstein_contrastive", {}),
    ("wasserstein_contrastive", {"solver": "relaxed", "max_candidates": 3, "temperature": 0.5}),
    ("ctc", {}),
    ("ctc", {"temperature": 0.5, "classes": "batch"}),
    ("kl", {"temperature": 2.0}),
)


Case = SolverCase | tuple[str, dict[str, Any]]
CASES: dict[str, Case] = {
    **{f"{number:02}.{case.solver}": case for number, case in enumerate(SOLVER_CASES)},
    **{f"loss{number:02}.{case[0]}": case for number, case in enumerate(LOSS_CASES)},
}


def load() -> tuple[dict[str, Tensor], dict[str, str]]:
    """What was recorded, as ``case.what``, and under which conditions."""
    data = gzip.decompress(FILE.read_bytes())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return safetensors.torch.load(data), header["__metadata__"]


def measure(case: Case) -> dict[str, Tensor]:
    """Everything that a solver or a loss returns, and the gradients of a weighted sum of its values."""
    return _measure_solver(case) if isinstance(case, SolverCase) else _measure_loss(*case)


def _measure_solver(case: SolverCase) -> dict[str, Tensor]:
    solver = build("ot_solver", resolve("ot_solver", {"name": case.solver, "config": case.options}))
    x, y, x_lengths, y_lengths = _clouds(case)
    masses: dict[str, Any] = {}
    if case.masses == "norm":
        masses = {"x_mass": "norm", "y_mass": "norm"}
    elif case.masses == GIVEN:
        masses = {
            "x_mass": _mass(1, x_lengths, x.shape[1], x.dtype),
            "y_mass": _mass(2, y_lengths, y.shape[1], y.dtype),
        }
    if case.of_costs:
        both = x_lengths * (y_lengths > 0), y_lengths * (x_lengths > 0)
        a, b = masses["x_mass"], masses["y_mass"]
        parts = [(x, y, x_lengths, y_lengths, a, b)]
        if case.solver == "sinkhorn_divergence":
            parts += [(x, x, both[0], both[0], a, a), (y, y, both[1], both[1], b, b)]
        costs = [_distances(*(z.nan_to_num(0.0) for z in part[:2])).requires_grad_() for part in parts]
        leaves = {f"cost{number}": cost for number, cost in enumerate(costs)}
        result = solver.solve(
            *(
                from_cost(cost, *part[2:4], x_mass=part[4], y_mass=part[5])
                for cost, part in zip(costs, parts, strict=True)
            )
        )
    else:
        leaves = {"x": x.requires_grad_(), "y": y.requires_grad_()}
        result = solver(x, y, x_lengths, y_lengths, **masses, **case.geometry)
    leaves |= {name: mass for name, mass in masses.items() if isinstance(mass, Tensor)}
    f, g = result.potentials
    found = {"value": result.value, "transport_cost": result.transport_cost, "plan": result.plan(), "f": f, "g": g}
    for name in ("num_iterations", "marginal_error", "converged"):
        found[name] = getattr(result, name)
    return _with_gradients(found, result.value, leaves)


def _measure_loss(name: str, options: dict[str, Any]) -> dict[str, Tensor]:
    """Of two layers of four rows; the vocabulary is a leaf too."""
    loss = build("alignment_loss", resolve("alignment_loss", {"name": name, "config": options}))
    x_lengths, y_lengths = (torch.tensor(2 * lengths) for lengths in (X_LENGTHS, Y_LENGTHS))
    if name == "kl":
        x_lengths = torch.tensor(2 * [5, 6, 0, 4])
    speech, text = (_padded(seed, lengths, 6, torch.float32) for seed, lengths in ((3, x_lengths), (4, y_lengths)))
    leaves = {"speech": speech.requires_grad_(), "text": text.requires_grad_()}
    leaves["vocabulary"] = torch.randn(10, 6, generator=torch.Generator().manual_seed(5)).requires_grad_()
    ids = torch.tensor([[1, 2, 3, 4, 1, 0], [5, 5, 6, 7, 1, 2], [7, 1, 8, 0, 0, 0], [4, 2, 4, 9, 0, 0]])
    spans = [[[0, 2, 0.0, 0.4], [2, 5, 0.5, 1.0]], [[0, 3, 0.1, 0.9], [3, 6, 0.9, 1.0]], [[0, 1, 0.0, 0.3], [0] * 4]]
    words = torch.tensor([*spans, [[0, 1, 0.2, 0.5], [1, 4, 0.5, 0.9]]])
    context = AlignmentContext(2, ids, leaves["vocabulary"], pad_id=0, words=words)
    result = loss(LayerStates(speech, x_lengths, text, y_lengths), context, detach_text=False)
    found = {"value": result.per_utterance_B, **{f"diagnostic_{key}": z for key, z in result.diagnostics.items()}}
    return _with_gradients(found, result.per_utterance_B, leaves)


def conditions() -> dict[str, str]:
    """What decides how sums round, beside the code: equal conditions, equal bits."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    processor = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return {
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "processor": "/".join(processor.get(key, "?") for key in ("vendor_id", "cpu family", "model")),
    }


def _with_gradients(found: dict[str, Tensor], value: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    weights = torch.arange(1, 1 + value.numel(), dtype=value.dtype).reshape(value.shape)
    gradients = torch.autograd.grad((weights * value).sum(), tuple(leaves.values()), allow_unused=True)
    found |= {f"grad_{key}": z for key, z in zip(leaves, gradients, strict=True) if z is not None}
    return {key: z.detach().contiguous() for key, z in found.items()}


def _clouds(case: SolverCase) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x_lengths, y_lengths = ([38, 9], [34, 33]) if case.large else (X_LENGTHS, Y_LENGTHS)
    lengths = torch.tensor(x_lengths), torch.tensor(y_lengths)
    x, y = (_padded(seed, length, 4, case.dtype) for seed, length in enumerate(lengths))
    return x, y, *lengths


def _padded(seed: int, lengths: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """States that share a mean, NaN in the padding."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(len(lengths), int(lengths.max()) + 1, width, generator=generator, dtype=FP64)
    states = states + torch.linspace(-1, 1, width, dtype=FP64)
    states[~length_mask(lengths, states.shape[1])] = float("nan")
    return states.to(dtype)


def _mass(seed: int, lengths: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    mass = torch.rand(len(lengths), size, generator=torch.Generator().manual_seed(seed), dtype=FP64) + 0.1
    mass[0, 1] = 0.0
    mass[~length_mask(lengths, size)] = float("nan")
    return mass.to(dtype).requires_grad_()


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, :, None] - y[:, None]).square().sum(-1)


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    tensors = {f"{name}.{key}": z for name, case in CASES.items() for key, z in measure(case).items()}
    data = safetensors.torch.save(tensors, metadata=conditions())
    FILE.write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    main()
