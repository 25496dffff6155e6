"""Forced alignment by CTC's best path: against all paths, against torchaudio, and on padded batches."""

import itertools
import warnings

import pytest
import torch
from torch.testing import assert_close

from aista.modules.ctc_alignment import align_tokens

V = 3  # tokens 0..2; the blank is 3


def collapse(path):
    return tuple(token for token, _ in itertools.groupby(path) if token != V)


def best_score(log_probs, tokens):
    """Of all paths that spell the tokens; None where there is none."""
    scores = [
        float(sum(log_probs[frame, token] for frame, token in enumerate(path)))
        for path in itertools.product(range(V + 1), repeat=len(log_probs))
        if collapse(path) == tuple(tokens)
    ]
    return max(scores, default=None)


def align_one(log_probs, tokens):
    ids = torch.tensor([tokens], dtype=torch.int64)
    return align_tokens(log_probs[None], torch.tensor([len(log_probs)]), ids, torch.tensor([len(tokens)]))


def path_of(spans, num_frames, tokens):
    path = [V] * num_frames
    for token, first, end in zip(tokens, spans.first[0].tolist(), spans.end[0].tolist(), strict=True):
        path[first:end] = [token] * (end - first)
    return path


@pytest.mark.parametrize("tokens", [[], [0], [0, 1], [1, 1], [2, 2, 0], [0, 1, 0], [1, 1, 1], [2, 1, 0, 2]])
@pytest.mark.parametrize("num_frames", [1, 2, 4, 5])
def test_the_path_is_the_best_of_all_that_spell_the_transcript(tokens, num_frames):
    for seed in range(3):
        torch.manual_seed(seed)
        log_probs = (3 * torch.randn(num_frames, V + 1)).log_softmax(-1)
        spans, expected = align_one(log_probs, tokens), best_score(log_probs, tokens)
        if expected is None:
            assert spans.score.item() == float("-inf")
            assert not any(values.any() for values in spans[:3])
            continue
        assert spans.score.item() == pytest.approx(expected, abs=1e-5)
        path = path_of(spans, num_frames, tokens)
        assert collapse(path) == tuple(tokens)
        assert sum(log_probs[frame, token] for frame, token in enumerate(path)).item() == pytest.approx(
            expected, abs=1e-5
        )
        for place, (first, end) in enumerate(zip(spans.first[0].tolist(), spans.end[0].tolist(), strict=True)):
            mean = log_probs[first:end, tokens[place]].exp().mean()
            assert_close(spans.posterior[0, place], mean)


def test_agrees_with_torchaudio():
    functional = pytest.importorskip("torchaudio.functional")
    if not hasattr(functional, "forced_align"):
        pytest.skip("this torchaudio has no forced_align")
    torch.manual_seed(0)
    for num_frames, num_tokens in ((7, 3), (40, 12), (200, 60)):
        log_probs = (2 * torch.randn(num_frames, 8)).log_softmax(-1)
        tokens = torch.randint(0, 7, (1, num_tokens))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated
            path, scores = functional.forced_align(log_probs[None], tokens, blank=7)
            merged = functional.merge_tokens(path[0], scores[0].exp(), blank=7)
        spans = align_one(log_probs, tokens[0].tolist())
        assert spans.score.item() == pytest.approx(scores.sum().item(), abs=1e-3)
        assert spans.first[0].tolist() == [span.start for span in merged]
        assert spans.end[0].tolist() == [span.end for span in merged]
        assert_close(spans.posterior[0], torch.tensor([span.score for span in merged]))


def test_a_row_depends_neither_on_other_rows_nor_on_padding():
    torch.manual_seed(1)
    sizes = [(30, 9), (12, 4), (1, 1), (5, 0), (3, 6)]
    rows = [(torch.randn(frames, 8).log_softmax(-1), torch.randint(0, 7, (tokens,))) for frames, tokens in sizes]
    log_probs = torch.full((len(rows), 33, 8), float("nan"))
    ids = torch.full((len(rows), 11), -7)
    for index, (probabilities, tokens) in enumerate(rows):
        log_probs[index, : len(probabilities)], ids[index, : len(tokens)] = probabilities, tokens
    lengths = torch.tensor(sizes)
    batch = align_tokens(log_probs, lengths[:, 0], ids, lengths[:, 1])
    for index, (probabilities, tokens) in enumerate(rows):
        alone = align_one(probabilities, tokens.tolist())
        assert batch.score[index] == alone.score[0]
        for together, single in zip(batch[:3], alone[:3], strict=True):
            assert torch.equal(together[index, : len(tokens)], single[0])
            assert not together[index, len(tokens) :].any()
    assert batch.score[4] == float("-inf")  # three frames spell no six tokens


def test_equal_paths_give_one_result():
    spans = align_one(torch.full((4, V + 1), 0.25).log(), [0, 1])
    assert (spans.first[0].tolist(), spans.end[0].tolist()) == ([0, 1], [1, 2])
