"""Contracts of kind ``metric``."""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aista.errors import DataError
from aista.scoring.base import Metric
from aista.scoring.utterance_inputs import UtteranceInputs
from aista.testing.contracts import contract, dependencies
from aista.testing.tensors import assert_raises, assert_returned

REFERENCES = [
    "le petit chat noir dort sur la table .",
    "elle mange une pomme rouge dans le jardin .",
    "nous voyons la grande maison blanche demain .",
]
SOURCES = [
    "the small black cat sleeps on the table .",
    "she eats a red apple in the garden .",
    "we will see the large white house tomorrow .",
]
HYPOTHESES = [
    "le petit chat dort sur une table .",
    "elle mange la pomme dans un jardin rouge .",
    "nous voyons la grande maison demain .",
]
dependencies("metric", {"target_language": "fr"})


@contextmanager
def spoken(metric: Metric) -> Iterator[UtteranceInputs]:
    """Transcripts, and recordings of one second if the metric needs audio, which exist while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.wav") for number in range(len(SOURCES))]
        for number, path in enumerate(paths if "audio" in metric.needs else ()):
            samples = np.sin(np.arange(16_000) * (number + 1) / 20) * 9_000
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 16_000, len(samples), "NONE", ""))
                file.writeframes(samples.astype("<i2").tobytes())
        yield UtteranceInputs(SOURCES, [str(path) for path in paths])


@contract("metric")
def check_shapes(metric: Metric) -> None:
    """Statistics are finite ``[N, K]`` float64; a score carries its name and signature."""
    with spoken(metric) as inputs:
        statistics = metric.measure(HYPOTHESES, REFERENCES, inputs)
    assert_returned(statistics, np.ndarray, f"statistics [{len(REFERENCES)}, K]")
    fits = statistics.ndim == 2 and len(statistics) == len(REFERENCES)
    assert fits, f"statistics must be [{len(REFERENCES)}, K], got {list(statistics.shape)}"
    assert statistics.dtype == np.float64, f"statistics must be float64, got {statistics.dtype}"
    assert np.isfinite(statistics).all(), "statistics must be finite"
    with spoken(metric) as inputs:
        score = metric.score(HYPOTHESES, REFERENCES, inputs)
    assert score.name == metric.name, f"the score is named {score.name!r}, the metric {metric.name!r}"
    assert score.signature.strip(), "the score has no signature, so it cannot be compared"


@contract("metric")
def check_additive(metric: Metric) -> None:
    """The corpus score comes from summed statistics: order and batches do not matter."""
    pairs = list(zip(HYPOTHESES, REFERENCES, strict=True))
    with spoken(metric) as inputs:
        whole = metric.score(HYPOTHESES, REFERENCES, inputs).value
        parts = [metric.measure([h], [r], inputs.at([place])) for place, (h, r) in enumerate(pairs)]
        turned = metric.score(HYPOTHESES[::-1], REFERENCES[::-1], inputs.at([2, 1, 0])).value
    pieced = metric.value(np.concatenate(parts))
    assert abs(pieced - whole) <= 1e-9 * max(1.0, abs(whole)), f"scored row by row it is {pieced}, at once {whole}"
    assert abs(turned - whole) <= 1e-9 * max(1.0, abs(whole)), f"in reverse order it is {turned}, before {whole}"


@contract("metric")
def check_direction(metric: Metric) -> None:
    """Perfect texts score better than wrong ones, imperfect ones between; exact match may give them no credit."""
    wrong = ["xyz"] * len(REFERENCES)
    sign = 1 if metric.higher_is_better else -1
    cases = (REFERENCES, HYPOTHESES, wrong, [""] * len(REFERENCES))
    with spoken(metric) as inputs:
        best, middle, worst, empty = (sign * metric.score(texts, REFERENCES, inputs).value for texts in cases)
    ranked = best > worst and best >= middle >= worst
    assert ranked, (
        f"with higher_is_better={metric.higher_is_better}, perfect, imperfect and wrong texts must rank so, "
        f"got {sign * best:.2f}, {sign * middle:.2f}, {sign * worst:.2f}"
    )
    assert empty < best, "empty hypotheses score as well as perfect ones"


@contract("metric")
def check_rejects(metric: Metric) -> None:
    """An empty corpus and lists of different lengths raise DataError."""
    for hypotheses, references, what in (([], [], "an empty corpus"), (HYPOTHESES[:2], REFERENCES, "unequal lengths")):
        with assert_raises(DataError, f"{what} must raise DataError"):
            metric.score(hypotheses, references)


@contract("metric")
def check_needs(metric: Metric) -> None:
    """Without the transcripts or the audio that a metric needs, scoring raises DataError; the base class sees to it."""
    with spoken(metric) as inputs:
        for need in metric.needs:
            others = UtteranceInputs(**{other: getattr(inputs, other) for other in metric.needs if other != need})
            with assert_raises(DataError, f"utterances without {need} must raise DataError"):
                metric.score(HYPOTHESES, REFERENCES, others)
