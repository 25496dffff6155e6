"""The Triton path on a GPU: first whether it is right, then how fast; one script, torch and triton are enough.

    python -m benchmarks.gpu_ot                # gate, then timings into benchmarks/results/gpu_ot.csv
    python -m benchmarks.gpu_ot --dry-run      # the gate alone, tiny, in Triton's interpreter: what CI runs

Forward and backward from bf16 states to both gradients, cosine cost, epsilon 0.1 x mean, 50 iterations, lengths
between a third and all; four layers folded into the batch. Nothing is timed that did not pass the gate. POT and
GeomLoss join where they are installed. Compare rows of one run only.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
from collections.abc import Callable
from itertools import product as product_of
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

DRY_RUN = "--dry-run" in sys.argv or not torch.cuda.is_available()
if DRY_RUN:
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported, so before what follows

import triton  # noqa: E402

from aista.environment import source_commit  # noqa: E402
from aista.losses import Sinkhorn  # noqa: E402
from aista.losses.kernels.sinkhorn import launch, reference  # noqa: E402
from aista.losses.kernels.sinkhorn.entropic_problem import EntropicProblem  # noqa: E402
from benchmarks.ot import workload  # noqa: E402
from benchmarks.ot.check import relative_error  # noqa: E402
from benchmarks.ot.rows.base import Outcome  # noqa: E402
from benchmarks.ot.rows.table import ROWS as PEERS  # noqa: E402
from benchmarks.ot.workload import EPSILON, ITERATIONS  # noqa: E402

DEVICE = "cpu" if DRY_RUN else "cuda"
LAYERS = 1 if DRY_RUN else 4
WORKLOADS = {name: workload.WORKLOADS[name] for name in ("typical", "large")}
TINY = {"on chip": (2, 12, 6, 16), "streaming": (1, 260, 70, 8)}
BOUNDS = {"value": 1e-4, "plan": 1e-3, "gradient": 1e-2}  # relative, against float64; the last from bf16 states
BANDWIDTH = 3.35e12  # bytes a second from an H100's memory
ROUNDS, WARM_UP, INPUTS = 60, 10, 4
INF = math.inf


class Case(NamedTuple):
    """States of all layers, ``[N, S, D]`` and ``[N, T, D]``, with lengths and uniform masses."""

    x: Tensor
    y: Tensor
    lengths: Tensor
    a: Tensor
    b: Tensor

    def for_peers(self, dtype: torch.dtype) -> workload.Case:
        """As `benchmarks.ot` takes them."""
        return workload.Case(self.x.to(dtype), self.y.to(dtype), *self.lengths.long().unbind(1))


def make_case(B: int, S: int, T: int, D: int, seed: int) -> Case:
    """The states of `benchmarks.ot`, in bf16."""
    made = workload.make_case(workload.Workload(B * LAYERS, S, T, D), seed)
    lengths = torch.stack([made.x_lengths_B, made.y_lengths_B], 1)
    states = [z.to(DEVICE, torch.bfloat16) for z in (made.x_BSD, made.y_BTD)]
    return Case(*states, lengths.to(DEVICE, torch.int32), *(z.to(DEVICE) for z in made.masses()))


def inverse_norm(z: Tensor) -> Tensor:
    dtype = torch.float64 if z.dtype == torch.float64 else torch.float32
    return torch.linalg.vector_norm(z, dim=-1, keepdim=True, dtype=dtype).reciprocal()


def product(x: Tensor, y: Tensor) -> Tensor:
    """``x y`` from bf16 factors, in fp32."""
    return torch.bmm(x, y, out_dtype=torch.float32) if x.is_cuda else torch.bmm(x.float(), y.float())


def with_epsilon(cost: Tensor, case: Case) -> tuple[Tensor, Tensor]:
    """The costs, and epsilon relative to each sample's mean cost, which uniform masses weigh."""
    mean = torch.bmm(torch.bmm(case.a.to(cost)[:, None], cost.detach()), case.b.to(cost)[:, :, None])[:, 0, 0]
    return cost, EPSILON * mean


def load(case: Case, inverse_x: Tensor, inverse_y: Tensor) -> launch.Loaded:
    cost, epsilon = with_epsilon(1 - product(case.x, case.y.mT) * inverse_x * inverse_y.mT, case)
    return launch.load(cost, case.a, case.b, case.lengths, epsilon, (INF, INF))


