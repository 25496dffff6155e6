"""Measures of an ablation's runs other than scores: use of the audio, retrieval, text translation."""

from __future__ import annotations

from collections.abc import Mapping

from aista.report.tables import label_of
from aista.run_folder.contents import RunFolder
from aista.run_folder.paths import transcript_label

__all__ = ["MEASURES", "by_measure", "measure_label", "read_measures"]

MEASURES = ("text", "nll", "nll_shuffled_speech", "mrr", "train_seconds")
"""The first metric from transcripts; nats per token with the right and with shuffled speech; MRR of the best layer."""

_LABELS = {"nll": "NLL", "nll_shuffled_speech": "NLL shuffled", "mrr": "MRR", "train_seconds": "Training s"}


def measure_label(name: str, metric: str) -> str:
    """Column header of a measure; ``metric`` is the first metric."""
    return _LABELS.get(name) or f"{label_of(metric)} from text"


def read_measures(folder: RunFolder, split: str, headline: str, metric: str, probe: str) -> dict[str, float]:
    """The measures that a run has, by their names in ``MEASURES``.

    Args:
        folder: The run.
        split: Label of the scored split.
        headline: Label of its results for the task that is compared.
        metric: Name of the first metric.
        probe: Name of the probe; empty for none.

    Raises:
        RunError: a measure cannot be read.
    """
    found: dict[str, float] = {}
    if folder.is_evaluated(transcript_label(split)):
        scores = {score.name: score.value for score in folder.evaluation(transcript_label(split)).scores}
        found |= {"text": scores[metric]} if metric in scores else {}
    speech = folder.evaluation(headline).shuffled_speech or {}
    found |= {name: float(speech[name]) for name in ("nll", "nll_shuffled_speech") if name in speech}
    if probe and probe in folder.paths.probe_names():
        found["mrr"] = max(folder.probe(probe).curve.values().values())
    seconds = folder.timing().get("train_seconds")
    return found if seconds is None else found | {"train_seconds": float(seconds)}


def by_measure(measures: Mapping[int, Mapping[str, float]]) -> dict[str, dict[int, float]]:
    """Turn seed -> measure -> value into measure -> seed -> value; measures that no seed has are left out."""
    turned = {name: {seed: values[name] for seed, values in measures.items() if name in values} for name in MEASURES}
    return {name: values for name, values in turned.items() if values}
