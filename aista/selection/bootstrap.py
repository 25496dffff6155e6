"""Percentile bootstrap over utterances, all resamples at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["LEVEL", "Estimate", "estimate", "resample", "weighted_means"]

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval; ``low`` and ``high`` are None where none was computed."""

    value: float
    low: float | None = None
    high: float | None = None


def resample(size: int, resamples: int, *, seed: int = 12345) -> Tensor:
    """Draw bootstrap resamples: how often each of ``size`` utterances is in each resample (Efron 1979).

    Returns:
        ``[resamples, size]`` fp64 counts; each row sums to ``size``.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn_RN = torch.randint(size, (resamples, size), generator=generator)
    ones_RN = torch.ones(resamples, size, dtype=torch.float64)
    return torch.zeros(resamples, size, dtype=torch.float64).scatter_add_(1, drawn_RN, ones_RN)


def weighted_means(values_N: Tensor, counts_RN: Tensor) -> Tensor:
    """``[R]`` means of ``[N]`` values under each row of counts."""
    return counts_RN @ values_N.double() / counts_RN.sum(dim=1)


def estimate(value: float, samples_R: Tensor | None) -> Estimate:
    """A value with its percentile interval: the central ``LEVEL`` of its resamples.

    Resamples in which the statistic does not exist (NaN: too few different utterances) are left out; if it exists
    in none, or there are no resamples, there is no interval.
    """
    if samples_R is None:
        return Estimate(value)
    samples_R = samples_R[~samples_R.isnan()]
    if not len(samples_R):
        return Estimate(value)
    tail = (1 - LEVEL) / 2
    low, high = torch.quantile(samples_R, torch.tensor([tail, 1 - tail], dtype=samples_R.dtype)).tolist()
    return Estimate(value, low, high)
