"""Limits of a model on manifest rows, known once the model is built, before it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from aista.data.features.base import Feature
from aista.data.manifest_rows import Row, Rows
from aista.data.row_checks import Limit
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import ConfigError, Fault
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.llms.base import LanguageModel

__all__ = ["check_input", "input_lengths", "input_limit", "position_limit", "text_lengths"]

Measure = Callable[[Sequence[float], Tensor, Tensor], Tensor]
"""``(seconds, transcript tokens, translation tokens)`` of rows -> positions ``[rows]``."""


def input_lengths(seconds: Sequence[float], feature: Feature) -> Tensor:
    """Lengths of encoder input of recordings, in frames or samples."""
    samples = [math.ceil(duration * feature.sample_rate - 1e-6) for duration in seconds]
    return torch.tensor([feature.num_frames(count) for count in samples], dtype=torch.int64)


def text_lengths(rows: Sequence[Row], tokenizer: TextTokenizer) -> tuple[Tensor, Tensor]:
    """Numbers of tokens of each row's transcript and translation."""
    source, target = (
        [len(tokenizer.encode(text)) for text in _texts(rows, column)] for column in ("src_text", "tgt_text")
    )
    return torch.tensor(source, dtype=torch.int64), torch.tensor(target, dtype=torch.int64)


def _texts(rows: Sequence[Row], column: str) -> list[str]:
    """The texts of rows: of column storage at once; of other rows, whose paths need not be Unicode, one by one."""
    return rows.texts(column) if isinstance(rows, Rows) else [getattr(row, column) for row in rows]


def check_input(encoder: SpeechEncoder, feature: Feature) -> None:
    """Refuse a feature that a pretrained encoder was not trained on.

    Raises:
        ConfigError: the feature has another content or sample rate.
    """
    expected = encoder.expected_input
    if expected is None:
        return
    if feature.sample_rate == expected.sample_rate and feature.content in ("", expected.content):
        return
    received = f"{feature.content or 'an unnamed content'} at {feature.sample_rate} Hz"
    problem = f"the encoder was trained on {expected.content} at {expected.sample_rate} Hz, got {received}"
    raise ConfigError([Fault("data.feature", problem, f"set data.feature: {expected.remedy}")])


def input_limit(encoder: SpeechEncoder, feature: Feature) -> Limit:
    """The limit on lengths of a speech encoder's input.

    Raises:
        ConfigError: the encoder was trained on another input.
    """
    check_input(encoder, feature)
    minimum, maximum = encoder.length_range
    return Limit(
        "frames of encoder input" if feature.dim else "samples of encoder input",
        maximum,
        lambda rows, seconds: input_lengths(seconds, feature).tolist(),
        "split or remove the row, or use an encoder with another range",
        minimum,
    )


def position_limit(llm: LanguageModel, tokenizer: TextTokenizer, measure: Measure) -> Limit:
    """The limit on positions of a language model; ``measure`` computes the positions of rows."""
    return Limit(
        "LLM positions",
        llm.max_positions,
        lambda rows, seconds: measure(seconds, *text_lengths(rows, tokenizer)).tolist(),
        "shorten the speech with an adapter of a larger stride, use a language model with more positions, lower "
        "max_new_tokens if the split is decoded, or split the row",
    )
