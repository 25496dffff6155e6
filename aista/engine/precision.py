"""Resolves ``trainer.mixed_precision: auto`` on the device on which training starts.

Matrix products in bfloat16 are several times as fast as in float32 on a CPU that has instructions for them (AMX), and
several times as slow on one that has none (11 times on an AMD Zen 1), where torch converts in software, silently.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal

import torch
from fairseq2.device import detect_default_device
from torch.nn import functional

from aista.run_folder.parsing import parsing, read_object
from aista.run_folder.paths import RunPaths

__all__ = ["Choice", "bfloat16_speedup", "choose", "forecast", "recorded", "slowness"]

FASTER = 1.2
"""Minimum speed-up of bfloat16 over float32 at which it is chosen, given its rounding and noisy measurements."""
SLOWER = 2 / 3
"""Speed-up of bfloat16 over float32 below which a config that asks for it gets a warning."""
WIDTH, REPEATS = 256, 4


@dataclass(frozen=True)
class Choice:
    """``off`` or ``bfloat16``, and the reason."""

    chosen: Literal["off", "bfloat16"]
    reason: str

    def to_json(self) -> dict[str, str]:
        """As ``recorded`` reads it."""
        return asdict(self)


def choose() -> Choice:
    """The faster precision: on a GPU by its instructions, on a CPU by measurement."""
    if detect_default_device().type == "cuda":
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
        name = torch.cuda.get_device_name()
        return Choice("bfloat16" if has_it else "off", f"{name} {'multiplies' if has_it else 'cannot multiply'} in it")
    speedup = bfloat16_speedup()
    return Choice("bfloat16" if speedup >= FASTER else "off", _measured(speedup))


def slowness(asked: str) -> str:
    """A warning for a config that asks for ``bfloat16`` where that is much slower; else empty."""
    if asked != "bfloat16" or detect_default_device().type == "cuda" or bfloat16_speedup() >= SLOWER:
        return ""
    return (
        f"trainer.mixed_precision: {_measured(bfloat16_speedup())}; set it to auto, which takes the faster precision "
        "of the device, or to off"
    )


def forecast(asked: str) -> str:
    """A note on ``mixed_precision`` before a run: the choice of ``auto`` here, or a warning."""
    if asked != "auto":
        return slowness(asked)
    here = choose()
    return f"trainer.mixed_precision: auto is {here.chosen} on this machine ({here.reason})"


def recorded(run: RunPaths) -> Choice:
    """The precision that a run chose when it was claimed. Raises RunError where its environment lacks it."""
    with parsing(run.environment_file, "; repeat the command"):
        choice = Choice(**read_object(run.environment_file, "aista train")["mixed_precision"])
        if choice.chosen not in ("off", "bfloat16"):
            raise ValueError(f"mixed_precision.chosen must be off or bfloat16, got {choice.chosen!r}")
        return choice


@cache
def bfloat16_speedup() -> float:
    """Speed of bfloat16 over float32 in the three products of a linear layer's step on this CPU, as autocast runs them.

    Of alternating repeats the fastest count, so that another process matters little. Draws no random numbers.
    """
    seconds = [(_seconds(bfloat16=False), _seconds(bfloat16=True)) for _ in range(REPEATS)]
    return min(full for full, _ in seconds) / min(low for _, low in seconds)


def _seconds(*, bfloat16: bool) -> float:
    x, weight = (torch.ones(WIDTH, WIDTH, device="cpu", requires_grad=True) for _ in range(2))
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        y = functional.linear(x, weight)
    torch.autograd.grad(y, (x, weight), torch.ones_like(y))
    return time.perf_counter() - started


def _measured(speedup: float) -> str:
    return f"bfloat16 multiplies at {speedup:.2f} times the speed of float32 on this CPU"
