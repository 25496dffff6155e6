"""Memory of one process: computed from the size of the parameters and the traced memory of a step.

With weights ``W``, gradients ``G`` (of what is trained), AdamW's state ``O = 2 G`` (its two averages have the
parameter's type), buffers ``U``, ``A`` what the forward and backward pass hold beside finished gradients at their peak,
and ``A'`` the same with them:

- one process: ``W + U + O + A'``, or in the optimiser's step ``W + U + O + 2 G`` (its fused loop over all parameters
  keeps one more copy), whichever is more;
- DDP: the same and ``G`` once more, for the buckets in which gradients travel;
- FSDP2 over ``N`` processes: ``(W + G + O) / N + U + A + R + 2 B + b``. Blocks are gathered one at a time, the next one
  ahead of it, hence twice the largest block ``B`` and its gradient ``b`` before that is scattered. ``R`` stays gathered
  for the whole step: what lies outside of blocks (embeddings, projection, adapter), and the last block of each stack.

Where a step adds up several batches, all of ``G`` is there while ``A`` is: ``G + A`` takes the place of ``A'``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from aista.engine.cost.trace import Trace
from aista.engine.training.blocks import stacks

__all__ = ["MemoryEstimate", "Weights", "estimate_memory", "weigh"]


@dataclass(frozen=True)
class Weights:
    """Bytes of a model's parameters, gradients and buffers.

    Attributes:
        parameters: All parameters.
        gradients: Gradients of the trained parameters, in the parameters' type.
        buffers: All buffers.
        resident: Parameters that FSDP2 keeps gathered during a step.
        block: Parameters of the largest block.
        block_gradients: Gradients of the block with the largest ones.
    """

    parameters: int
    gradients: int
    buffers: int
    resident: int
    block: int
    block_gradients: int


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process at the peak of a step.

    Attributes:
        processes: Number of processes.
        sharded: Whether by FSDP2.
        weights: Parameters and buffers.
        optimizer: State of AdamW.
        gradients: Gradients and the buckets they travel in.
        gathered: Parameters of other processes, and what is on its way.
        activations: Tensors kept by forward and backward.
    """

    processes: int
    sharded: bool
    weights: int
    optimizer: int
    gradients: int
    gathered: int
    activations: int

    @property
    def total(self) -> int:
        """Sum of the five."""
        return self.weights + self.optimizer + self.gradients + self.gathered + self.activations


def weigh(model: nn.Module) -> Weights:
    """Bytes of a bare model's parameters; works on the meta device too."""
    sizes = {parameter: parameter.numel() * parameter.element_size() for parameter in model.parameters()}
    blocks = [[block.parameters() for block in stack] for stack in stacks(model)]
    weighed = [[_weigh(list(parameters), sizes) for parameters in stack] for stack in blocks]
    inside = sum(weight for stack in weighed for weight, _ in stack)
    last = sum(stack[-1][0] for stack in weighed if stack)
    return Weights(
        parameters=sum(sizes.values()),
        gradients=sum(size for parameter, size in sizes.items() if parameter.requires_grad),
        buffers=sum(buffer.numel() * buffer.element_size() for buffer in model.buffers()),
        resident=sum(sizes.values()) - inside + last,
        block=max((weight for stack in weighed for weight, _ in stack), default=0),
        block_gradients=max((gradient for stack in weighed for _, gradient in stack), default=0),
    )


def estimate_memory(
    weights: Weights, trace: Trace, *, processes: int = 1, sharded: bool = False, accumulates: bool = False
) -> MemoryEstimate:
    """Memory of one process; ``trace`` is of its share of the batch.

    Args:
        weights: The model's.
        trace: The step's.
        processes: Number of processes.
        sharded: FSDP2 in place of DDP. One process shards nothing.
        accumulates: Whether a step adds up several batches.
    """
    gradients, optimizer = weights.gradients, 2 * weights.gradients
    if sharded and processes > 1:
        shards = [-(-total // processes) for total in (weights.parameters, optimizer, gradients)]
        gathered = weights.resident + 2 * weights.block + weights.block_gradients
        activations = max(trace.peak_without_gradients, shards[2] - gathered)
        return MemoryEstimate(processes, True, shards[0] + weights.buffers, shards[1], shards[2], gathered, activations)
    buckets = gradients if processes > 1 else 0
    there = gradients if accumulates else trace.gradients_at_peak
    held = trace.peak_without_gradients if accumulates else trace.peak - trace.gradients_at_peak
    if 2 * gradients > there + held:
        there = held = gradients
    return MemoryEstimate(processes, False, weights.parameters + weights.buffers, optimizer, there + buckets, 0, held)


def _weigh(parameters: list[nn.Parameter], sizes: dict[nn.Parameter, int]) -> tuple[int, int]:
    trained = sum(sizes[parameter] for parameter in parameters if parameter.requires_grad)
    return sum(sizes[parameter] for parameter in parameters), trained
