"""Conformer adapter: strided convolutions, then conformer blocks."""

from __future__ import annotations

from dataclasses import dataclass

from aista.modules.adapters.base import Adapter
from aista.modules.adapters.context import ContextConfig
from aista.native import preload_libsndfile
from aista.registry import register
from aista.schema import option

__all__ = ["ConformerAdapterConfig", "conformer"]


@dataclass(frozen=True, kw_only=True)
class ConformerAdapterConfig(ContextConfig):
    """Options of the adapter ``conformer``."""

    kernel_size: int = option(15, "Kernel of the depthwise convolutions; odd.", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")


@register("adapter", "conformer", config=ConformerAdapterConfig)
def conformer(config: ConformerAdapterConfig, *, input_dim: int, output_dim: int) -> Adapter:
    """Strided convolutions, conformer blocks and a projection: n frames -> ``ceil(n / stride)`` positions.

    The blocks are those of Gulati et al. 2020 (arXiv 2005.08100), with rotary positions and layer norm in the
    convolution module. Choose it over ``transformer`` where the encoder is small or far from text: convolutions
    help with what lies close together, attention with the rest.

    Raises:
        ValueError: the width is no multiple of ``2 * num_heads``.
    """
    preload_libsndfile()
    from aista.modules.adapters._conformer import ConformerAdapter

    return ConformerAdapter(config, input_dim=input_dim, output_dim=output_dim)
