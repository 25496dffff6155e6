from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from aista.errors import RunError
from aista.selection.curve import ProbeCurve
from aista.selection.metrics import rank
from aista.selection.retrieval_probe import RetrievalProbe, diagnose
from aista.selection.similarity import cosine_matrix
from aista.types import LayerStates, LsmOutput


def output(speech: list[torch.Tensor], text: list[torch.Tensor], text_lengths: list[int]) -> LsmOutput:
    rows, positions = speech[0].shape[:2]
    zeros = torch.zeros(rows)
    lengths = torch.full((rows,), positions)
    return LsmOutput(zeros, zeros, tuple(speech), lengths, tuple(text), torch.tensor(text_lengths), zeros)


def random_output(rows: int, seed: int, text_lengths: list[int] | None = None, layers: int = 2) -> LsmOutput:
    generator = torch.Generator().manual_seed(seed)
    speech = [torch.randn(rows, 5, 4, generator=generator) for _ in range(layers)]
    text = [torch.randn(rows, 3, 4, generator=generator) for _ in range(layers)]
    return output(speech, text, text_lengths or [3] * rows)


def _cut(field: Any, rows: slice) -> Any:
    """Some rows of a field of LsmOutput: a tensor, tensors per layer, or nothing."""
    if isinstance(field, tuple):
        return tuple(_cut(part, rows) for part in field)
    return None if field is None else field[rows]


def test_batches_add_up_to_the_whole() -> None:
    whole, parts = RetrievalProbe((0, 3)), RetrievalProbe((0, 3))
    data = random_output(10, 0)
    whole.add(data)
    for rows in (slice(0, 4), slice(4, 5), slice(5, 10)):
        parts.add(LsmOutput(*[_cut(field, rows) for field in data]))
    assert parts.compute() == whole.compute()
    expected = rank(cosine_matrix(data.speech[1].mean(dim=1), data.text[1].mean(dim=1))).scores
    assert whole.compute().values("mrr")[3] == pytest.approx(expected.both.mrr)


def test_rows_without_transcript_are_skipped_and_counted() -> None:
    with_gaps, without = RetrievalProbe((0, 1)), RetrievalProbe((0, 1))
    data = random_output(6, 1, [3, 0, 2, 3, 0, 1])
    with_gaps.add(data, ["a", "", "b", "c", "", "d"])
    keep = torch.tensor([0, 2, 3, 5])
    states = [
        LayerStates(data.speech[i][keep], data.speech_lengths[keep], data.text[i][keep], data.text_lengths[keep])
        for i in range(2)
    ]
    without.add_states(states, ["a", "b", "c", "d"])
    curve = with_gaps.compute()
    assert (curve.num_utterances, curve.num_skipped, curve.num_transcripts) == (4, 2, 4)
    assert curve.layers == without.compute().layers


def test_a_batch_without_any_transcript_adds_nothing() -> None:
    probe = RetrievalProbe((0, 1))
    probe.add(random_output(3, 0, [0, 0, 0]))
    assert (probe.num_utterances, probe.num_skipped) == (0, 3)


def test_same_transcripts_are_recognised_over_batches() -> None:
    probe = RetrievalProbe((0,))
    states = torch.eye(2)[:, None].expand(-1, 1, -1)
    for _ in range(2):
        probe.add(output([states], [states], [1, 1]), ["one", "two"])
    curve = probe.compute()
    assert (curve.num_utterances, curve.num_transcripts) == (4, 2)
    assert curve.values("recall@1") == {0: 1.0}
    assert curve.chance.recall_1 == pytest.approx(1 / 3)


def test_states_are_kept_without_gradient_and_on_the_cpu() -> None:
    probe = RetrievalProbe((0,))
    speech = torch.randn(3, 2, 4, requires_grad=True)
    probe.add(output([speech * 2], [speech], [2, 2, 2]))
    assert not probe._speech[0][0].requires_grad


def test_json_round_trip() -> None:
    probe = RetrievalProbe((0, 2), pooling="last")
    probe.add(random_output(5, 3))
    curve = probe.compute()
    assert ProbeCurve.from_json(json.loads(json.dumps(curve.to_json()))) == curve
    assert curve.numbers == (0, 2)
    assert curve.pooling == "last"


@pytest.mark.parametrize("data", [{}, [], {"layers": []}, {"layers": [{"layer": 0}]}, None])
def test_malformed_json_names_the_file(data: object) -> None:
    with pytest.raises(RunError, match=r"runs/x/probe.json: not a probe curve .* probe again"):
        ProbeCurve.from_json(data, source="runs/x/probe.json")


def test_json_without_layers() -> None:
    data = {"layers": [], "num_utterances": 2, "num_skipped": 0, "num_transcripts": 2, "pooling": "mean"}
    with pytest.raises(RunError, match="holds no layer"):
        ProbeCurve.from_json(data)


def test_too_few_utterances() -> None:
    probe = RetrievalProbe((0, 1))
    probe.add(random_output(4, 0, [3, 0, 0, 0]))
    with pytest.raises(RunError, match=r"at least 2 utterances with a transcript, got 1 \(3 skipped"):
        probe.compute()


def test_nan_states_name_the_layer() -> None:
    probe = RetrievalProbe((0, 7))
    data = random_output(4, 0)
    data.speech[1][2, 0, 0] = float("nan")
    probe.add(data)
    with pytest.raises(RunError, match="layer 7: speech states of 1 of 4"):
        probe.compute()


def test_misuse() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        RetrievalProbe(())
    with pytest.raises(ValueError, match="unknown pooling 'sum'"):
        RetrievalProbe((0,), pooling="sum")
    with pytest.raises(ValueError, match=r"layers \(0,\), got 2 layers"):
        RetrievalProbe((0,)).add(random_output(3, 0))
    with pytest.raises(ValueError, match="3 transcripts, one per row, got 1"):
        RetrievalProbe((0, 1)).add(random_output(3, 0), ["a"])


class TestDiagnose:
    def test_collapse_is_unmasked(self) -> None:
        seen = diagnose(torch.ones(6, 4), torch.ones(6, 4))
        assert (seen.speech_variance, seen.speech_spread, seen.text_spread) == (0, 0, 0)
        assert seen.pair_cosine == pytest.approx(1)
        assert seen.other_cosine == pytest.approx(1)

    def test_distinct_states(self) -> None:
        speech, text = 3 * torch.eye(4), -2 * torch.eye(4)
        seen = diagnose(speech, text)
        assert (seen.speech_norm, seen.text_norm) == pytest.approx((3, 2))
        assert seen.speech_variance == pytest.approx(9 * 3 / 4)
        assert seen.text_spread == pytest.approx(3 / 4)
        assert (seen.pair_cosine, seen.other_cosine) == pytest.approx((-1, 0))

    def test_naive_means_of_cosines(self) -> None:
        generator = torch.Generator().manual_seed(0)
        speech, text = torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)
        cosine = torch.cosine_similarity(speech.double()[:, None], text.double()[None], dim=2)
        seen = diagnose(speech, text)
        assert seen.pair_cosine == pytest.approx(float(cosine.diagonal().mean()))
        assert seen.other_cosine == pytest.approx(float(cosine[~torch.eye(5, dtype=torch.bool)].mean()))
