"""CKA, mean cosine and effective rank against loops over the definition, in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aista.selection.geometry import effective_rank, linear_cka, mean_cosine, resolvent_rank


def states(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_hsic(x: Tensor, y: Tensor, counts: list[int]) -> float:
    """The expectation over four different utterances, by loops; kernels of the raw states."""
    k, m = (x @ x.T).tolist(), (y @ y.T).tolist()
    total = weight = 0.0
    for i, j, q, r in itertools.permutations(range(len(x)), 4):
        w = math.prod(counts[index] for index in (i, j, q, r))
        total += w * (k[i][j] * m[i][j] + k[i][j] * m[q][r] - 2 * k[i][j] * m[i][q])
        weight += w
    return total / weight


@pytest.mark.parametrize("counts", [[1] * 6, [2, 0, 1, 1, 0, 2], [3, 1, 1, 1, 0, 0]])
def test_debiased_cka_is_the_ratio_of_u_statistics(counts: list[int]) -> None:
    x, y = states(6, 3, 0) + 5, states(6, 2, 1)
    y = y + x[:, :2]
    expected = naive_hsic(x, y, counts) / math.sqrt(naive_hsic(x, x, counts) * naive_hsic(y, y, counts))
    found = linear_cka(x, y, torch.tensor([counts], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64))


def test_unit_counts_are_no_resampling() -> None:
    x, y = states(9, 4, 0), states(9, 5, 1)
    ones = torch.ones(2, 9, dtype=torch.float64)
    torch.testing.assert_close(linear_cka(x, y, ones), linear_cka(x, y).expand(2))
    torch.testing.assert_close(mean_cosine(x, ones), mean_cosine(x).expand(2))


def test_rotation_scale_and_shift_change_nothing() -> None:
    x, y = states(20, 6, 4), states(20, 6, 5)
    y = y + x
    rotation = torch.linalg.qr(states(6, 6, 6)).Q
    moved = 300 * y @ rotation + 7
    torch.testing.assert_close(linear_cka(x, moved), linear_cka(x, y))
    assert float(linear_cka(x, 2 * x @ rotation)) == pytest.approx(1)


def test_unrelated_wide_states_have_a_cka_of_about_0() -> None:
    x, y = states(40, 2000, 7), states(40, 2000, 8)
    assert abs(float(linear_cka(x, y))) < 0.1


def test_states_that_do_not_vary_have_no_cka() -> None:
    x = states(8, 3, 0)
    flat = torch.ones(8, 3) + 1e-8 * states(8, 3, 1).float()
    assert float(linear_cka(x, flat)) == 0
    assert float(linear_cka(flat, flat)) == 0


def test_cka_misuse() -> None:
    with pytest.raises(ValueError, match="at least 4 pairs, got 3 and 3"):
        linear_cka(states(3, 2, 0), states(3, 2, 1))
    with pytest.raises(ValueError, match="got 5 and 4"):
        linear_cka(states(5, 2, 0), states(4, 2, 1))


def test_resamples_without_four_utterances_are_undefined() -> None:
    x, y = states(5, 2, 0), states(5, 2, 1)
    counts = torch.tensor([[3.0, 1, 1, 0, 0], [2, 1, 1, 1, 0]], dtype=torch.float64)
    assert linear_cka(x, y, counts).isnan().tolist() == [True, False]
    assert mean_cosine(x, torch.tensor([[5.0, 0, 0, 0, 0]], dtype=torch.float64)).isnan().all()


def test_mean_cosine_is_that_of_different_utterances() -> None:
    x, counts = states(5, 3, 0), [2, 0, 1, 1, 1]
    pairs = [(i, j) for i, j in itertools.permutations(range(5), 2)]
    weights = [counts[i] * counts[j] for i, j in pairs]
    cosines = [float(torch.cosine_similarity(x[i], x[j], dim=0)) for i, j in pairs]
    expected = sum(w * c for w, c in zip(weights, cosines, strict=True)) / sum(weights)
    assert float(mean_cosine(x, torch.tensor([counts], dtype=torch.float64))) == pytest.approx(expected)
    assert float(mean_cosine(torch.ones(4, 3))) == pytest.approx(1)


class TestEffectiveRank:
    def test_is_the_exponential_of_the_singular_values_entropy(self) -> None:
        for shape in ((12, 5), (5, 12)):
            x = states(*shape, 0) + 3
            values = torch.linalg.svdvals(x - x.mean(0))
            share = values / values.sum()
            expected = (-(share * share.clamp_min(1e-300).log()).sum()).exp()
            torch.testing.assert_close(effective_rank(x), expected, rtol=1e-5, atol=0)

    def test_known_ranks(self) -> None:
        line = torch.arange(6.0)[:, None] * torch.tensor([1.0, 2.0, 3.0])
        assert float(effective_rank(line)) == pytest.approx(1, abs=1e-3)
        square = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
        assert float(effective_rank(square)) == pytest.approx(2)

    def test_collapsed_states_have_none(self) -> None:
        noise = 1e-7 * states(8, 6, 1).float()
        assert float(effective_rank(torch.ones(8, 6) + noise)) == 0
        assert float(effective_rank(torch.zeros(8, 6))) == 0

    def test_leading_dimensions_are_a_batch(self) -> None:
        x = states(12, 4, 2).view(3, 4, 4)
        torch.testing.assert_close(effective_rank(x), torch.stack([effective_rank(item) for item in x]))


@pytest.mark.parametrize("decay", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (3, 2, 8, 8)])
def test_the_rank_by_resolvents_is_the_one_by_eigenvalues(shape: tuple[int, ...], decay: float) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * (-decay * torch.arange(shape[-1])).exp() + 3
    torch.testing.assert_close(resolvent_rank(x), effective_rank(x), rtol=5e-3, atol=0)
    noise = 1e-7 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    assert not resolvent_rank(torch.ones(shape) + noise).any()
    assert not resolvent_rank(torch.zeros(shape)).any()


@pytest.mark.parametrize("effective_rank", [effective_rank, resolvent_rank])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_rank_of_states_that_are_not_finite_is_nan_and_the_others_keep_theirs(
    bad: float, effective_rank: Callable[[Tensor], Tensor]
) -> None:
    x = torch.stack([states(6, 3, seed) for seed in range(3)])
    expected = effective_rank(x)
    x[1, 2, 0] = bad
    found = effective_rank(x)
    assert found[1].isnan()
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


def test_eigenvalues_that_do_not_converge_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(_: Tensor) -> Tensor:
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(torch.linalg, "eigvalsh", diverge)
    assert effective_rank(states(6, 3, 0)).isnan()
