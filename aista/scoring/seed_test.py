"""Significance tests of a difference between two methods over training seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aista.scoring.significance import Interval

__all__ = ["SeedTest", "seed_test"]

FLIPS = 2**16
"""Maximum number of sign patterns: all of them up to sixteen seeds, random ones beyond."""


@dataclass(frozen=True)
class SeedTest:
    """Tests of the mean of paired differences, one per seed.

    Attributes:
        p_value: Two-sided, of the sign-flip permutation test.
        t_p_value: Two-sided, of the paired t-test.
        interval: 95 % t interval of the mean difference.
    """

    p_value: float
    t_p_value: float
    interval: Interval


def seed_test(differences: Sequence[float]) -> SeedTest | None:
    r"""Test whether the mean of ``differences`` is 0; None for one seed.

    If the two methods are equally good, a difference is as likely as its negative. The sign-flip test gives all
    :math:`2^n` patterns of signs to the observed sizes; p is the fraction whose mean is at least as far from 0 as the
    observed one. It assumes nothing else, and p is never below :math:`2 / 2^n`: five seeds cannot reach 0.05. The
    t-test can, but assumes normally distributed differences.

    Args:
        differences: System minus baseline of each seed; finite.

    Raises:
        ValueError: no difference, or one that is not finite.

    Source: Fisher (1935), The Design of Experiments, section 21. Choose it over the bootstrap of segments where the
    claim is about a method and not about two trained models.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"differences: expects at least one, all finite, got {list(differences)}")
    if len(values) == 1:
        return None
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        # the t-test is undefined without variance, be the differences 0 or constant
        only = float(values[0])
        return SeedTest(1.0 if only == 0 else 2.0 ** (1 - len(values)), math.nan, Interval(only, only))
    return _test(values)


def _test(values: np.ndarray) -> SeedTest:
    from scipy import stats  # slow to import

    def mean(shares: np.ndarray, axis: int) -> np.ndarray:
        means: np.ndarray = shares.mean(axis).round(12)  # means that are equal but for rounding count as equal
        return means

    shares = values / np.abs(values).max()
    flips = stats.permutation_test((shares,), mean, permutation_type="samples", n_resamples=FLIPS, rng=12345)
    student = stats.ttest_1samp(values, 0.0)
    interval = student.confidence_interval(0.95)
    return SeedTest(float(flips.pvalue), float(student.pvalue), Interval(float(interval.low), float(interval.high)))
