"""Conditions that must hold before a step is timed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.training_step.systems import CE_ONLY, PLAIN, Step

__all__ = ["BOUNDS", "Gate", "check"]

BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""Largest relative difference between aista's loss on cross-entropy alone and the plain loop's."""


@dataclass(frozen=True)
class Gate:
    """One condition, and whether it holds."""

    text: str
    holds: bool

    def __str__(self) -> str:
        return f"{'passed' if self.holds else 'FAILED'}: {self.text}"


def check(steps: Mapping[str, Step], dtype: torch.dtype) -> Iterator[Gate]:
    """Losses and gradients of every row, without dropout and without an update."""
    losses, gradients = {}, {}
    for name, step in steps.items():
        loss = step.loss()
        loss.backward()
        losses[name] = loss.item()
        yield Gate(f"{name}: loss {losses[name]:.5f} is finite", math.isfinite(losses[name]))
        gradients[name] = [p.grad for p in step.model.parameters() if p.grad is not None]
        trained, norm = sum(p.requires_grad for p in step.model.parameters()), _norm(gradients[name])
        text = f"{name}: gradients of {len(gradients[name])} of {trained} trained tensors are finite, norm {norm:.4g}"
        yield Gate(text, len(gradients[name]) == trained and math.isfinite(norm))
        step.optimizer.zero_grad()
    ours, plain = losses[CE_ONLY], losses[PLAIN]
    difference = abs(ours - plain) / abs(plain)
    text = f"{CE_ONLY}: loss differs from the plain loop's by {difference:.1e}, at most {BOUNDS[dtype]:g} of it"
    yield Gate(text, difference <= BOUNDS[dtype])
    for name, step in steps.items():
        if step.layers is not None:
            change = _norm([a - b for a, b in zip(gradients[name], gradients[CE_ONLY], strict=True)])
            added = losses[name] - ours
            text = f"{name}: alignment adds to the loss ({added:.4f}) and changes gradients (by {change:.4f})"
            yield Gate(text, added > 0 and change > 0)


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.hypot(*(float(tensor.norm()) for tensor in tensors))
