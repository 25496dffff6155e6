from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from aista.errors import RunError
from aista.schema import structure
from aista.selection.layer_measures import transport_measures
from aista.selection.metrics import rank
from aista.selection.pair_transport import PairTransport, TransportConfig, all_pairs, mismatched_pairs
from aista.selection.retrieval_probe import RetrievalProbe
from aista.types import LayerStates


def transport(**options: Any) -> PairTransport:
    return PairTransport(structure(TransportConfig, options))


def clouds(lengths: list[int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, 5, generator=generator, dtype=torch.float64) for length in lengths]


def test_one_text_state_takes_the_mean_cost() -> None:
    """With one token there is one plan, so transport is the mean of the costs: known without any solver."""
    speech, text = clouds([3, 6, 2], 0), clouds([1, 1, 1], 1)
    costs, converged = transport()(speech, text, all_pairs(3))
    expected = [float((1 - torch.cosine_similarity(s, t, dim=1)).mean()) for s in speech for t in text]
    assert costs.tolist() == pytest.approx(expected)
    assert converged.all()


def test_pairs_come_back_in_their_order_whatever_is_solved_together() -> None:
    speech, text = clouds([4, 9, 2, 7], 0), clouds([3, 1, 6, 2], 1)
    whole, _ = transport()(speech, text, all_pairs(4))
    parts, _ = transport(batch_size=3)(speech, text, all_pairs(4))
    torch.testing.assert_close(parts, whole)
    alone = [float(transport()([s], [t], torch.zeros(1, 2, dtype=torch.long))[0]) for s in speech for t in text]
    assert whole.tolist() == pytest.approx(alone)


def test_solver_and_cost_are_the_configured_ones() -> None:
    speech, text = clouds([3], 0), clouds([1], 1)
    pair = torch.zeros(1, 2, dtype=torch.long)
    found, _ = transport(solver="sinkhorn", cost="sqeuclidean")(speech, text, pair)
    assert float(found) == pytest.approx(float((speech[0] - text[0]).square().sum(1).mean()))


def test_mismatched_pairs() -> None:
    pairs = mismatched_pairs(["a", "b", "a", "c"], 2)
    assert all("abac"[i] != "abac"[j] for i, j in pairs.tolist())
    assert torch.equal(pairs, mismatched_pairs(["a", "b", "a", "c"], 2))
    every = mismatched_pairs(range(5), 100)
    assert sorted(map(tuple, every.tolist())) == [(i, j) for i in range(5) for j in range(5) if i != j]


def probed(speech: list[Tensor], text: list[Tensor], **options: Any) -> RetrievalProbe:
    probe = RetrievalProbe((3,), transport=transport(), **options)
    for s, t in zip(speech, text, strict=True):
        probe.add_states([LayerStates(s[None], torch.tensor([len(s)]), t[None], torch.tensor([len(t)]))])
    return probe


def test_retrieval_by_transport_sees_what_pooling_cannot() -> None:
    """Every utterance has the same mean and other states: only transport tells them apart."""
    speech = []
    for turn in range(6):
        angle = torch.tensor(3.14159 / 6 * turn, dtype=torch.float64)
        arm = torch.stack([angle.cos(), angle.sin(), torch.zeros((), dtype=torch.float64)])
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        speech.append(torch.stack([up + arm, up - arm]))
    assert probed(speech, speech).compute().values("recall@1")[3] < 0.5
    assert probed(speech, speech, similarity="ot").compute().values("recall@1")[3] == 1


def test_the_measures_are_means_over_true_and_mismatched_pairs() -> None:
    speech, text = clouds([4, 3, 5, 2], 0), clouds([2, 3, 2, 4], 1)
    costs = transport()(speech, text, all_pairs(4))[0].view(4, 4)
    found = transport_measures(speech, text, range(4), transport(), mismatches=3)
    own, other = float(costs.diagonal().mean()), float(costs[~torch.eye(4, dtype=torch.bool)].mean())
    assert found["ot_cost"].value == pytest.approx(own)
    assert found["ot_other"].value == pytest.approx(other)
    assert found["ot_separation"].value == pytest.approx(1 - own / other)
    assert found["ot_converged"].value == 1


def test_a_collapse_separates_nothing_and_scores_chance() -> None:
    same = [torch.ones(3, 4) for _ in range(5)]
    curve = probed(same, same, similarity="ot").compute()
    assert curve.layers[0].measures["ot_separation"].value == 0
    assert curve.values()[3] == pytest.approx(curve.chance.mrr)


def test_a_set_of_one_transcript_has_no_mismatch() -> None:
    with pytest.raises(ValueError, match="all 2 utterances have the same transcript"):
        transport_measures(clouds([2, 2], 0), clouds([2, 2], 1), ["a", "a"], transport())


def test_similarity_ot_needs_a_transport() -> None:
    with pytest.raises(ValueError, match="'ot' needs a transport"):
        RetrievalProbe((0,), similarity="ot")


def test_costs_that_are_not_finite_name_the_layer() -> None:
    speech = clouds([2, 2, 2], 0)
    speech[1][0, 0] = float("inf")
    with pytest.raises(RunError, match="layer 3: speech states of 1 of 3"):
        probed(speech, clouds([2, 2, 2], 1)).compute()


def test_ranks_by_similarity_break_ties_at_the_given_width() -> None:
    close = torch.tensor([[0.0, 1e-7], [1e-7, 0.0]])
    assert rank(close).scores.both.recall_1 == 0
    assert rank(close, tie=1e-6).scores.both.recall_1 == 0.5
