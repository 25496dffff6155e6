"""GPUs to plan runs for: peak rates and memory, from the manufacturers' data sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

__all__ = ["DEVICES", "UTILIZATION", "Device"]

UTILIZATION = 0.4
"""Assumed fraction of the peak rate where none was measured."""


@dataclass(frozen=True)
class Device:
    """One GPU.

    Attributes:
        title: As the maker calls it.
        bfloat16: Dense operations per second in bfloat16 with accumulation in fp32, on tensor cores.
        float32: Operations per second in fp32, outside of tensor cores: PyTorch uses no TF32 for products by default.
        memory: Bytes.
        source: The data sheet.
    """

    title: str
    bfloat16: float
    float32: float
    memory: int
    source: str

    def seconds(self, operations: Mapping[torch.dtype, float], utilization: float) -> float:
        """Time for operations by type, at the fraction ``utilization`` of the peak rates."""
        rates = {torch.bfloat16: self.bfloat16, torch.float16: self.bfloat16}
        return sum(count / (rates.get(dtype, self.float32) * utilization) for dtype, count in operations.items())


DEVICES = {
    "h100": Device("NVIDIA H100 SXM", 989.4e12, 66.9e12, 80 * 10**9, "NVIDIA H100 Tensor Core GPU data sheet, 2023"),
    "h200": Device("NVIDIA H200 SXM", 989.4e12, 66.9e12, 141 * 10**9, "NVIDIA H200 Tensor Core GPU data sheet, 2023"),
    "a100": Device(
        "NVIDIA A100 80 GB SXM", 312e12, 19.5e12, 80 * 10**9, "NVIDIA A100 Tensor Core GPU data sheet, 2021"
    ),
}
