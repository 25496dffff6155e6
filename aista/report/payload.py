"""The data that the page's script draws, as JSON that is safe inside a ``<script>`` element."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from aista.report.clips import matrix
from aista.report.report import Report, RunCurve
from aista.report.tables import label_of
from aista.selection.metrics import DIRECTIONS, SCORES

__all__ = ["MAX_POINTS", "payload"]

MAX_POINTS = 300
TITLES = {"nll": "Translation loss (nats per token)", "lr": "Learning rate"}


def payload(report: Report) -> str:
    """JSON of all interactive parts; ``<``, ``>`` and ``&`` are escaped, so that no text ends the element."""
    data = {
        "runs": list(report.runs),
        "training": _training(report),
        "retrieval": _retrieval(report),
        "correlation": _correlation(report),
        "utterances": _utterances(report),
        "plans": _plans(report),
        "clips": {clip.id: clip.audio for clip in report.clips if clip.audio},
        "spectrograms": {clip.id: asdict(clip.spectrogram) for clip in report.clips if clip.spectrogram},
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _training(report: Report) -> dict[str, Any] | None:
    series: dict[str, list[dict[str, Any]]] = {}
    for number, (label, run) in enumerate(report.training.items()):
        assert label == report.runs[number]
        for split, rows in (("train", run.train), ("valid", run.valid)):
            for metric in dict.fromkeys(key for row in rows for key in row if key != "step"):
                points = _thin([(row["step"], _value(row[metric])) for row in rows if metric in row])
                series.setdefault(metric, []).append({"run": number, "split": split, "points": points})
    usual = ("nll", "bleu", "chrf", "chrf_plus_plus", "ter", "comet", "wer", "cer", "off_target")
    first = [name for name in usual if name in series]
    metrics = [*first, *sorted(series.keys() - set(first), key=_natural)]
    titles = {name: TITLES.get(name, label_of(name).replace("_", " ")) for name in metrics}
    return {"metrics": metrics, "titles": titles, "series": series} if series else None


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``ot_layer_2`` before ``ot_layer_10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split("_")]


def _value(recorded: float | list[float] | None) -> float:
    """The recorded number, or the first of several, such as learning rates; NaN if it was not finite."""
    value = recorded[0] if isinstance(recorded, list) and recorded else recorded
    return float(value) if isinstance(value, (int, float)) else math.nan


def _thin(points: Sequence[tuple[float, float]]) -> list[list[float | None]]:
    """Means of runs of records where there are more than ``MAX_POINTS``; NaN stays a gap."""
    size = math.ceil(len(points) / MAX_POINTS)
    thinned: list[list[float | None]] = []
    for start in range(0, len(points), max(1, size)):
        part = points[start : start + size]
        value = sum(point[1] for point in part) / len(part)
        thinned.append([part[-1][0], float(f"{value:.6g}") if math.isfinite(value) else None])
    return thinned


def _retrieval(report: Report) -> dict[str, Any] | None:
    if not report.curves:
        return None
    chance = min((item.curve.chance for item in report.curves), key=lambda scores: scores.mrr)
    variants: dict[str, int] = {}
    curves = []
    for item in report.curves:
        variants[item.run] = variants.get(item.run, -1) + (not item.before)
        curves.append(_curve(item, report.runs, max(0, variants[item.run])))
    return {
        "curves": curves,
        "scores": SCORES,
        "directions": DIRECTIONS,
        "chance": {score: chance.value(score) for score in SCORES},
        "selected": list(report.selected),
    }


def _curve(item: RunCurve, runs: Sequence[str], variant: int) -> dict[str, Any]:
    curve = item.curve
    values = {score: {way: list(curve.values(score, way).values()) for way in DIRECTIONS} for score in SCORES}
    bands = {}
    for score in SCORES if curve.similarity == "cosine" else ():
        estimates = list(curve.estimates(score).values())
        if len(estimates) == len(curve.layers) and all(
            item.low is not None and item.high is not None for item in estimates
        ):
            bands[f"{score} both"] = [[item.low, item.high] for item in estimates]
    return {
        "label": item.label,
        "run": runs.index(item.run),
        "before": item.before,
        "variant": variant,
        "layers": list(curve.numbers),
        "values": values,
        "bands": bands,
    }


def _correlation(report: Report) -> dict[str, Any] | None:
    if not report.correlations or report.comparison is None:
        return None
    layers = {
        item.layer: [[report.runs.index(label), mrr, score] for label, mrr, score in item.points]
        for item in report.correlations
    }
    shown = max(report.correlations, key=lambda item: abs(item.pearson or 0)).layer
    return {"layers": layers, "shown": shown, "score": label_of(report.comparison.metric)}


def _utterances(report: Report) -> list[dict[str, Any]]:
    def per_run(values: Mapping[str, Any]) -> list[Any]:
        return [values.get(label) for label in report.runs]

    return [
        {
            "id": item.id,
            "transcript": item.transcript,
            "reference": item.reference,
            "hypotheses": per_run(item.hypotheses),
            "scores": per_run({label: round(score, 2) for label, score in item.scores.items()}),
        }
        for item in (report.browser.utterances if report.browser else ())
    ]


def _plans(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "run": report.runs.index(label),
            "id": plan.id,
            "tokens": list(plan.tokens),
            "seconds": plan.seconds_per_position,
            "shown": plan.shown,
            # rows: tokens; columns: fraction of each speech position's mass
            "layers": {
                layer: asdict(matrix((torch.tensor(masses) * len(masses)).T)) for layer, masses in plan.layers.items()
            },
        }
        for label, plan in report.plans
    ]
