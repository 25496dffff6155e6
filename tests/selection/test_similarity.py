from __future__ import annotations

import pytest
import torch

from aista.selection.metrics import rank
from aista.selection.similarity import cosine_matrix, csls_matrix


def states(seed: int, rows: int = 7) -> torch.Tensor:
    return torch.randn(rows, 4, generator=torch.Generator().manual_seed(seed))


def test_csls_agrees_with_its_definition() -> None:
    cosine = cosine_matrix(states(0), states(1))
    found = csls_matrix(cosine, 3)
    for i in range(7):
        for j in range(7):
            of_speech = sum(sorted(cosine[i].tolist(), reverse=True)[:3]) / 3
            of_text = sum(sorted(cosine[:, j].tolist(), reverse=True)[:3]) / 3
            assert float(found[i, j]) == pytest.approx(2 * float(cosine[i, j]) - of_speech - of_text)


def test_a_hub_loses_its_first_place() -> None:
    # Text 2 is near every speech state: a hub, and the wrong answer to queries 0 and 1.
    cosine = torch.tensor([[0.50, 0.10, 0.55], [0.10, 0.50, 0.55], [0.10, 0.10, 0.80]])
    assert rank(cosine).scores.speech_to_text.recall_1 == pytest.approx(1 / 3)
    assert rank(csls_matrix(cosine, 2)).scores.speech_to_text.recall_1 == 1


def test_fewer_candidates_than_neighbours_are_all_taken() -> None:
    cosine = cosine_matrix(states(0), states(1))
    torch.testing.assert_close(csls_matrix(cosine, 100), csls_matrix(cosine, 7))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        csls_matrix(cosine, 0)


def test_cosine_of_zero_states_is_zero() -> None:
    assert cosine_matrix(torch.zeros(3, 4), states(0, 3)).abs().max() == 0
