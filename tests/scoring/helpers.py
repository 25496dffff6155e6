from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aista.registry import get, named_by
from aista.scoring.base import Metric

WORDS = ["le", "petit", "chat", "noir", "mange", "une", "pomme", "rouge", "dans", "la", "maison", "verte"]


def make(name: str, language: str = "fr", **options: Any) -> Metric:
    """A metric with given options."""
    entry = get("metric", name)
    assert entry.config is not None
    metric = entry.factory(entry.config(**options), **named_by(entry.factory, {"target_language": language}))
    assert isinstance(metric, Metric)
    return metric


def just(*metrics: Metric) -> Callable[[str, Mapping[str, str]], Sequence[Metric]]:
    """Builds these metrics for any task and languages."""
    return lambda task, languages: metrics


def corpus(errors: list[float], size: int = 120) -> tuple[list[str], list[list[str]]]:
    """References, and for each error rate hypotheses with as many words replaced."""
    rng = random.Random(3)
    sentences = [rng.choices(WORDS, k=rng.randint(4, 9)) for _ in range(size)]
    systems = []
    for error in errors:
        noisy = [[rng.choice(WORDS) if rng.random() < error else word for word in words] for words in sentences]
        systems.append([" ".join(words) + "." for words in noisy])
    return [" ".join(words) + "." for words in sentences], systems
