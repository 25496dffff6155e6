from __future__ import annotations

import itertools

import pytest
import torch

from aista.losses.base import AlignmentContext
from aista.losses.guides.monotone import Monotone, MonotoneConfig, occupancies
from tests.losses.layers import X_LENGTHS, Y_LENGTHS, content, layer_states


def _by_enumeration(scores: torch.Tensor, blank: float) -> torch.Tensor:
    """All sequences of tokens and blanks that read the tokens once each, in order."""
    num_positions, num_tokens = scores.shape
    found, total = torch.zeros_like(scores), 0.0
    for path in itertools.product(range(-1, num_tokens), repeat=num_positions):
        runs = [token for token, _ in itertools.groupby(path) if token >= 0]
        if runs != list(range(num_tokens)):
            continue
        logits = [scores[p, t] if t >= 0 else torch.tensor(blank).to(scores) for p, t in enumerate(path)]
        weight = torch.stack(logits).sum().exp()
        total = total + weight
        for p, t in enumerate(path):
            if t >= 0:
                found[p, t] += weight
    return found / total


@pytest.mark.parametrize("blank", [-1.0, 0.5, -1e30])
def test_occupancies_are_those_of_all_paths(blank):
    scores = torch.randn(3, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = ([5, 4, 3], [3, 1, 3])
    found = occupancies(scores, *map(torch.tensor, lengths), blank=blank)
    for row, (p, t) in enumerate(zip(*lengths, strict=True)):
        torch.testing.assert_close(found[row, :p, :t], _by_enumeration(scores[row, :p, :t], blank))
        assert found[row].count_nonzero() == found[row, :p, :t].count_nonzero()


def test_the_scores_are_minus_the_costs_over_the_temperature():
    states = layer_states([4], [3])
    guide = Monotone(MonotoneConfig(temperature=0.5, blank=0.8, position_weight=2.0))
    x, y = content(states, 0)
    place = (torch.arange(4)[:, None] / 4 - torch.arange(3) / 3).abs()
    cost = 1 - torch.cosine_similarity(x[:, None], y[None], dim=-1) + 2 * place
    weights = guide(states, AlignmentContext()).weights_RPT[0, :4, :3]
    torch.testing.assert_close(weights, _by_enumeration(-cost / 0.5, -0.8 / 0.5))


def test_without_a_blank_each_position_speaks():
    weights = Monotone(MonotoneConfig(blank=None))(layer_states([7], [4]), AlignmentContext()).weights_RPT
    torch.testing.assert_close(weights[0, :7].sum(-1), torch.ones(7, dtype=torch.float64))


def test_a_pause_speaks_nothing():
    """Two tokens, and between them a position unlike both."""
    states = layer_states([3], [2])
    speech = torch.eye(6, dtype=torch.float64)[None, [0, 2, 1]]
    text = torch.eye(6, dtype=torch.float64)[None, [0, 1]]
    guide = Monotone(MonotoneConfig(temperature=0.05, blank=0.5, position_weight=0.0))
    weights = guide(states._replace(speech=speech, text=text), AlignmentContext()).weights_RPT[0]
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0], [0, 0], [0, 1]]).double(), atol=1e-3, rtol=0)


def test_a_row_with_fewer_positions_than_tokens_is_unknown():
    weights, known = Monotone(MonotoneConfig())(layer_states(), AlignmentContext())
    fits = [0 < t <= p for p, t in zip(X_LENGTHS, Y_LENGTHS, strict=True)]
    assert known.any(1).tolist() == fits
    assert weights.flatten(1).any(1).tolist() == fits


def test_a_row_is_the_same_in_any_batch_to_the_last_bit():
    states = layer_states()
    together = Monotone(MonotoneConfig())(states, AlignmentContext()).weights_RPT
    for row in (0, 4, 5):
        alone = states._replace(**{name: getattr(states, name)[[row]] for name in states._fields})
        assert torch.equal(Monotone(MonotoneConfig())(alone, AlignmentContext()).weights_RPT[0], together[row])
