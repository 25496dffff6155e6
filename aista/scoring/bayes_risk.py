"""Minimum Bayes risk decoding: ranks candidates by expected utility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aista.scoring.base import Metric, Statistics
from aista.scoring.candidates import Candidate
from aista.scoring.utterance_inputs import NO_INPUTS, UtteranceInputs

__all__ = ["expected_utilities", "fold", "rank_by_utility"]

_TIE = 1e-6
"""Expected utilities, of the order of 100, that differ by less are equal: rounding must not choose."""


def rank_by_utility(
    rows: Sequence[Sequence[Candidate]], metric: Metric, scale: float, inputs: UtteranceInputs = NO_INPUTS
) -> list[list[Candidate]]:
    r"""Order the candidates of each row by expected utility (Kumar and Byrne 2004), best first.

    ``U(y) = sum_j w_j u(y, y_j)``, a row's candidates being the references too, with weights ``w_j`` proportional to
    ``p(y_j | x) ** scale`` that sum to 1. Texts that are equal are one candidate with a ``count``. Of equal utilities
    the one with the better score comes first. n candidates of a row cost n * n sentences of the metric. All rows are
    scored by one call of the metric, which may be a process that loads a model.

    Args:
        rows: Hypotheses of each row's search, best score first.
        metric: ``u``: its score of one sentence, negative where lower is better.
        scale: 1 uses the model's probabilities, 0 equal weights.
        inputs: Inputs of the rows, for metrics that need them.

    Raises:
        DataError: a row lacks what the metric needs.
    """
    folded, weights = zip(*(fold(candidates, scale) for candidates in rows), strict=True)
    texts = [[item.text for item in items] for items in folded]
    return list(map(_ranked, folded, expected_utilities(texts, weights, metric, inputs)))


def _ranked(folded: Sequence[Candidate], utilities: Statistics) -> list[Candidate]:
    order = sorted(range(len(folded)), key=lambda place: -utilities[place])
    best = [place for place in order if utilities[place] >= utilities[order[0]] - _TIE]
    order.remove(min(best))  # folded keeps the order of scores
    order.insert(0, min(best))
    return [replace(folded[place], utility=float(utilities[place])) for place in order]


def fold(candidates: Sequence[Candidate], scale: float) -> tuple[list[Candidate], list[float]]:
    """One candidate per text, the one with the best score, in the order given, and the weight of each text."""
    top = max(item.log_probability for item in candidates)
    folded: dict[str, Candidate] = {}
    weights: dict[str, float] = {}
    for item in candidates:
        known = folded.setdefault(item.text, replace(item, count=0))
        folded[item.text] = replace(known, count=known.count + 1)
        weights[item.text] = weights.get(item.text, 0.0) + math.exp(scale * (item.log_probability - top))
    total = sum(weights.values())
    return list(folded.values()), [weight / total for weight in weights.values()]


def expected_utilities(
    rows: Sequence[Sequence[str]],
    weights: Sequence[Sequence[float]],
    metric: Metric,
    inputs: UtteranceInputs = NO_INPUTS,
) -> list[Statistics]:
    """``[n]`` for each row of n texts: the expected utility of each against all, oriented higher is better.

    A text that the metric is undefined for as a reference, such as an empty one for ``wer``, does not count as one.
    """
    pairs = [(place, text, other) for place, texts in enumerate(rows) for text in texts for other in texts]
    places, hypotheses, references = map(list, zip(*pairs, strict=True))
    needed = inputs.at(places).of(metric.needs, len(pairs), metric.name)
    statistics = metric.statistics(hypotheses, references, **needed)
    sign = 1 if metric.higher_is_better else -1
    values = sign * np.array([metric.from_totals(row) for row in statistics])
    ends = np.cumsum([len(texts) ** 2 for texts in rows])[:-1]
    squares = [each.reshape(len(texts), -1) for texts, each in zip(rows, np.split(values, ends), strict=True)]
    for square in squares:
        square[:, ~np.isfinite(square).all(axis=0)] = 0.0
    return [square @ np.asarray(of_row) for square, of_row in zip(squares, weights, strict=True)]
