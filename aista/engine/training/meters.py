"""Weighted means and sums by name; names may appear during training, e.g. one per aligned layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torcheval.metrics import Metric

from aista.tasks.base import Metrics

__all__ = ["NamedMeans"]


class NamedMeans(Metric[dict[str, float]]):
    """Accumulates sums, and weights of what is a mean; fairseq2's metric bag syncs and stores it.

    Nothing is read from the device before ``compute``. A mean over no weight has no value.

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
    def update(self, metrics: Metrics) -> NamedMeans:
        for name, (value, weight) in metrics.items():
            total = value.detach().to(self.device, torch.float64)
            if weight is not None:
                if not isinstance(weight, Tensor):
                    weight = torch.full((), weight, dtype=torch.float64, device=self.device)
                weight = weight.to(self.device, torch.float64)
                total = torch.where(weight > 0, total * weight, 0)  # a mean over nothing may be NaN
                _add(self.weights, name, weight)
            _add(self.sums, name, total)
        return self

    @torch.inference_mode()
    def _prepare_for_merge_state(self) -> None:
        """Have the same names on all processes: torcheval pairs other processes' values with ours by their order."""
        names: list[tuple[set[str], set[str]]] = [(set(), set())] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(names, (set(self.sums), set(self.weights)))
        for values, of_processes in zip((self.sums, self.weights), zip(*names, strict=True), strict=True):
            for name in set().union(*of_processes) - values.keys():
                values[name] = torch.zeros((), dtype=torch.float64, device=self.device)

    @torch.inference_mode()
    def compute(self) -> dict[str, float]:
        weights = {name: float(weight) for name, weight in self.weights.items()}
        sums = {name: float(total) for name, total in self.sums.items() if weights.get(name) != 0}
        return {name: total / weights.get(name, 1.0) for name, total in sums.items()}

    @torch.inference_mode()
    def merge_state(self, metrics: Iterable[NamedMeans]) -> NamedMeans:
        """Add other processes' sums; torcheval hands over their states as bare attributes."""
        for metric in metrics:
            for own, others in ((self.sums, metric.sums), (self.weights, metric.weights)):
                for name, value in others.items():
                    _add(own, name, value.to(self.device))
        return self


def _add(values: dict[str, Tensor], name: str, value: Tensor) -> None:
    values[name] = values[name] + value if name in values else value
