"""Compile the Triton kernels for a GPU that is not installed, and print registers, spills and shared memory.

    python -m benchmarks.compile_kernels [80 | 90 | 100]

The number is the compute capability without its point: 80 is an A100, 90 (the default) an H100 or H200, 100 a B200.
Whether it compiles and what it occupies, no more: how fast it runs, only a GPU can tell (``benchmarks.ot``).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from aista.losses.kernels.sinkhorn import epilogue, layout, onchip, operators, reference, streaming
from aista.losses.kernels.sinkhorn.operators import Launch

CAPABILITIES = (80, 90, 100)
SUFFIX = {80: "", 90: "a", 100: "a"}  # what the architecture's own instructions are compiled for
PTXAS = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
BLACKWELL = PTXAS.with_name("ptxas-blackwell")
SHAPES = ((50, 16), (200, 40), (375, 128), (375, 512))  # S, T
VARIANTS = (("fp32", True), ("bf16", True), ("fp32", False))  # costs, first marginal held exactly
POINTERS = {"x_lengths_N": "*i64", "y_lengths_N": "*i64", "num_iterations_N": "*i64", "converged_N": "*i1"}
SCALARS = {
    "rho_x": "fp32",
    "rho_y": "fp32",
    "tolerance": "fp32",
    "epsilon": "fp32",
    "S": "i32",
    "T": "i32",
    "stride": "i32",
    "max_iterations": "i32",
}


def compiled(how: Launch, constants: dict[str, Any], cost: str, capability: int = 90) -> Any:
    """The kernel for costs of that type."""
    kernel, constants = how.kernel, {"BLOCK_S": how.rows, "BLOCK_T": how.columns} | constants
    names = [name for name in kernel.arg_names if name not in constants]
    costs_in = {name: f"*{cost}" for name in ("cost_NST", "laid_NST") if name in names}
    signature = {name: SCALARS.get(name) or POINTERS.get(name, "*fp32") for name in names} | costs_in
    # Tensors of torch start at multiples of 16 bytes: the launcher tells the compiler, and so do we.
    aligned = {
        (kernel.arg_names.index(name),): [["tt.divisibility", 16]]
        for name in names
        if signature[name][0] == "*" or name == "stride"
    }
    source = ASTSource(kernel, signature | dict.fromkeys(constants, "constexpr"), constants, aligned)
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options={"num_warps": how.num_warps})


def usage(program: Any, capability: int = 90) -> tuple[int, int]:
    """Registers a thread and bytes spilled, as ptxas reports them."""
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder, "kernel.ptx")
        ptx.write_text(program.asm["ptx"])
        name = f"sm_{capability}{SUFFIX[capability]}"
        ptxas = PTXAS if capability < 100 or not BLACKWELL.exists() else BLACKWELL
        command = [str(ptxas), "-v", f"--gpu-name={name}", str(ptx), "-o", str(ptx.with_suffix(".cubin"))]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = int(re.search(r"Used (\d+) registers", report)[1])
    return registers, sum(map(int, re.findall(r"(\d+) bytes spill", report)))


def launches(s: int, t: int, *, held: bool) -> Iterator[tuple[str, str, Launch, dict[str, Any]]]:
    """Name, strength of the first marginal, launch and constants of each kernel at a padded size."""
    solver, evaluate = operators.plan_launches(s, t)
    name = {onchip.solve: "onchip", streaming.solve: "streaming"}[solver.kernel]
    yield name, "inf" if held else "finite", solver, {"HELD_X": held, "CHECK_EVERY": reference.CHECK_EVERY}
    if held:  # one of each for any rho
        yield "lay out", "any", evaluate._replace(kernel=layout.lay_out), {"SCALE": "mean"}
        yield "evaluate", "any", evaluate, {"ENTRY": "plan"}
        yield "evaluate rows", "inf", evaluate, {"ENTRY": "rows"}
        yield "choose", "inf", evaluate._replace(kernel=epilogue.choose), {}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_kernels", description=__doc__.splitlines()[0])
    parser.add_argument("capability", type=int, nargs="?", choices=CAPABILITIES, default=90)
    capability = parser.parse_args().capability
    print(f"triton {triton.__version__}, torch {torch.__version__}, sm_{capability}")
    print("| kernel | sample | costs | rho_x | tile | warps | registers | spilled bytes | shared bytes |")
    print("|---|---|---|---|---|---:|---:|---:|---:|")
    for (s, t), (cost, held) in product(SHAPES, VARIANTS):
        for name, rho, how, constants in launches(s, t, held=held):
            program = compiled(how, constants, cost, capability)
            sizes = (f"{s} x {t}", cost, rho, f"{how.rows} x {how.columns}", how.num_warps)
            print("|", " | ".join(map(str, (name, *sizes, *usage(program, capability), program.metadata.shared))), "|")


if __name__ == "__main__":
    main()
