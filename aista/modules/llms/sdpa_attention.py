"""An attention implementation that aista registers with transformers: ``sdpa`` without superfluous work.

It avoids attention at padding and repeating keys for each query head of a group, with the same results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, causal_mask_function, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from aista.errors import RunError
from aista.modules.transformers_versions import num_queries

__all__ = ["NAME", "rows_without_padding"]

NAME = "aista_sdpa"
"""Name of the implementation in a model's config."""

_joined: ContextVar[list[int] | None] = ContextVar("_joined", default=None)


@contextmanager
def rows_without_padding(lengths: Sequence[int]) -> Iterator[list[int]]:
    """In this context, a model's batch of 1 is read as concatenated rows of these lengths.

    Yields:
        The lengths of the row, to be passed on to the blocks as ``row_lengths``: they are computed again in the
        backward pass where activations are checkpointed, outside of the context.
    """
    token = _joined.set(rows := list(lengths))
    try:
        yield rows
    finally:
        _joined.reset(token)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    row_lengths: list[int] | None = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """``[B, H, N, K]`` queries over ``[B, G, S, K]`` keys and values -> ``[B, N, H, K]``; H is a multiple of G."""
    if row_lengths is not None and attention_mask is None:
        rows = zip(*(torch.split(x, row_lengths, dim=2) for x in (query, key, value)), strict=True)
        return torch.cat([sdpa_attention_forward(module, *row, None, **arguments)[0] for row in rows], dim=1), None
    if _joined.get() is not None:
        raise RunError(
            f"{type(module).__name__} of transformers {transformers.__version__} does not tell attention apart which "
            f"positions belong to which row; write attention: eager into the language model's config"
        )
    shares_keys = query.size(1) > key.size(1) and query.size(2) == 1
    if not shares_keys or module.training or (attention_mask is not None and attention_mask.size(1) > 1):
        attended: Tensor = sdpa_attention_forward(module, query, key, value, attention_mask, **arguments)[0]
        return attended, None
    # One position: the heads that share a key are so many queries of it.
    batch, heads, _, width = query.shape
    grouped = query.reshape(batch, key.size(1), heads // key.size(1), width)
    mask = None if attention_mask is None else attention_mask.expand(-1, -1, grouped.size(2), -1)
    values = functional.scaled_dot_product_attention(grouped, key, value, mask, scale=arguments.get("scaling"))
    return values.reshape(batch, 1, heads, width), None


def _mask(
    *,
    kv_length: int,
    kv_offset: int = 0,
    mask_function: Any = causal_mask_function,
    attention_mask: Tensor | None = None,
    **arguments: Any,
) -> Tensor | None:
    if _joined.get() is not None:
        return None
    sees_all = num_queries(arguments) == 1 and kv_offset == 0 and mask_function is causal_mask_function
    if sees_all and attention_mask is not None and attention_mask.size(1) == kv_length:
        # Nothing to compute for the newest position; transformers does so by vmap.
        return attention_mask[:, None, None]
    mask: Tensor | None = sdpa_mask(
        kv_length=kv_length,
        kv_offset=kv_offset,
        mask_function=mask_function,
        attention_mask=attention_mask,
        **arguments,
    )
    return mask


ALL_ATTENTION_FUNCTIONS.register(NAME, _attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, _mask)
