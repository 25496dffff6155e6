"""Metrics of collapse in the states of a training step: their variance and effective rank."""

from __future__ import annotations

import torch
from torch import Tensor

from aista.selection.geometry import effective_rank, resolvent_rank
from aista.types import LsmOutput

__all__ = ["NUM_SAMPLED", "collapse_metrics", "sample_states"]

NUM_SAMPLED = 64  # positions per layer and modality: the rank of a collapse is near 1, so few suffice
GOLDEN = 0.6180339887498949


@torch.no_grad()
def collapse_metrics(output: LsmOutput, layers: tuple[int, ...]) -> dict[str, Tensor]:
    """Variance and effective rank of each captured layer's speech and text states.

    Computed from ``NUM_SAMPLED`` positions spread evenly over the batch: O(64 D) and one batched eigenvalue problem of
    64 x 64 (on a GPU ``resolvent_rank`` instead). Undefined for batches without a transcript.

    Args:
        output: The model's output with ``capture=layers``.
        layers: Their numbers.

    Returns:
        ``{speech,text}_{variance,rank}_layer_K`` -> scalar. The variance is the mean squared distance from the mean.
    """
    with torch.autocast(output.nll.device.type, enabled=False):
        sampled = [sample_states(states, output.speech_lengths) for states in output.speech]
        sampled += [sample_states(states, output.text_lengths) for states in output.text]
        states_KND = torch.stack(sampled)
        centred = states_KND - states_KND.mean(dim=1, keepdim=True)
        variance_K = centred.square().sum(dim=2).mean(dim=1)
        rank_K = (effective_rank if states_KND.is_cpu else resolvent_rank)(states_KND)
    names = [f"{side}_{{}}_layer_{layer}" for side in ("speech", "text") for layer in layers]
    metrics = {name.format("variance"): value for name, value in zip(names, variance_K, strict=True)}
    return metrics | {name.format("rank"): value for name, value in zip(names, rank_K, strict=True)}


def sample_states(states_BLD: Tensor, lengths: Tensor, size: int = NUM_SAMPLED) -> Tensor:
    """``[size, D]`` fp32 states of true positions, the same for the same lengths; rows take turns.

    Works without waiting for the device. Where no length is above 0 they are states of the padding.
    """
    if not states_BLD.size(1):
        return states_BLD.new_zeros(size, states_BLD.size(2), dtype=torch.float32)
    index = torch.arange(size, device=states_BLD.device)
    present = lengths > 0
    rows = (~present).to(torch.int8).argsort(stable=True)[index % present.sum().clamp_min(1)]
    positions = ((index * GOLDEN % 1) * lengths[rows]).long()
    return states_BLD[rows, positions].float()
