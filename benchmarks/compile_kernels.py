"""Compile the Triton kernels for an H100 (sm_90) without a GPU and print registers, spills and shared memory.

    python -m benchmarks.compile_kernels

Whether it compiles and what it occupies, no more: how fast it runs, only a GPU can tell (``benchmarks.ot``).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from aista.losses.kernels.sinkhorn import epilogue, launch, onchip, reference, streaming

TARGET = GPUTarget("cuda", 90, 32)
PTXAS = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
SHAPES = ((50, 16), (200, 40), (375, 128), (375, 512))  # S, T
VARIANTS = (("fp32", True), ("bf16", True), ("fp32", False))  # costs, first marginal held exactly
POINTERS = {"lengths_N2": "*i32", "num_iterations_N": "*i64"}
SCALARS = {
    "rho_x": "fp32",
    "rho_y": "fp32",
    "tolerance": "fp32",
    "S": "i32",
    "T": "i32",
    "stride": "i32",
    "max_iterations": "i32",
}


def compiled(kernel: Any, constants: dict[str, Any], cost: str, num_warps: int) -> Any:
    """The kernel for costs of that type."""
    names = [name for name in kernel.arg_names if name not in constants]
    signature = {name: SCALARS.get(name) or POINTERS.get(name, "*fp32") for name in names} | {"cost_NST": f"*{cost}"}
    # Tensors of torch start at multiples of 16 bytes: the launcher tells the compiler, and so do we.
    aligned = {
        (kernel.arg_names.index(name),): [["tt.divisibility", 16]]
        for name in names
        if signature[name][0] == "*" or name == "stride"
    }
    source = ASTSource(kernel, signature | dict.fromkeys(constants, "constexpr"), constants, aligned)
    return triton.compile(source, target=TARGET, options={"num_warps": num_warps})


def usage(program: Any) -> tuple[int, int]:
    """Registers a thread and bytes spilled, as ptxas reports them."""
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder, "kernel.ptx")
        ptx.write_text(program.asm["ptx"])
        command = [str(PTXAS), "-v", "--gpu-name=sm_90a", str(ptx), "-o", str(ptx.with_suffix(".cubin"))]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = int(re.search(r"Used (\d+) registers", report)[1])
    return registers, sum(map(int, re.findall(r"(\d+) bytes spill", report)))


def main() -> None:
    print(f"triton {triton.__version__}, torch {torch.__version__}, sm_90")
    print("| kernel | sample | costs | rho_x | tile | warps | registers | spilled bytes | shared bytes |")
    print("|---|---|---|---|---|---:|---:|---:|---:|")
    for (s, t), (cost, held) in product(SHAPES, VARIANTS):
        for how in launch.plan_launches(s, t)[: 2 if held else 1]:  # one epilogue for any rho
            constants: dict[str, Any] = {"BLOCK_S": how.rows, "BLOCK_T": how.columns}
            iterates = how.kernel is not epilogue.evaluate
            constants |= {"HELD_X": held, "CHECK_EVERY": reference.CHECK_EVERY} if iterates else {"RATIO": False}
            program = compiled(how.kernel, constants, cost, how.num_warps)
            name = {onchip.solve: "onchip", streaming.solve: "streaming", epilogue.evaluate: "epilogue"}[how.kernel]
            rho = ("inf" if held else "finite") if iterates else "any"
            sizes = (f"{s} x {t}", cost, rho, f"{how.rows} x {how.columns}", how.num_warps)
            print("|", " | ".join(map(str, (name, *sizes, *usage(program), program.metadata.shared))), "|")


if __name__ == "__main__":
    main()
