"""Predictions of ``aista train --dry-run`` for a step, by the same trace from shapes only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from aista.engine.cost.device import DEVICES, UTILIZATION, Device
from aista.engine.cost.memory_estimate import estimate_memory, weigh
from aista.engine.cost.trace import BatchSizes, Tracer
from aista.types import SpeechBatch
from benchmarks.pretrained import make_task
from benchmarks.shapes import Folders

__all__ = ["Prediction", "find_device", "predict"]

Layers = tuple[int, ...] | None


@dataclass(frozen=True)
class Prediction:
    """Prediction for one step.

    Attributes:
        operations: Floating-point operations, forward and backward.
        by_type: The same by compute dtype.
        memory: Bytes of one process at the peak.
    """

    operations: int
    by_type: dict[torch.dtype, int]
    memory: int

    def seconds(self, device: Device) -> float:
        """Time at the fraction of the peak rate that a dry run assumes."""
        return device.seconds(self.by_type, UTILIZATION)


def predict(
    folders: Folders, batch: SpeechBatch, layers: Iterable[Layers], dtype: torch.dtype
) -> dict[Layers, Prediction]:
    """Trace a step for each choice of aligned layers; None is cross-entropy alone."""
    task = make_task(folders, dtype)
    task.pretrained = "meta"
    model = task.build_model()
    task.select_trainable(model)
    weights, tracer = weigh(model), Tracer(task, model, bfloat16=dtype == torch.bfloat16)
    lengths = (batch.audio_lengths, batch.source_lengths, batch.target_lengths)
    sizes = BatchSizes(*(tuple(values.tolist()) for values in lengths))
    predictions = {}
    for choice in dict.fromkeys(layers):
        trace = tracer.trace(sizes, choice)
        memory = estimate_memory(weights, trace).total
        predictions[choice] = Prediction(trace.total.total, dict(trace.by_type), memory)
    return predictions


def find_device(name: str) -> Device | None:
    """The data sheet of a GPU that torch calls ``name``; None where there is none here, as for cards on PCIe."""
    known = (device for key, device in DEVICES.items() if re.search(rf"\b{key}\b", name, re.IGNORECASE))
    return None if "pcie" in name.lower() else next(known, None)
