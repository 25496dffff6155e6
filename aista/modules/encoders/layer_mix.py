"""Choice of an encoder's output layer: the last, one by number, or a learned weighted sum of all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["LAYERS_HELP", "LayerChoice", "LayerMix", "layer_states"]

LayerChoice = Literal["last", "weighted"] | int

LAYERS_HELP = (
    "Output states: last; weighted (a learned softmax-weighted sum of all layers); or a layer number: 0 is the input "
    "of the first block, k the output of block k. Blocks above it are left out."
)


def layer_states(
    h_BSE: Tensor,
    blocks: nn.ModuleList,
    run: Callable[[nn.Module, Tensor], Tensor],
    finish: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Tensor]:
    """Yield the states of layers 0..depth by ``run(block, states)``; ``finish`` is applied after the last block."""
    yield h_BSE
    for number, block in enumerate(blocks, 1):
        h_BSE = run(block, h_BSE)
        yield finish(h_BSE) if finish is not None and number == len(blocks) else h_BSE


class LayerMix(nn.Module):
    """``sum_k softmax(w)_k h_k`` over layers 0..num_layers, or the states of one layer.

    Layers are numbered as ``hidden_states`` of transformers: 0 is the input of the first block, k the output of
    block k, after the final norm for the last block of a pre-norm model. The weights start equal
    (SUPERB, Yang et al. 2021, arXiv 2105.01051).

    Attributes:
        depth: Blocks that must run.
        weights: ``[num_layers + 1]`` logits; None where one layer is taken.
    """

    def __init__(self, layers: LayerChoice, num_layers: int) -> None:
        super().__init__()
        if isinstance(layers, int) and not 0 <= layers <= num_layers:
            raise ValueError(f"layers must be last, weighted or a number in 0..{num_layers}, got {layers}")
        self.depth = layers if isinstance(layers, int) else num_layers
        self.is_complete = self.depth == num_layers
        self.weights = nn.Parameter(torch.zeros(num_layers + 1)) if layers == "weighted" else None

    def forward(self, states: Iterable[Tensor]) -> Tensor:
        """Mix ``[B, S, E]`` states of layers 0..depth, given in this order and consumed one by one."""
        if self.weights is None:
            return deque(states, maxlen=1)[0]
        shares = self.weights.softmax(dim=0)
        return sum((share * h for share, h in zip(shares, states, strict=True)), start=torch.zeros(()))