def ours(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Value and both gradients: matrix products by torch, the rest two kernels."""
    inverse_x, inverse_y = inverse_norm(case.x), inverse_norm(case.y)
    loaded = load(case, inverse_x, inverse_y)
    result = launch.evaluate(loaded, launch.iterate(loaded, ITERATIONS, 0.0))
    plan = result.entry_NST
    by_x, by_y = (
        through(plan, case.x, case.y, inverse_x, inverse_y),
        through(plan.mT, case.y, case.x, inverse_y, inverse_x),
    )
    return result.value_N, by_x, by_y


def through(plan: Tensor, own: Tensor, other: Tensor, inverse: Tensor, other_inverse: Tensor) -> Tensor:
    """The gradient of ``<P, C>`` by one side's states."""
    pull, unit = product((plan * other_inverse.mT).to(own.dtype), other), own * inverse
    return ((unit * (unit * pull).sum(-1, keepdim=True) - pull) * inverse).to(own.dtype)


def floor(case: Case) -> None:
    """The norms and matrix products alone."""
    x, y = case.x * inverse_norm(case.x).to(case.x), case.y * inverse_norm(case.y).to(case.y)
    plan = product(x, y.mT).to(x.dtype)
    product(plan, y), product(plan.mT, x)


def public(case: Case) -> tuple[Tensor, ...]:
    """``aista.losses.Sinkhorn``, as a user calls it: arguments checked, costs sample by sample."""
    solver = Sinkhorn(epsilon=EPSILON, tolerance=0.0, max_iterations=ITERATIONS, polish=False, backend="triton")
    leaves = [z.detach().requires_grad_() for z in (case.x, case.y)]
    value_N = solver(*leaves, *case.lengths.long().unbind(1)).value
    return value_N.detach(), *torch.autograd.grad(value_N.sum(), leaves)


def peer(name: str) -> Callable[[Case], Outcome | None]:
    """A row of `benchmarks.ot`, in fp32."""
    return lambda case: PEERS[name].prepare(case.for_peers(torch.float32))()


def require(what: str, error: float, bound: float) -> None:
    """Print the error; stop the script if it is above the bound or NaN."""
    verdict = "ok" if error <= bound else "WRONG"
    print(f"{verdict:>5}  {what}: error {error:.1e}, bound {bound:.0e}")
    if verdict != "ok":
        raise SystemExit(f"{what} is wrong; nothing was timed")


def gate_solver(name: str, case: Case, iterations: int) -> None:
    """Value and plan against float64 after as many iterations, from the same costs; NaN lies in the padding."""
    clean = load(case, inverse_norm(case.x), inverse_norm(case.y))
    lengths = tuple(map(tuple, case.lengths.tolist()))
    inside = (case.a > 0)[:, :, None] & (case.b > 0)[:, None]
    cost = clean.cost_NST[:, :, : clean.num_columns].where(inside, 0.0)
    dirty = cost.masked_fill(~inside, math.nan)
    doubles = [z.double() for z in (cost, case.a, case.b)]
    for rho, factor in product_of(((INF, INF), (1.0, 0.5), (0.0, INF)), (10.0, 1.0, 0.1)):
        loaded = launch.load(dirty, case.a, case.b, case.lengths, clean.epsilon_N * factor, rho)
        mine = launch.evaluate(loaded, launch.iterate(loaded, iterations, 0.0))
        task = EntropicProblem(*doubles, lengths, clean.epsilon_N.double() * factor, *rho)
        f, g, _ = reference.solve(task, iterations, 0.0)
        ratio = torch.exp((f[:, :, None] + g[:, None] - task.cost_NST) / task.epsilon_N[:, None, None])
        plan = (ratio * task.a_NS[:, :, None] * task.b_NT[:, None]).where(inside, 0.0)
        what = f"{name}, rho {rho}, epsilon {EPSILON * factor:g} x mean"
        require(f"plan ({what})", relative_error(mine.entry_NST, plan), BOUNDS["plan"])
        exact_cost = (plan * task.cost_NST).sum((1, 2))
        require(f"transport cost ({what})", relative_error(mine.transport_cost_N, exact_cost), BOUNDS["value"])


def gate_step(name: str, case: Case) -> list[str]:
    """Each row's value and gradients against float64 from the same bf16 states; the rows to time."""
    exact = PEERS["unrolled"].prepare(case.for_peers(torch.float64))()
    rows = [row for row in ROWS if row not in PEERS or PEERS[row].is_installed]
    for row in rows:
        result = ROWS[row](case)
        for what, mine, right in zip(("value", "gradient by x", "gradient by y"), result, exact, strict=True):
            error, bound = relative_error(mine, right), BOUNDS["value" if what == "value" else "gradient"]
            if row in PEERS:
                print(f" peer  {what} ({name}, {row}): error {error:.1e}")
            else:
                require(f"{what} ({name}, {row})", error, bound)
    return rows


ROWS = {"ours": ours, "ours, public function": public}
ROWS |= {name: peer(name) for name in ("unrolled", "pot_batch", "pot_batch_exp", "geomloss")}


def timed(steps: list[Callable[[], object]]) -> list[float]:
    """20th, 50th and 80th percentile in microseconds; inputs take turns, so that none stays in the cache."""
    for i in range(WARM_UP):
        steps[i % len(steps)]()
    marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(ROUNDS)]
    for i, (start, end) in enumerate(marks):
        start.record()
        steps[i % len(steps)]()
        end.record()
    torch.cuda.synchronize()
    times = torch.tensor([start.elapsed_time(end) * 1e3 for start, end in marks])
    return torch.quantile(times, torch.tensor([0.2, 0.5, 0.8])).tolist()


