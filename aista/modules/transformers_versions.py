"""Differences between transformers 4.57 and 5, both of which must work; imports transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

try:
    from transformers.initialization import no_init_weights  # 5
except ImportError:
    from transformers.modeling_utils import no_init_weights  # 4.57

__all__ = ["no_init_weights", "num_queries", "states_of"]


def states_of(output: Any) -> Tensor:
    """States that a block or a part of a model returns: alone, or first in a tuple (most blocks of 4.57)."""
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states


def num_queries(arguments: Mapping[str, Any]) -> int:
    """Positions that a mask is made for, from the arguments of the mask's function: 4.57 passes the positions."""
    length: int = arguments["q_length"] if "q_length" in arguments else len(arguments["cache_position"])
    return length
