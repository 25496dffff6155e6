import itertools

import pytest
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss
from torch.testing import assert_close

from aista import registry
from aista.errors import DataError
from aista.modules.adapters.ctc_compress import CtcCompressAdapter, CtcCompressConfig
from aista.schema import Component
from tests.modules.checks import padded

V = 3  # tokens 0..2; the blank is 3


def build(**options: object) -> CtcCompressAdapter:
    """The head reads its labels off the first four channels of the states."""
    torch.manual_seed(0)
    adapter = CtcCompressAdapter(CtcCompressConfig(**options), input_dim=6, output_dim=4, vocab_size=V).eval()
    with torch.no_grad():
        adapter.head.weight.copy_(torch.eye(4, 6))
        adapter.head.bias.zero_()
    return adapter


def speak(*rows: list[int]) -> tuple[Tensor, Tensor]:
    """States whose CTC labels are the given ones."""
    states, lengths = padded([len(row) for row in rows], 6)
    for index, row in enumerate(rows):
        states[index, : len(row), :4] = torch.eye(4)[row] * (2 + states[index, : len(row), 5:].abs())
    return states, lengths


ROWS = [0, 0, 3, 3, 3, 1, 1, 2, 1], [3, 3, 2, 2, 3, 2], [1], [3, 3, 3]


@pytest.mark.parametrize("drop_blanks", [False, True])
@pytest.mark.parametrize("merge", ["average", "weighted", "softmax"])
def test_equals_a_naive_loop_over_runs_of_labels(merge, drop_blanks):
    adapter = build(merge=merge, drop_blanks=drop_blanks, output_norm=False)
    states, lengths = speak(*ROWS)
    out, out_lengths = adapter(states, lengths)
    for row, labels in enumerate(ROWS):
        runs = [list(run) for _, run in itertools.groupby(range(len(labels)), key=labels.__getitem__)]
        if drop_blanks and set(labels) != {V}:
            runs = [run for run in runs if labels[run[0]] != V]
        expected = []
        for run in runs:
            confidence = adapter.head(states[row, run]).softmax(-1)[:, labels[run[0]]]
            weights = {"average": torch.ones(len(run)), "weighted": confidence, "softmax": confidence.exp()}[merge]
            expected.append(adapter.projection((weights[:, None] * states[row, run]).sum(0) / weights.sum()))
        assert int(out_lengths[row]) == len(expected)
        assert_close(out[row, : len(expected)], torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_lengths_follow_the_content_below_the_bound():
    adapter = build()
    assert adapter(*speak(*ROWS))[1].tolist() == [5, 4, 1, 1]
    assert build(drop_blanks=True)(*speak(*ROWS))[1].tolist() == [4, 2, 1, 1]
    alternating = speak([0, 1] * 10)
    assert adapter(*alternating)[1].tolist() == adapter.output_lengths(alternating[1]).tolist() == [20]


def test_the_loss_is_ctc_per_token():
    adapter = build(ctc_weight=0.3)
    states, lengths = speak(*ROWS)
    source, source_lengths = torch.tensor([[0, 1, 2], [2, 2, 9], [1, 0, 9], [9, 9, 9]]), torch.tensor([3, 2, 2, 0])
    terms = {term.name: term for term in adapter.adapt(states, lengths, source, source_lengths).terms}
    ctc = terms["ctc"]
    assert ctc.weight == 0.3
    assert ctc.applies.tolist() == [True, True, False, False]  # row 2 has one frame for two tokens
    for row, tokens in enumerate(([0, 1, 2], [2, 2])):
        log_probs = adapter.head(states[row, : lengths[row]]).log_softmax(-1)
        expected = ctc_loss(log_probs, torch.tensor(tokens), [len(log_probs)], [len(tokens)], V, reduction="sum")
        assert_close(ctc.value[row], expected / len(tokens), rtol=1e-4, atol=1e-5)
    assert ctc.value[2:].tolist() == [0, 0]
    assert terms["too_few_frames"].value.tolist() == [0, 0, 1, 0]
    assert terms["too_few_frames"].applies.tolist() == [True, True, True, False]
    assert_close(terms["positions_per_frame"].value, torch.tensor([5 / 9, 4 / 6, 1, 1 / 3]))
    assert terms["too_few_frames"].weight == terms["positions_per_frame"].weight == 0


def test_the_head_learns_to_compress():
    """Trained by its loss alone, it gives a position per token and per pause."""
    torch.manual_seed(0)
    adapter = CtcCompressAdapter(CtcCompressConfig(), input_dim=6, output_dim=4, vocab_size=V)
    states, lengths = speak(ROWS[0], ROWS[1])
    source, source_lengths = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0]]), torch.tensor([4, 2])
    optimizer = torch.optim.Adam(adapter.parameters(), 0.1)
    for _ in range(60):
        loss = adapter.adapt(states, lengths, source, source_lengths).terms[0].value.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5
    assert (adapter(states, lengths)[1] <= torch.tensor([6, 5])).all()


def test_ids_of_another_tokenizer_are_refused():
    with pytest.raises(DataError, match=r"transcript ids must be in 0\.\.2, got 7"):
        build().adapt(*speak([0, 1]), torch.tensor([[7]]), torch.tensor([1]))


def test_only_adapters_that_ask_get_the_vocabulary():
    adapter = registry.build("adapter", Component("ctc_compress"), input_dim=6, output_dim=4, vocab_size=11)
    assert adapter.head.out_features == 12
    registry.build("adapter", Component("linear"), input_dim=6, output_dim=4, vocab_size=11)
