"""Paired bootstrap resampling: tests differences between systems against the sampling error of the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aista.errors import DataError
from aista.scoring.base import Metric, Statistics
from aista.scoring.utterance_inputs import NO_INPUTS, UtteranceInputs

__all__ = ["Comparison", "Interval", "SystemScore", "paired_bootstrap"]

CHUNK = 4_000_000  # sampled indices held at once: 32 MB
_ROUNDING = 1e-12  # of a score: differences up to this are none


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile interval of bootstrap samples."""

    low: float
    high: float

    def __format__(self, pattern: str) -> str:
        return f"{self.low:{pattern}} to {self.high:{pattern}}"

    @classmethod
    def of(cls, samples: Statistics) -> Interval:
        """The range of the sorted samples without n // 40 at either end, as in sacrebleu."""
        ordered = np.sort(samples)
        cut = len(ordered) // 40
        return cls(float(ordered[cut]), float(ordered[-1 - cut]))


@dataclass(frozen=True)
class SystemScore:
    """Score of one system, compared with the baseline.

    Attributes:
        name: The system's label.
        score: Score on the whole test set.
        interval: 95 % interval of the score over resampled test sets.
        difference: ``score`` minus the baseline's; 0 for the baseline itself.
        difference_interval: 95 % interval of the paired difference.
        p_value: As sacrebleu's ``--paired-bs`` computes it, but 1 where there is no difference or only one
            utterance; None for the baseline.
        differences: The paired difference in each sample, for plots.
    """

    name: str
    score: float
    interval: Interval
    difference: float
    difference_interval: Interval
    p_value: float | None
    differences: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """Systems, the baseline first, under one metric; its signature includes ``bs`` (samples) and ``seed``."""

    metric: str
    signature: str
    higher_is_better: bool
    num_utterances: int
    samples: int
    seed: int
    systems: tuple[SystemScore, ...]

    @property
    def baseline(self) -> SystemScore:
        """The first system."""
        return self.systems[0]

    def system(self, name: str) -> SystemScore:
        """The system labelled ``name``. Raises KeyError."""
        return {system.name: system for system in self.systems}[name]


def paired_bootstrap(
    baseline: tuple[str, Sequence[str]],
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str],
    metric: Metric,
    *,
    inputs: UtteranceInputs = NO_INPUTS,
    samples: int = 1000,
    seed: int = 12345,
) -> Comparison:
    """Compare systems with a baseline on resampled test sets (Koehn, 2004; sacrebleu's ``--paired-bs``).

    Scores, intervals and p-values equal those of ``sacrebleu --paired-bs`` with the same seed, for
    every metric here. The seed is an argument: the environment (``SACREBLEU_SEED``) is not read.

    The p-value is the fraction of samples whose centred absolute difference exceeds the observed one,
    with one added to count and samples. It is one-sided in effect: among systems of equal quality
    p < 0.05 comes up once in ten times, so require p < 0.025, or a 95 % interval of the difference that excludes 0.
    Neither covers the variation between training seeds.

    For a metric that needs the direction (``MacroAverage``), utterances are drawn within each direction, so that
    each sample has the same number of utterances per direction.

    Args:
        baseline: Label and hypotheses of the baseline.
        systems: Label -> hypotheses of each system compared with it; at least one.
        references: One per utterance.
        metric: The score.
        inputs: The translated inputs, for metrics that need them.
        samples: Bootstrap samples.
        seed: Fixes the resampling.

    Raises:
        DataError: no system, a label used twice, an empty test set, unequal lengths, or an utterance lacks an input
            that the metric needs; the message names the system.
        ValueError: ``samples`` below 40 (no 95 % interval) or a negative seed.
    """
    if samples < 40 or seed < 0:
        raise ValueError(f"expects at least 40 samples and a seed of at least 0, got {samples} and {seed}")
    if not systems or baseline[0] in systems:
        raise DataError(
            f"a comparison needs at least one system beside the baseline {baseline[0]!r}, each with its own "
            f"label; got {', '.join(map(repr, systems)) or 'none'}"
        )
    statistics = {}
    for name, hypotheses in {baseline[0]: baseline[1], **systems}.items():
        try:
            statistics[name] = metric.measure(hypotheses, references, inputs)
            metric.value(statistics[name])
        except DataError as error:
            raise DataError(f"system {name!r}: {error}") from error
    strata = (inputs.direction or ()) if "direction" in metric.needs else [""] * len(references)
    resampled = _resample(statistics, metric, _places(strata), samples, seed)
    return Comparison(
        metric=metric.name,
        signature=f"{metric.signature}|bs:{samples}|seed:{seed}",
        higher_is_better=metric.higher_is_better,
        num_utterances=len(references),
        samples=samples,
        seed=seed,
        systems=tuple(_system(name, baseline[0], statistics, resampled, metric) for name in statistics),
    )


def _system(
    name: str, baseline: str, statistics: Mapping[str, Statistics], resampled: Mapping[str, Statistics], metric: Metric
) -> SystemScore:
    score = metric.value(statistics[name])
    difference = score - metric.value(statistics[baseline])
    sampled = resampled[name] - resampled[baseline]
    p_value = None if name == baseline else _p_value(sampled, difference, num_utterances=len(statistics[name]))
    return SystemScore(
        name=name,
        score=score,
        interval=Interval.of(resampled[name]),
        difference=difference,
        difference_interval=Interval.of(sampled),
        p_value=p_value,
        differences=tuple(sampled.tolist()),
    )


def _places(strata: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Indices of the utterances of each stratum."""
    return [np.flatnonzero([value == stratum for value in strata]) for stratum in sorted(set(strata))]


def _resample(
    statistics: Mapping[str, Statistics],
    metric: Metric,
    strata: Sequence[npt.NDArray[np.int64]],
    samples: int,
    seed: int,
) -> dict[str, Statistics]:
    """Each system's score in each sample; all systems see the same samples."""
    size = len(next(iter(statistics.values())))
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float]] = {name: [] for name in statistics}
    step = max(1, CHUNK // size)
    for start in range(0, samples, step):
        count = min(step, samples - start)
        picks = np.concatenate([rng.choice(places, size=(count, len(places))) for places in strata], axis=1)
        counts = np.stack([np.bincount(row, minlength=size) for row in picks]).astype(np.float64)
        for name, rows in statistics.items():
            scores[name] += [metric.from_totals(totals) for totals in counts @ rows]
    arrays = {name: np.array(values) for name, values in scores.items()}
    if not all(np.isfinite(values).all() for values in arrays.values()):
        raise DataError(f"{metric.name} is undefined in some bootstrap samples: {size} utterances are too few")
    return arrays


def _p_value(sampled: Statistics, difference: float, *, num_utterances: int) -> float:
    # sacrebleu's formula calls these significant, as no sample is beyond: two systems of the same score in every
    # sample (equal ones; two of BLEU 0), and one utterance, which is all that can be drawn.
    if abs(difference) <= _ROUNDING or num_utterances == 1:
        return 1.0
    absolute = np.abs(sampled)
    beyond = int((absolute - absolute.mean() > abs(difference)).sum())
    return (beyond + 1) / (len(sampled) + 1)