def captured(step: Callable[[Case], object], case: Case) -> Callable[[], object]:
    """The step as a CUDA graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(case)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(case)
    return graph.replay


def least_bytes(case: Case) -> int:
    """What a step moves at least: states read twice, gradients written; six times the costs' size, as README says."""
    states = sum(z.numel() * z.element_size() for z in (case.x, case.y))
    return 3 * states + 6 * 4 * case.x.shape[1] * case.y.shape[1] * len(case.x)


def measure(writer: csv.DictWriter[str], name: str, rows: list[str]) -> None:
    cases = [make_case(*WORKLOADS[name], seed) for seed in range(INPUTS)]
    steps = {f"{row}, eager": [lambda c=c, row=row: ROWS[row](c) for c in cases] for row in rows}
    for row, step in (("floor", floor), ("ours", ours)):
        steps[f"{row}, CUDA graph"] = [captured(step, case) for case in cases]
    loaded = [load(case, inverse_norm(case.x), inverse_norm(case.y)) for case in cases]
    steps["ours, iterations alone"] = [lambda z=z: launch.iterate(z, ITERATIONS, 0.0) for z in loaded]
    for row, calls in steps.items():
        p20, p50, p80 = timed(calls)
        moved = least_bytes(cases[0])
        if row == "ours, iterations alone":  # from the L2 cache or registers: a rate above the memory's is no error
            moved = ITERATIONS * 4 * int(cases[0].lengths.prod(1).sum())
        rate = moved / p50 * 1e6
        numbers = (p20, p50, p80, rate / 1e9, rate / BANDWIDTH)
        writer.writerow(dict(zip(FIELDS, (name, row, *(f"{z:.4g}" for z in numbers)), strict=False)) | VERSIONS)
        print(f"{name:>8}  {row:<32} {p20:9.0f} {p50:9.0f} {p80:9.0f} us  {rate / 1e9:7.0f} GB/s")


VERSIONS = {
    "device": "interpreter on the CPU" if DRY_RUN else torch.cuda.get_device_name(),
    "torch": torch.__version__,
    "triton": triton.__version__,
    "commit": source_commit() or "unknown",
}
FIELDS = ["workload", "row", "p20_us", "p50_us", "p80_us", "gb_per_s", "of_h100_bandwidth", *VERSIONS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="the gate alone, on tiny inputs, interpreted")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results/gpu_ot.csv")
    arguments = parser.parse_args()
    print(", ".join(f"{name} {version}" for name, version in VERSIONS.items()))
    for name, sizes in TINY.items():
        gate_solver(name, make_case(*sizes, seed=0), iterations=3 if DRY_RUN else ITERATIONS)
    if DRY_RUN:
        gate_step("tiny", make_case(2, 12, 6, 16, seed=0))
        print("dry run: nothing was timed")
        return
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for name, sizes in WORKLOADS.items():
            gate_solver(name, make_case(*sizes, seed=0), ITERATIONS)
            measure(writer, name, gate_step(name, make_case(*sizes, seed=0)))


if __name__ == "__main__":
    main()
