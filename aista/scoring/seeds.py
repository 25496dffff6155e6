"""Comparison of a system with a baseline over several training seeds, by paired bootstrap over segments."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aista.scoring.seed_test import SeedTest, seed_test
from aista.scoring.significance import Interval, SystemScore

__all__ = ["SeedComparison", "combine_seeds"]


@dataclass(frozen=True)
class SeedComparison:
    """Comparison of a system with the baseline, over the seeds that both have.

    Attributes:
        seeds: Those seeds.
        difference: Mean over the seeds of system minus baseline.
        spread: Standard deviation of the difference over the seeds; None for one seed.
        interval: 95 % interval of the mean difference over resampled test sets.
        p_value: Two-sided, of the mean difference over resampled test sets.
        differences: System minus baseline of each seed.
        seed_test: Tests whether their mean is 0; None for one seed.
    """

    seeds: tuple[int, ...]
    difference: float
    spread: float | None
    interval: Interval
    p_value: float
    differences: tuple[float, ...]
    seed_test: SeedTest | None

    @property
    def seed_p_value(self) -> float | None:
        """The p-value of the sign-flip test over the seeds; None for one seed."""
        return None if self.seed_test is None else self.seed_test.p_value


def combine_seeds(results: Mapping[int, SystemScore]) -> SeedComparison:
    r"""Combine a system's paired bootstraps, one per seed, all with the same resampled test sets.

    In sample i the difference is the mean over the seeds, :math:`d_i = \frac1S \sum_s d_{i,s}`: the segments are
    drawn once and score all seeds, as there is one test set. The p-value is the fraction of samples whose distance
    from the samples' mean reaches the observed difference,
    :math:`(1 + \#\{i: |d_i - \bar d| \ge |d|\}) / (1 + n)`.

    It tests whether *these* models differ beyond the sampling of the test set; ``spread`` and ``seed_test`` measure
    the variation over seeds.

    Args:
        results: Seed -> the system's comparison with the baseline of that seed; same samples, same bootstrap seed.

    Returns:
        The combination.

    Raises:
        ValueError: no seed, or other numbers of samples.
    """
    sizes = {len(result.differences) for result in results.values()}
    if len(sizes) != 1:
        raise ValueError(f"seeds must be compared with the same bootstrap samples, got {sorted(sizes) or 'no seed'}")
    samples = np.mean([result.differences for result in results.values()], axis=0)
    observed = [result.difference for result in results.values()]
    difference = statistics.mean(observed)
    return SeedComparison(
        seeds=tuple(results),
        difference=difference,
        spread=statistics.stdev(observed) if len(observed) > 1 else None,
        interval=Interval.of(samples),
        p_value=_p_value(samples, difference),
        differences=tuple(observed),
        seed_test=seed_test(observed),
    )


def _p_value(samples: np.ndarray, difference: float) -> float:
    # a hair of tolerance: equal systems have differences of 0 up to rounding, and p = 1
    beyond = np.abs(samples - samples.mean()) >= abs(difference) - 1e-12
    return (int(beyond.sum()) + 1) / (len(samples) + 1)
