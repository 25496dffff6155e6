"""Token-level paths between speech and transcript."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats
from torch import Tensor

from aista.selection.bootstrap import resample
from aista.selection.path_measures import AlignmentPath, ordered_path_similarity
from aista.selection.state_measures import KeptStates

from .test_item_retrieval import TRANSCRIPTS, kept


def clouds(seed: int) -> KeptStates:
    generator = torch.Generator().manual_seed(seed)
    states = KeptStates()
    for positions, tokens in ((7, 3), (5, 5), (9, 4), (3, 1)):
        states.speech.append(torch.randn(positions, 6, generator=generator))
        states.text.append(torch.randn(tokens, 6, generator=generator))
    states.groups += list("abcd")
    return states


def test_cosine_distance_and_order_are_their_definitions() -> None:
    states = clouds(0)
    found = AlignmentPath()(states, None)
    cosines, distances, orders = [], [], []
    for x, y in zip(states.speech, states.text, strict=True):
        similarity = torch.nn.functional.cosine_similarity(y[:, None], x[None], dim=2)
        cosines.append(float(similarity.amax(1).mean()))
        distances.append(float((y[:, None] - x[None]).norm(dim=2).amin(1).mean()))
        if len(y) > 1:
            orders.append(float(stats.spearmanr(range(len(y)), similarity.argmax(1).tolist()).statistic))
    assert found["path_cosine"].value == pytest.approx(sum(cosines) / 4, abs=1e-5)
    assert found["path_distance"].value == pytest.approx(sum(distances) / 4, abs=1e-5)
    assert found["path_order"].value == pytest.approx(sum(orders) / 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_ordered_path_is_the_best_of_all(seed: int) -> None:
    similarity: Tensor = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    paths = itertools.combinations_with_replacement(range(5), 3)
    best = max(sum(float(similarity[t, p]) for t, p in enumerate(path)) / 3 for path in paths)
    assert ordered_path_similarity(similarity) == pytest.approx(best)


def test_spoken_transcripts_are_in_order_and_unlike_others() -> None:
    found = AlignmentPath()(kept(TRANSCRIPTS), None)
    assert found["path_cosine"].value == pytest.approx(1)
    assert found["path_order"].value == pytest.approx(1)
    assert found["path_contrast"].value > 0.5
    backwards = kept(TRANSCRIPTS)
    backwards.speech[:] = [x.flip(0) for x in backwards.speech]
    turned = AlignmentPath()(backwards, None)
    assert turned["path_order"].value == pytest.approx(-1)
    assert turned["path_cosine"].value == pytest.approx(1)
    assert turned["path_contrast"].value < found["path_contrast"].value


def test_a_narrow_cone_has_a_high_cosine_and_no_contrast() -> None:
    states = clouds(1)
    for side in (states.speech, states.text):
        side[:] = [1e-4 * part + 1 for part in side]
    found = AlignmentPath()(states, None)
    assert found["path_cosine"].value == pytest.approx(1, abs=1e-4)
    assert found["path_contrast"].value == pytest.approx(0, abs=1e-4)


def test_it_needs_two_transcripts_and_finite_states() -> None:
    same = clouds(0)
    same.groups[:] = ["a"] * 4
    with pytest.raises(ValueError, match="same transcript"):
        AlignmentPath()(same, None)
    broken = clouds(0)
    broken.text[1][0, 0] = torch.inf
    with pytest.raises(ValueError, match="not finite"):
        AlignmentPath()(broken, None)


def test_intervals_hold_the_value_and_transcripts_of_one_token_have_no_order() -> None:
    found = AlignmentPath()(clouds(2), resample(4, 100))
    for estimate in found.values():
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= estimate.value <= estimate.high
    short = clouds(0)
    short.text[:] = [y[:1] for y in short.text]
    assert "path_order" not in AlignmentPath()(short, None)
