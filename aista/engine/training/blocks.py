"""The blocks of a model's parts, and their wrapping by activation checkpointing and sharding.

fairseq2 is imported where something is wrapped: costs are estimated without it.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

__all__ = ["apply_activation_checkpointing", "apply_fsdp", "stacks"]


def stacks(model: nn.Module) -> list[nn.ModuleList]:
    """The blocks of the encoder and of the LLM, of those parts that the model has."""
    parts = (getattr(model, name, None) for name in ("encoder", "llm"))
    return [part.layers for part in parts if part is not None]


def apply_fsdp(model: nn.Module, granularity: str, wrapper: Callable[..., nn.Module]) -> nn.Module:
    """Shard block by block; the rest of the model is a last group, which fairseq2 wraps."""
    from fairseq2.models.utils.fsdp import apply_layerwise_fsdp

    for layers in stacks(model):
        apply_layerwise_fsdp(layers, wrapper)
    return model


def apply_activation_checkpointing(model: nn.Module, every_nth_layer: int) -> nn.Module:
    """Recompute blocks in the backward pass from their inputs."""
    from fairseq2.models.utils.ac import apply_layerwise_ac

    for layers in stacks(model):
        apply_layerwise_ac(layers, every_nth_layer)
    return model
