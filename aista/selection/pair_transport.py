"""Optimal transport between the states of any two utterances, by a registered solver."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from aista.registry import build
from aista.schema import Component, Options, component, option

__all__ = ["PairTransport", "TransportConfig", "all_pairs", "mismatched_pairs", "sums_by_speech"]


@dataclass(frozen=True, kw_only=True)
class TransportConfig(Options):
    """Options of the transport cost of a pair of utterances."""

    solver: Component = component("ot_solver", "sinkhorn", "How each transport problem is solved.")
    cost: Component = component("cost", "cosine", "Cost of matching a speech state with a text state.")
    batch_size: int = option(256, "Pairs solved together; does not change results.", minimum=1, maximum=1_000_000)


class PairTransport:
    """Transport costs of chosen pairs, one speech and one text utterance each.

    The value is the solver's own objective, the one it would minimise as a loss.

    Args:
        config: Solver and cost.
        position_weight: Weight of the positional term, as the solvers take it.

    Raises:
        ValueError: the solver cannot take the cost or the positional term.
    """

    def __init__(self, config: TransportConfig, position_weight: float = 0.0) -> None:
        self.config = config
        self.position_weight = position_weight
        self._solver: Any = build("ot_solver", config.solver, at="transport.solver")
        self._cost: Any = build("cost", config.cost, at="transport.cost")
        if hasattr(self._solver, "check_geometry"):
            self._solver.check_geometry(self._cost, position_weight)

    @torch.no_grad()
    def __call__(
        self, speech: Sequence[Tensor], text: Sequence[Tensor], pairs_K2: Tensor, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Costs of the pairs.

        Args:
            speech: One ``[P, D]`` tensor per utterance, P at least 1.
            text: One ``[T, D]`` tensor per utterance, T at least 1.
            pairs_K2: ``[K, 2]`` numbers of a speech and a text utterance.
            device: Device to solve on.

        Returns:
            ``[K]`` fp64 costs and ``[K]`` whether the solver met its tolerance, on the CPU.

        Raises:
            ValueError: a cost is not finite.
        """
        lengths_K2 = torch.stack(
            [
                torch.tensor([len(states) for states in side])[pairs_K2[:, column]]
                for column, side in enumerate((speech, text))
            ],
            dim=1,
        )
        # Pairs of like lengths go together, so that little is padded.
        order = (lengths_K2[:, 0] * (int(lengths_K2[:, 1].max()) + 1) + lengths_K2[:, 1]).argsort(stable=True)
        costs = torch.empty(len(pairs_K2), dtype=torch.float64)
        converged = torch.empty(len(pairs_K2), dtype=torch.bool)
        for chunk in torch.split(order, self.config.batch_size):
            padded_speech, padded_text = (
                pad_sequence([side[number].to(device) for number in pairs_K2[chunk, column].tolist()], batch_first=True)
                for column, side in enumerate((speech, text))
            )
            lengths = lengths_K2[chunk].to(device)
            result = self._solve(padded_speech, padded_text, lengths[:, 0], lengths[:, 1])
            costs[chunk] = result.value.double().cpu()
            converged[chunk] = result.converged.cpu()
        if not bool(costs.isfinite().all()):
            raise ValueError(f"{int((~costs.isfinite()).sum())} of {len(costs)} transport costs are not finite")
        return costs, converged

    def values(self, speech: Tensor, text: Tensor, speech_lengths: Tensor, text_lengths: Tensor) -> Tensor:
        """``[B]`` costs of padded pairs; gradients flow where they are on."""
        value: Tensor = self._solve(speech, text, speech_lengths, text_lengths).value
        return value

    def _solve(self, speech: Tensor, text: Tensor, speech_lengths: Tensor, text_lengths: Tensor) -> Any:
        return self._solver(
            speech, text, speech_lengths, text_lengths, cost=self._cost, position_weight=self.position_weight
        )


def all_pairs(size: int) -> Tensor:
    """``[size * size, 2]`` every speech with every text utterance, row by row."""
    return torch.cartesian_prod(torch.arange(size), torch.arange(size))


def mismatched_pairs(groups: Sequence[Hashable], count: int, *, seed: int = 12345) -> Tensor:
    """``[K, 2]`` pairs of utterances with different transcripts: at most ``count`` for each speech utterance.

    Utterance i meets i + s (modulo N) for ``count`` shifts s drawn without replacement, so each text is used as often
    as each speech.
    """
    size = len(groups)
    shifts = torch.randperm(size - 1, generator=torch.Generator().manual_seed(seed))[:count] + 1
    pairs = [(i, (i + shift) % size) for shift in shifts.tolist() for i in range(size)]
    mismatched = [(i, j) for i, j in pairs if groups[i] != groups[j]]
    return torch.tensor(mismatched, dtype=torch.long).reshape(-1, 2)


def sums_by_speech(values_K: Tensor, pairs_K2: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """``[N]`` fp64 sums of values and ``[N]`` numbers of pairs by speech utterance: it is drawn with all its own."""
    sums_N = torch.zeros(size, dtype=torch.float64).index_add_(0, pairs_K2[:, 0], values_K)
    return sums_N, torch.bincount(pairs_K2[:, 0], minlength=size).double()
