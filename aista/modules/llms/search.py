"""How translations are searched: read by the command line too, so without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from aista.schema import Options, option

__all__ = ["GenerationConfig"]


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(Options):
    """How translations are searched."""

    beam_size: int = option(4, "Beams; 1 is greedy search.", minimum=1, maximum=1_000)
    max_new_tokens: int = option(128, "Longest translation in tokens, EOS included.", minimum=1, maximum=1_000_000)
    length_penalty: float = option(
        1.0, "Exponent of the length that divides a hypothesis' log-probability.", minimum=-10, maximum=10
    )
    no_repeat_ngram: int = option(
        0, "No hypothesis holds an n-gram of so many tokens twice; 0 is off.", minimum=0, maximum=1_000_000
    )
