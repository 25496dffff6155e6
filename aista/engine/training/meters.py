"""Weighted means, and sums, under names that appear as training goes on, e.g. one per aligned layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torcheval.metrics import Metric

__all__ = ["NamedMeans"]


class NamedMeans(Metric[dict[str, float]]):
    """Accumulates sum and weight per name, of weight 0 a sum alone; fairseq2's metric bag syncs and stores it.

    A bag needs its metrics' names before the first batch and the same ones on every process; the
    layers to align are only known later, and a process may see no row with a transcript.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        super().__init__(device=device)
        self._add_state("sums", {})
        self._add_state("weights", {})
        self.sums: dict[str, Tensor]
        self.weights: dict[str, Tensor]

    def __deepcopy__(self, memo: dict[int, Any]) -> NamedMeans:
        """The trainer copies its metrics before each step; no tensor here is changed in place, so copies share them."""
        twin = NamedMeans(self.device)
        twin.sums, twin.weights = dict(self.sums), dict(self.weights)
        return twin

    @torch.inference_mode()
    def update(self, metrics: Mapping[str, tuple[Tensor, float]]) -> NamedMeans:
        for name, (value, weight) in metrics.items():
            total = value.detach().to(self.device, torch.float64) * (weight or 1.0)
            zero = torch.zeros((), dtype=torch.float64, device=self.device)
            self.sums[name] = self.sums.get(name, zero) + total
            self.weights[name] = self.weights.get(name, zero) + weight
        return self

    @torch.inference_mode()
    def _prepare_for_merge_state(self) -> None:
        """Have the same names on all processes: torcheval pairs other processes' values with ours by their order."""
        names: list[list[str]] = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(names, list(self.sums))
        for name in sorted({name for process in names for name in process} - self.sums.keys()):
            self.sums[name] = torch.zeros((), dtype=torch.float64, device=self.device)
            self.weights[name] = torch.zeros((), dtype=torch.float64, device=self.device)

    @torch.inference_mode()
    def compute(self) -> dict[str, float]:
        weights = {name: float(weight) or 1.0 for name, weight in self.weights.items()}
        return {name: float(total) / weights[name] for name, total in self.sums.items()}

    @torch.inference_mode()
    def merge_state(self, metrics: Iterable[NamedMeans]) -> NamedMeans:
        """Add other processes' sums; torcheval hands over their states as bare attributes."""
        for metric in metrics:
            for name, total in metric.sums.items():
                weight = metric.weights[name].to(self.device)
                self.sums[name] = self.sums[name] + total.to(self.device) if name in self.sums else total
                self.weights[name] = self.weights[name] + weight if name in self.weights else weight
        return self
