"""Time and memory that alignment adds to a training step.

    OMP_NUM_THREADS=1 pytest benchmarks/test_training_step.py -s

All variants run in turn within each round, so that a machine whose speed drifts slows them alike; the figure to read
is the median over rounds of each variant's ratio to the CE-only step of the same round.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest
import torch

from benchmarks.workload import VARIANTS, make_step

ROUNDS = 31


def test_step_time(benchmark):
    """Ratio of each variant's step to the CE-only step; target: at most 1.05 for layers 0-1, text detached."""
    torch.set_num_threads(1)
    steps = {name: make_step(*variant) for name, variant in VARIANTS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}

    def round_of_all() -> None:
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)

    benchmark.pedantic(round_of_all, rounds=ROUNDS, warmup_rounds=2)
    base = seconds["CE only"][2:]
    for name, values in seconds.items():
        ratios = sorted(value / ce for value, ce in zip(values[2:], base, strict=True))
        quartiles = statistics.quantiles(ratios, n=4)
        benchmark.extra_info[name] = {
            "median_ms": round(1000 * statistics.median(values[2:]), 1),
            "ratio_q25": round(quartiles[0], 3),
            "ratio_median": round(quartiles[1], 3),
            "ratio_q75": round(quartiles[2], 3),
        }
        print(f"\n{name}: {benchmark.extra_info[name]}", end="")


@pytest.mark.parametrize("name", VARIANTS)
def test_peak_memory(benchmark, name):
    """Peak resident memory of a process that takes four steps, in MiB (whole process, imports included)."""
    code = (
        "import torch; from aista.environment import peak_mib\n"
        "from benchmarks.workload import VARIANTS, make_step; torch.set_num_threads(1)\n"
        f"step = make_step(*VARIANTS[{name!r}]); before = peak_mib()\n"
        "for _ in range(4): step()\n"
        "print(before, peak_mib())"
    )

    def measure() -> None:
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        before, after = map(float, result.stdout.split())
        assert after > before, "the steps left no trace in the peak: it is not this process's own"
        benchmark.extra_info["peak_mib"] = round(after, 1)
        benchmark.extra_info["steps_add_mib"] = round(after - before, 1)

    benchmark.pedantic(measure, rounds=1)
    print(f"\n{name}: {benchmark.extra_info}", end="")
