"""The last step of the built-in adapters: an optional layer norm that sets the scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aista.modules.adapters.base import Adapter

__all__ = ["OUTPUT_NORM", "NormedAdapter"]

OUTPUT_NORM = "End with a layer norm, so that untrained outputs have the scale of the LLM's token embeddings."


class NormedAdapter(Adapter):
    """An adapter that ends with a layer norm if ``output_norm`` is set."""

    def __init__(self, output_dim: int, output_norm: bool) -> None:
        super().__init__()
        self.output_norm: nn.Module = nn.LayerNorm(output_dim) if output_norm else nn.Identity()

    def match_output_scale(self, rms: float) -> None:
        """Set the layer norm's gain to ``rms``; see ``Adapter.match_output_scale``."""
        if isinstance(self.output_norm, nn.LayerNorm):
            with torch.no_grad():
                self.output_norm.weight.fill_(rms)

    def normalize(self, x_BPD: Tensor) -> Tensor:
        """Apply the output norm."""
        normed: Tensor = self.output_norm(x_BPD)
        return normed
