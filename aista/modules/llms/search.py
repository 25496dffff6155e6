"""Options of the search; without PyTorch, as the command line reads them too."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass

from aista.errors import ConfigError
from aista.plain import to_plain
from aista.schema import Component, Options, component, option, resolve

__all__ = ["GenerationConfig", "Utility"]


@dataclass(frozen=True)
class Utility(Component):
    """The utility of minimum Bayes risk decoding: a metric that compares candidates with each other."""

    scale: float = option(
        1.0, "Exponent of the candidates' probabilities as weights; 0: equal weights.", minimum=0, maximum=1_000
    )

    @property
    def label(self) -> str:
        """Name of the metric, with a hash of its options unless all are defaults."""
        with suppress(ConfigError):  # an option that has no default is not the default
            if self == resolve("metric", self.name, type=Utility):
                return self.name
        content = json.dumps(to_plain(self), sort_keys=True).encode()
        return f"{self.name}-{hashlib.sha256(content).hexdigest()[:8]}"


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(Options):
    """Options of the search for translations."""

    beam_size: int = option(4, "Beams; 1 is greedy search.", minimum=1, maximum=1_000)
    max_new_tokens: int = option(128, "Maximum tokens of a translation, EOS included.", minimum=1, maximum=1_000_000)
    length_penalty: float = option(
        1.0, "Exponent of the length that divides a hypothesis' log-probability.", minimum=-10, maximum=10
    )
    no_repeat_ngram: int = option(
        0, "Forbid repeated n-grams of this many tokens within a hypothesis; 0: off.", minimum=0, maximum=1_000_000
    )
    mbr: Utility | None = component(
        "metric",
        None,
        "Minimum Bayes risk decoding: choose the hypothesis of the search most similar to the others by this metric.",
        type=Utility,
    )
