"""What a model can take, as bounds on manifest rows: known once the model is built, before it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from aista.data.features.base import Feature
from aista.data.inspection import Limit
from aista.data.manifest import Row
from aista.data.tokenizers.base import TextTokenizer
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.llms.base import LanguageModel

__all__ = ["input_lengths", "input_limit", "num_tokens", "position_limit"]

Measure = Callable[[Sequence[Row], Sequence[float]], Tensor]


def input_lengths(seconds: Sequence[float], feature: Feature) -> Tensor:
    """Encoder input of recordings, in frames or samples."""
    samples = [math.ceil(duration * feature.sample_rate - 1e-6) for duration in seconds]
    return torch.tensor([feature.num_frames(count) for count in samples], dtype=torch.int64)


def num_tokens(texts: Sequence[str], tokenizer: TextTokenizer) -> Tensor:
    """Token ids that each text takes."""
    return torch.tensor([len(tokenizer.encode(text)) for text in texts], dtype=torch.int64)


def input_limit(encoder: SpeechEncoder, feature: Feature) -> Limit:
    """The lengths that a speech encoder takes."""
    minimum, maximum = encoder.length_range
    return Limit(
        "frames of encoder input" if feature.dim else "samples of encoder input",
        maximum,
        lambda rows, seconds: input_lengths(seconds, feature).tolist(),
        "split or remove the row, or use an encoder with another range",
        minimum,
    )


def position_limit(llm: LanguageModel, measure: Measure) -> Limit:
    """The positions of a language model; ``measure`` says how many each row takes."""
    return Limit(
        "LLM positions",
        llm.max_positions,
        lambda rows, seconds: measure(rows, seconds).tolist(),
        "shorten the speech with an adapter of a larger stride, use a language model with more positions, lower "
        "max_new_tokens if the split is decoded, or split the row",
    )
