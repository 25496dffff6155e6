"""Cross-entropy over a large vocabulary, with logits computed in slices to save memory (decision 38).

A thousand tokens of a vocabulary of 262k have 1 GiB of logits in fp32, and cross-entropy with its backward pass holds
that three times and more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import get_device_states, set_device_states

from aista.modules.llms.base import LanguageModel

__all__ = ["MOST_LOGITS", "sliced_nll"]

MOST_LOGITS = 1 << 28
"""Maximum bytes of fp32 logits in memory at a time."""


def sliced_nll(llm: LanguageModel, states: Tensor, labels: Tensor) -> Tensor:
    """``-log softmax(project(states))[labels]``, in slices where there are more than ``MOST_LOGITS`` bytes of logits.

    Where the projection is frozen, a slice's gradient by the states is computed along with it, at no extra cost. Where
    it is trained, backward recomputes the logits: the gradient of its weights depends on each token's weight in the
    loss, which forward does not know.

    Args:
        llm: Projects states to logits, by weights of any kind.
        states: ``[K, D]`` final states.
        labels: ``[K]`` ids.

    Returns:
        ``[K]`` nats in fp32.
    """
    # No rows show how large the vocabulary is and which weights are trained. They come first and with gradients:
    # autocast reuses its casts of weights, and those made by a pass without would cut the weights off.
    logits_0V = llm.project(states.detach().narrow(0, 0, 0))
    size = max(1, MOST_LOGITS // (4 * logits_0V.size(-1)))
    if len(states) <= size:
        return functional.cross_entropy(llm.project(states).float(), labels, reduction="none")
    nll_K: Tensor
    if logits_0V.requires_grad:
        nll_K = _TrainedProjection.apply(llm, size, labels, states, *_leaves(logits_0V))  # type: ignore[no-untyped-call]
    elif states.requires_grad:
        nll_K = _FrozenProjection.apply(llm, size, labels, states)  # type: ignore[no-untyped-call]
    else:
        nll_K = _score(llm, size, labels, states)
    return nll_K


class _FrozenProjection(torch.autograd.Function):
    """Takes the gradient by the states in forward; a token's NLL depends on its own state alone, so backward scales."""

    @staticmethod
    def forward(ctx: Any, llm: LanguageModel, size: int, labels_K: Tensor, states_KD: Tensor) -> Tensor:
        pairs = _slices(size, states_KD, labels_K)
        parts = [_differentiate(llm, states_SD, labels_S) for states_SD, labels_S in pairs]
        ctx.save_for_backward(torch.cat([gradients[0] for _, gradients in parts]))
        return torch.cat([nll_S for nll_S, _ in parts])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale_K: Tensor) -> tuple[Tensor | None, ...]:
        (gradient_KD,) = ctx.saved_tensors
        return None, None, None, (scale_K.unsqueeze(1) * gradient_KD).to(gradient_KD.dtype)


class _TrainedProjection(torch.autograd.Function):
    """Recomputes the logits in backward, and adds up the gradients of the weights in fp32."""

    @staticmethod
    def forward(
        ctx: Any, llm: LanguageModel, size: int, labels_K: Tensor, states_KD: Tensor, *weights: Tensor
    ) -> Tensor:
        ctx.llm, ctx.size = llm, size
        ctx.again = _surroundings(states_KD, random=llm.training)
        ctx.save_for_backward(labels_K, states_KD, *weights)
        return _score(llm, size, labels_K, states_KD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale_K: Tensor) -> tuple[Tensor | None, ...]:
        labels_K, states_KD, *weights = ctx.saved_tensors
        totals = [torch.zeros_like(w, dtype=torch.promote_types(w.dtype, torch.float32)) for w in weights]
        by_states = []
        with ctx.again():
            for states_SD, labels_S, scale_S in _slices(ctx.size, states_KD, labels_K, scale_K):
                gradients = list(_differentiate(ctx.llm, states_SD, labels_S, scale_S, weights)[1])
                by_states.append(gradients.pop(0))
                for total in totals:
                    total.add_(gradients.pop(0))
        by_weights = (total.to(weight.dtype) for total, weight in zip(totals, weights, strict=True))
        return None, None, None, torch.cat(by_states), *by_weights


def _differentiate(
    llm: LanguageModel,
    states_SD: Tensor,
    labels_S: Tensor,
    scale_S: Tensor | None = None,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """NLL ``[S]``, and the gradients of its sum by states and weights, each token ``scale_S`` times."""
    with torch.set_grad_enabled(True):
        states_SD = states_SD.detach().requires_grad_()
        # Not the leaf itself: hooks that a module sets on its inputs (FlopCounterMode) refuse leaves here.
        logits_SV = llm.project(states_SD.view_as(states_SD))
    log_p_SV, label_S1 = logits_SV.detach().log_softmax(-1, dtype=torch.float32), labels_S.unsqueeze(1)
    nll_S = -log_p_SV.gather(1, label_S1).squeeze(1)
    gradient_SV = log_p_SV.exp_()  # softmax, less 1 at the label
    gradient_SV.scatter_(1, label_S1, gradient_SV.gather(1, label_S1) - 1)
    if scale_S is not None:
        gradient_SV.mul_(scale_S.unsqueeze(1))
    with torch.autocast(states_SD.device.type, enabled=False):
        gradients = torch.autograd.grad(logits_SV, (states_SD, *weights), gradient_SV.to(logits_SV.dtype))
    return nll_S, gradients


def _score(llm: LanguageModel, size: int, labels_K: Tensor, states_KD: Tensor) -> Tensor:
    """NLL ``[K]`` alone."""
    return torch.cat(
        [
            functional.cross_entropy(llm.project(states_SD).float(), labels_S, reduction="none")
            for states_SD, labels_S in _slices(size, states_KD.detach(), labels_K)
        ]
    )


def _slices(size: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(torch.split(tensor, size) for tensor in tensors), strict=True)


def _leaves(tensor: Tensor) -> list[Tensor]:
    """The trained parameters that a tensor depends on."""
    found, seen, nodes = [], set(), [tensor.grad_fn]
    while nodes:
        node: Any = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes.extend(following for following, _ in node.next_functions)
            if hasattr(node, "variable"):
                found.append(node.variable)
    return found


def _surroundings(tensor: Tensor, *, random: bool) -> Any:
    """A context manager of today's autocast and, if asked for, random numbers (LoRA on the projection has dropout)."""
    device = tensor.device.type
    autocast = partial(
        torch.autocast,
        device,
        dtype=torch.get_autocast_dtype(device),
        enabled=torch.is_autocast_enabled(device),
        cache_enabled=torch.is_autocast_cache_enabled(),
    )
    if not random:
        return autocast
    state, (devices, device_states) = torch.get_rng_state(), get_device_states(tensor)

    @contextmanager
    def both() -> Iterator[None]:
        with torch.random.fork_rng(devices), autocast():
            torch.set_rng_state(state)
            set_device_states(devices, device_states)
            yield

    return both
