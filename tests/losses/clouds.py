"""Padded clouds of states for the tests, and a checker of transport results."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from aista.losses import OTResult
from aista.losses.solvers.base import OTSolver
from aista.types import length_mask


class Clouds(NamedTuple):
    x: Tensor
    y: Tensor
    x_lengths: Tensor
    y_lengths: Tensor

    def leaves(self) -> Clouds:
        return self._replace(x=self.x.clone().requires_grad_(), y=self.y.clone().requires_grad_())

    def sample(self, n: int) -> Clouds:
        """The n-th sample alone, without padding."""
        s, t = int(self.x_lengths[n]), int(self.y_lengths[n])
        return Clouds(
            self.x[n : n + 1, :s], self.y[n : n + 1, :t], self.x_lengths[n : n + 1], self.y_lengths[n : n + 1]
        )


def clouds(
    x_lengths: list[int], y_lengths: list[int], *, dim: int = 8, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Clouds:
    """Speech-like and text-like states that share a mean; NaN and inf in the padding."""
    g = torch.Generator().manual_seed(seed)
    mean = torch.randn(dim, generator=g, dtype=torch.float64)
    sides = []
    for lengths, fill in ((x_lengths, float("nan")), (y_lengths, float("inf"))):
        padded = torch.tensor(lengths)
        states = mean + torch.randn(len(lengths), max(lengths) + 1, dim, generator=g, dtype=torch.float64)
        states[~length_mask(padded, states.shape[1])] = fill
        sides.append(states.to(dtype))
    return Clouds(*sides, torch.tensor(x_lengths), torch.tensor(y_lengths))


def masses(lengths: Tensor, size: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Positive masses on the content, NaN in the padding."""
    g = torch.Generator().manual_seed(seed)
    mass = torch.rand(len(lengths), size, generator=g, dtype=torch.float64) + 0.1
    mass[~length_mask(lengths, size)] = float("nan")
    return mass.to(dtype)


def shares(mass: Tensor, length: int) -> Tensor:
    """The first ``length`` masses of one sample, scaled to sum to 1, fp64."""
    content = mass[:length].double()
    return content / content.sum()


def check_transport(result: OTResult, case: Clouds, cost: Tensor, *, atol: float, balanced: bool = True) -> None:
    """Check plan, marginals, transport cost and report of uniform masses against each other, sample by sample."""
    plan = result.plan()
    assert plan.shape == (len(case.x), case.x.shape[1], case.y.shape[1])
    assert not plan.requires_grad
    for n, (s, t) in enumerate(zip(case.x_lengths.tolist(), case.y_lengths.tolist(), strict=True)):
        inside = plan[n, :s, :t]
        assert bool((inside >= 0).all()), f"sample {n}: negative mass"
        assert bool((plan[n, s:] == 0).all()), f"sample {n}: mass in x's padding"
        assert bool((plan[n, :, t:] == 0).all()), f"sample {n}: mass in y's padding"
        if s and t:
            x_error = (inside.sum(1) - 1 / s).abs().sum()
            y_error = (inside.sum(0) - 1 / t).abs().sum()
            if balanced:
                error = float(torch.maximum(x_error, y_error))
                assert abs(error - float(result.marginal_error[n])) <= atol, f"sample {n}: untruthful marginal_error"
                assert not bool(result.converged[n]) or error <= 1e-3 + atol, f"sample {n}: untruthful converged"
            expected = (inside * cost[n, :s, :t]).sum()
            torch.testing.assert_close(result.transport_cost[n], expected, atol=atol, rtol=1e-4)
        else:
            assert result.value[n] == 0, f"sample {n}: empty but not free"


def check_batch(solver: OTSolver, case: Clouds, **geometry: Any) -> OTResult:
    """Check that a batch gives each sample the bits of the sample alone, gradients included; returns its result."""
    whole = case.leaves()
    result = solver(*whole, **geometry)
    result.value.sum().backward()
    plan = result.plan()
    for n, (s, t) in enumerate(zip(case.x_lengths.tolist(), case.y_lengths.tolist(), strict=True)):
        alone = case.sample(n).leaves()
        single = solver(*alone, **geometry)
        single.value.sum().backward()
        for name in ("value", "transport_cost", "num_iterations", "marginal_error", "converged"):
            assert torch.equal(getattr(result, name)[n : n + 1], getattr(single, name)), f"sample {n}: {name}"
        assert torch.equal(plan[n, :s, :t], single.plan()[0]), f"sample {n}: plan"
        for grad, own, length in ((whole.x.grad, alone.x.grad, s), (whole.y.grad, alone.y.grad, t)):
            assert grad is not None
            assert own is not None
            assert torch.equal(grad[n, :length], own[0]), f"sample {n}: gradient"
            assert bool((grad[n, length:] == 0).all()), f"sample {n}: gradient in the padding"
    return result
