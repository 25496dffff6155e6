"""The GPU of each of several trainings that run side by side."""

from __future__ import annotations

import os

import torch

__all__ = ["VISIBLE", "named_gpus", "visible_gpus"]

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that lists the GPUs which a process sees."""


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process sees, each as ``CUDA_VISIBLE_DEVICES`` names it; empty without any."""
    return named_gpus(os.environ.get(VISIBLE), torch.cuda.device_count())


def named_gpus(visible: str | None, count: int) -> tuple[str, ...]:
    """Names of ``count`` GPUs: those of the list ``visible``, whose entries may be indices or UUIDs, or else indices.

    CUDA ends the list at the first entry that is no GPU, so ``count`` may be smaller than the list is long.
    """
    names = map(str, range(count)) if visible is None else map(str.strip, visible.split(","))
    return tuple(names)[:count]
