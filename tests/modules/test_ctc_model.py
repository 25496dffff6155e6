import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from aista.errors import DataError
from aista.modules.ctc_model import CtcModel, min_frames
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.freezing import freeze
from aista.types import length_mask
from tests.modules.checks import padded

V = 3  # tokens 0..2; the blank is 3


class Halving(SpeechEncoder):
    """Every other frame through a linear layer; NaN beyond each row's length, as an encoder may leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.output_dim = 5
        self.linear = nn.Linear(4, 5)
        self.dropout = nn.Dropout(0.5)

    @property
    def layers(self) -> nn.ModuleList:
        return nn.ModuleList()

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        states = self.dropout(self.linear(audio[:, ::2]))
        lengths = self.output_lengths(lengths)
        return states.masked_fill(~length_mask(lengths, states.size(1))[..., None], float("nan")), lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return (lengths + 1) // 2


def build() -> CtcModel:
    torch.manual_seed(0)
    return CtcModel(Halving(), V).eval()


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != V)


def brute_force(logits: Tensor, tokens: list[int]) -> float:
    """Sum over all paths that spell ``tokens``."""
    log_probs = logits.log_softmax(-1)
    scores = [
        sum(log_probs[frame, token] for frame, token in enumerate(path))
        for path in itertools.product(range(V + 1), repeat=len(log_probs))
        if collapse(path) == tuple(tokens)
    ]
    return -float(torch.logsumexp(torch.stack(scores), 0)) if scores else math.inf


def batch(rows: list[list[int]], pad: int = 0) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    return torch.tensor([row + [pad] * (width - len(row)) for row in rows]), torch.tensor([len(row) for row in rows])


def test_nll_equals_the_sum_over_all_paths():
    model = build()
    x, lengths = padded([10, 7, 9, 6], 4)
    rows = [[0, 1], [2], [1, 1], [2, 0, 1]]
    out = model(x, lengths, *batch(rows))
    assert out.lengths.tolist() == [5, 4, 5, 3]
    assert out.logits.shape == (4, 5, V + 1)
    assert out.num_targets.tolist() == [2, 1, 2, 3]
    assert int(out.num_infeasible) == 0
    expected = [brute_force(out.logits[row, : int(out.lengths[row])].detach(), rows[row]) for row in range(4)]
    assert_close(out.nll, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_infeasible_rows_are_counted_and_give_no_loss():
    model = build()
    x, lengths = padded([6, 6, 6, 6], 4)
    rows = [[0, 1, 2], [0, 0, 1], [0, 1, 2, 0], []]  # 3 frames: fits; a repeat too many; a token too many; none
    out = model(x, lengths, *batch(rows))
    assert int(out.num_infeasible) == 2
    assert out.num_targets.tolist() == [3, 0, 0, 0]
    assert out.nll[0] > 0
    assert out.nll[1:].tolist() == [0, 0, 0]
    out.nll.sum().backward()
    gradient = model.head.weight.grad.clone()
    model.zero_grad()
    model(x[:1], lengths[:1], *batch(rows[:1])).nll.sum().backward()
    assert_close(gradient, model.head.weight.grad)


@given(st.lists(st.integers(0, V - 1), max_size=4), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_feasible_means_that_some_path_spells_it(tokens, frames):
    needed = min_frames(*batch([tokens])) if tokens else torch.tensor([0])
    assert (int(needed) <= frames) == math.isfinite(brute_force(torch.zeros(frames, V + 1), tokens))


def test_min_frames_ignores_the_padding():
    source, lengths = batch([[1, 1, 1], [1], [0, 0]], pad=0)
    assert min_frames(source, lengths).tolist() == [5, 1, 3]


def test_batch_of_text_less_rows():
    out = build()(*padded([6, 3], 4), torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, dtype=torch.long))
    assert out.nll.tolist() == [0, 0]
    assert int(out.num_infeasible) == 0
    out.nll.sum().backward()  # every parameter stays in the graph, as DDP needs it


def test_rows_and_padding_never_matter():
    model = build()
    x, lengths = padded([10, 7, 4], 4)
    rows = [[0, 1], [2, 2], [1]]
    dirty = x.clone()
    for row, length in enumerate(lengths.tolist()):
        dirty[row, length:] = float("nan")
    dirty.requires_grad_()
    together = model(dirty, lengths, *batch(rows, pad=-100))
    for row, length in enumerate(lengths.tolist()):
        alone = model(x[row : row + 1, :length], lengths[row : row + 1], *batch(rows[row : row + 1]))
        assert_close(together.nll[row], alone.nll[0])
    together.nll.sum().backward()
    for parameter in model.parameters():
        assert parameter.grad.isfinite().all()
    for row, length in enumerate(lengths.tolist()):
        assert (dirty.grad[row, length:] == 0).all()


@pytest.mark.parametrize(("token", "shown"), [(V, "got 3"), (-1, "got -1")])
def test_ids_beyond_the_vocabulary(token, shown):
    with pytest.raises(DataError, match=rf"transcript ids must be in 0..2, {shown}.*another tokenizer"):
        build()(*padded([6], 4), *batch([[0, token]]))


def test_greedy_merges_repeats_and_drops_blanks():
    model = build()
    paths = [[0, 0, 3, 0, 1], [3, 3, 2, 2, 3], [3, 3, 3]]
    model.encoder.linear.weight.data.zero_()[:4].copy_(torch.eye(4))
    model.encoder.linear.bias.data.zero_()
    model.head.weight.data.zero_()[:, :4].copy_(torch.eye(4))
    model.head.bias.data.zero_()
    x = torch.zeros(3, 10, 4)
    for row, path in enumerate(paths):
        for frame, token in enumerate(path):
            x[row, 2 * frame, token] = 1.0
    model.train()
    assert model.greedy(x, torch.tensor([10, 10, 6])) == [[0, 0, 1], [2], []]
    assert model.training
    assert model.encoder.dropout.training
    model.eval()
    model.greedy(x, torch.tensor([10, 10, 6]))
    assert not model.training


def test_greedy_row_does_not_depend_on_the_others():
    model = build()
    x, lengths = padded([12, 7, 3], 4)
    together = model.greedy(x, lengths)
    assert together == [
        model.greedy(x[row : row + 1, :n], lengths[row : row + 1])[0] for row, n in enumerate([12, 7, 3])
    ]


def test_frozen_encoder_stays_in_eval_mode():
    model = build()
    freeze(model, ["encoder"])
    assert not model.train().encoder.dropout.training
    model.greedy(*padded([4], 4))
    assert not model.encoder.dropout.training
    assert model.training


def test_learns_to_spell():
    model = build().train()
    x, lengths = padded([12, 9, 12], 4)
    rows = [[0, 1, 1], [2], [1, 0]]
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    model.encoder.dropout.p = 0.0
    for _ in range(80):
        optimizer.zero_grad()
        model(x, lengths, *batch(rows)).nll.sum().backward()
        optimizer.step()
    assert model.greedy(x, lengths) == rows
