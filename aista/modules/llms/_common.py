"""What the language models share: checks of their arguments, left padding, evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aista.errors import DataError
from aista.types import length_mask

__all__ = ["check_capture", "check_positions", "evaluating", "left_pad", "zero_padding"]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; afterwards every submodule has the mode it had."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for child, mode in modes.items():
            child.training = mode


def check_capture(capture: Sequence[int], num_layers: int) -> None:
    """Raise ValueError if a layer to capture is not in ``0..num_layers``."""
    for layer in capture:
        if not 0 <= layer <= num_layers:
            raise ValueError(
                f"layer {layer} does not exist: the language model has states 0..{num_layers} "
                f"(0 enters the first block, {num_layers} leaves the last); choose layers among them"
            )


def check_positions(lengths: Tensor, needed: int, max_positions: int, *, new_tokens: int = 0) -> None:
    """Raise DataError if the longest row, with the tokens still to come, does not fit into the model.

    Args:
        lengths: ``[B]`` positions of each row.
        needed: Positions of the longest row.
        max_positions: What the model holds.
        new_tokens: Tokens to generate after each row.
    """
    if needed + new_tokens <= max_positions:
        return
    row = int(lengths.argmax())
    plus = f" and {new_tokens} tokens to generate" if new_tokens else ""
    remedy = "lower max_new_tokens, " if new_tokens else ""
    raise DataError(
        f"row {row} of the batch has {needed} positions (prompt, speech or transcript, target){plus}, but the "
        f"language model holds {max_positions}; {remedy}leave out or split longer utterances, shorten the speech "
        f"with an adapter of a larger stride, or use a language model with more positions"
    )


def left_pad(embeddings: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Move right-padded rows to the right edge, so that all of them end in the same column.

    Args:
        embeddings: ``[B, N, D]``.
        lengths: ``[B]``.

    Returns:
        ``[B, N, D]`` with zeros on the left, and the ``[B, N]`` mask of its content.
    """
    size = embeddings.size(1)
    columns_BN = torch.arange(size, device=embeddings.device) - (size - lengths)[:, None]
    content_BN = columns_BN >= 0
    index_BND = columns_BN.clamp(min=0)[..., None].expand_as(embeddings)
    return embeddings.gather(1, index_BND).masked_fill(~content_BN[..., None], 0), content_BN


def zero_padding(embeddings: Tensor, lengths: Tensor) -> Tensor:
    """``[B, N, D]`` with zeros beyond ``lengths``: NaN times an attention weight of 0 would be NaN."""
    return embeddings.masked_fill(~length_mask(lengths, embeddings.size(1))[..., None], 0)
