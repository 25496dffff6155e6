"""Comparisons of tensors for the contracts, with place and size of differences in messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "assert_close",
    "assert_ignores_padding",
    "assert_raises",
    "assert_returned",
    "assert_trainable",
    "content_sum",
    "fill_padding",
    "gradients",
    "ramp",
]


def ramp(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal random numbers from the given seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def fill_padding(values: Tensor, lengths: Tensor, garbage: float) -> Tensor:
    """A copy of ``[B, N, ...]`` with ``garbage`` beyond each row's length."""
    filled = values.clone()
    for row, length in enumerate(lengths.tolist()):
        filled[row, length:] = garbage
    return filled


def content_sum(values: Tensor, lengths: Tensor) -> Tensor:
    """A scalar that depends on every entry within the rows' lengths, and on nothing in the padding."""
    weights = ramp(*values.shape, seed=1, dtype=values.dtype)
    rows = enumerate(lengths.tolist())
    return torch.stack([(weights[row, :length] * values[row, :length]).sum() for row, length in rows]).sum()


def gradients(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a scalar, zeros where it does not depend on an input."""
    if not loss.requires_grad:
        return tuple(torch.zeros_like(tensor) for tensor in inputs)
    grads = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    return tuple(torch.zeros_like(x) if grad is None else grad for x, grad in zip(inputs, grads, strict=True))


def assert_close(actual: Tensor, expected: Tensor, message: str, *, tolerance: float = 1e-4) -> None:
    """Assert equality up to ``tolerance``, absolute and relative to the largest expected entry."""
    assert actual.shape == expected.shape, f"{message}: shapes {list(actual.shape)} and {list(expected.shape)} differ"
    if not actual.numel():
        return
    bound = tolerance * max(1.0, float(expected.detach().abs().max()))
    worst = float((actual - expected).detach().abs().max())
    assert worst <= bound, f"{message}: entries differ by up to {worst:.3g}"


def assert_ignores_padding(
    solve: Callable[[Tensor, Tensor], tuple[Tensor, tuple[Tensor, ...]]],
    sides: Mapping[str, tuple[Tensor, Tensor]],
    *,
    tolerance: float,
) -> None:
    """Assert that neither the content of the padding nor its amount matters, and that it gets no gradient.

    Args:
        solve: Two sides of states -> a value per row, and the gradients to both.
        sides: Name -> states ``[B, N, D]`` and lengths.
        tolerance: Tolerance of values and gradients; ten times that for other amounts of padding.
    """
    value, grads = solve(*(states for states, _ in sides.values()))
    for garbage in (0.0, 7.0, torch.nan):
        dirty = (fill_padding(states, lengths, garbage) for states, lengths in sides.values())
        other, other_grads = solve(*dirty)
        assert_close(other, value, "values depend on the content of the padding", tolerance=tolerance)
        for (name, (_, lengths)), grad, again in zip(sides.items(), grads, other_grads, strict=True):
            for row, length in enumerate(lengths.tolist()):
                assert not again[row, length:].any(), f"the {name} padding of row {row} gets a gradient"
                message = f"the {name} gradient of row {row} depends on the content of the padding"
                assert_close(again[row, :length], grad[row, :length], message, tolerance=tolerance)
    widened = (
        functional.pad(states, (0, 0, 0, 2 + side), value=torch.nan) for side, (states, _) in enumerate(sides.values())
    )
    assert_close(solve(*widened)[0], value, "values depend on the amount of padding", tolerance=10 * tolerance)


def assert_returned(value: object, expected: type[Any], rule: str) -> None:
    """Assert the type of what a component returned; ``rule`` says what it must be. A tuple must be a pair."""
    received = f"Tensor {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        received = f"tuple of {len(value)}"
    fits = isinstance(value, expected) and (expected is not tuple or received == "tuple of 2")
    assert fits, f"must return {rule}, got a {received}"


@contextmanager
def assert_raises(error: type[Exception], message: str) -> Iterator[None]:
    """Assert that the block raises ``error``; ``message`` says what is wrong if it does not."""
    try:
        yield
    except error:
        return
    raise AssertionError(message)


def assert_trainable(module: nn.Module, loss: Tensor) -> None:
    """Assert that ``loss`` sends a finite gradient to every trainable parameter of ``module``."""
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not parameters:
        return
    assert loss.requires_grad, "the output does not depend on the module's trainable parameters"
    grads = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    gradient_of = dict(zip(parameters, grads, strict=True))
    unused = [name for name, grad in gradient_of.items() if grad is None]
    assert not unused, f"trainable parameters get no gradient (data parallelism fails on them): {', '.join(unused[:5])}"
    wrong = [name for name, grad in gradient_of.items() if grad is not None and not torch.isfinite(grad).all()]
    assert not wrong, f"gradients are not finite: {', '.join(wrong[:5])}"
    assert any(grad.abs().max() > 0 for grad in grads if grad is not None), "all gradients are zero"
