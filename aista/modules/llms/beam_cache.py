"""Key-value cache of a beam search, in preallocated buffers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

__all__ = ["BeamCache"]


class BeamCache(DynamicCache):  # type: ignore[misc]
    """A Hugging Face cache that copies only new positions in a step, and only unshared ones in a reordering.

    transformers' own copies the whole cache at each step, and again to reorder it. All beams of a prompt share its
    positions: as long as they stay in its rows, only decoded positions are moved. Layers with a sliding window are left
    to transformers.
    """

    layers: list[Any]

    def __init__(self, config: Any, prompts: int, positions: int) -> None:
        super().__init__(config=config)
        self.layers = [_RoomyLayer(positions) if type(layer) is DynamicLayer else layer for layer in self.layers]
        self.prompt_R = torch.arange(prompts)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep sequences ``beam_idx`` ``[R']``, in this order."""
        before, self.prompt_R = self.prompt_R, self.prompt_R[beam_idx.cpu()]
        stays = torch.equal(before, self.prompt_R)
        for layer in self.layers:
            if stays and isinstance(layer, _RoomyLayer):
                layer.reorder_decoded(beam_idx)
            else:
                layer.reorder_cache(beam_idx)


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer whose ``keys`` and ``values`` ``[R, G, S, K]`` are the filled part of larger buffers."""

    keys: Tensor
    values: Tensor
    is_initialized: bool

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.positions = positions
        self.num_shared = 0
        self.buffers: list[Tensor] = []

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append positions; the first call brings the prompt."""
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
            self.num_shared = key_states.size(2)
            self._fill(key_states, value_states)
            return self.keys, self.values
        start, end = self.keys.size(2), self.keys.size(2) + key_states.size(2)
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these sequences, including their prompts."""
        self._fill(*(filled.index_select(0, beam_idx) for filled in (self.keys, self.values)))

    def reorder_decoded(self, beam_idx: Tensor) -> None:
        """Likewise, where each sequence has the same prompt as the one it replaces."""
        for filled in (self.keys, self.values):
            decoded = filled[:, :, self.num_shared :]
            decoded.copy_(decoded.index_select(0, beam_idx))

    def _fill(self, *contents: Tensor) -> None:
        batch, groups, size, width = contents[0].shape
        self.buffers = [content.new_empty(batch, groups, self.positions, width) for content in contents]
        for buffer, content in zip(self.buffers, contents, strict=True):
            buffer[:, :, :size] = content
        self.keys, self.values = (buffer[:, :, :size] for buffer in self.buffers)
