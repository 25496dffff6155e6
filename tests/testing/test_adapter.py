import pytest
import torch
from torch import nn

from aista.modules.adapters.base import AdapterOutput
from aista.testing import adapter as contract
from aista.testing.dummies import DummyAdapter
from aista.types import RowTerm


class WrongWidth(DummyAdapter):
    def forward(self, states, lengths):
        return states[:, ::2], (lengths + 1) // 2


class LosesShortRows(DummyAdapter):
    def forward(self, states, lengths):
        return super().forward(states, lengths)[0], lengths // 2


class Grows(DummyAdapter):
    def forward(self, states, lengths):
        positions, _ = super().forward(states.repeat_interleave(4, 1), lengths)
        return positions, lengths * 2


class Misannounces(DummyAdapter):
    def output_lengths(self, lengths):
        return lengths // 2

    def forward(self, states, lengths):
        return super().forward(states, lengths)[0], (lengths + 1) // 2


class MixesPadding(DummyAdapter):
    def forward(self, states, lengths):
        return super().forward(states.cumsum(1).flip(1).cumsum(1).flip(1), lengths)


class LengthsFromContent(DummyAdapter):
    def forward(self, states, lengths):
        return super().forward(states, (states[..., 0] != 0).sum(1))


class BatchNormed(DummyAdapter):
    def forward(self, states, lengths):
        return super().forward(states - states[:, :1].mean(0, keepdim=True), lengths)


class LengthsFromBatch(DummyAdapter):
    def forward(self, states, lengths):
        return super().forward(states, lengths.clamp(min=int(lengths.max()) // 3))


class Detached(DummyAdapter):
    def forward(self, states, lengths):
        return super().forward(states.detach(), lengths)


class UnusedParameter(DummyAdapter):
    def __init__(self, input_dim, output_dim):
        super().__init__(input_dim, output_dim)
        self.extra = nn.Parameter(torch.zeros(3))


class LeaksGradient(DummyAdapter):
    def forward(self, states, lengths):
        positions, lengths = super().forward(states, lengths)
        return positions + 0.1 * states.sum((1, 2), keepdim=True), lengths


class Shrinks(DummyAdapter):
    def output_lengths(self, lengths):
        return (lengths + 1) // 2 + (lengths == 1)


class BreaksItsBound(DummyAdapter):
    exact_lengths = False

    def forward(self, states, lengths):
        positions, out_lengths = super().forward(states, lengths)
        return positions, torch.where(states.abs().amax((1, 2)) > 50, lengths, out_lengths)


class BreaksItsBoundInTraining(DummyAdapter):
    exact_lengths = False

    def adapt(self, states, lengths, source=None, source_lengths=None):
        positions, out_lengths, _ = super().adapt(states, lengths)
        return AdapterOutput(positions, torch.maximum(source_lengths, out_lengths) if self.training else out_lengths)


class WithLoss(DummyAdapter):
    def loss(self, states, lengths, source, source_lengths):
        return source_lengths.float()

    def adapt(self, states, lengths, source=None, source_lengths=None):
        positions, out_lengths = self(states, lengths)
        value = self.loss(states, lengths, source, source_lengths)
        return AdapterOutput(positions, out_lengths, (RowTerm("own", 1.0, value, source_lengths > 0),))


class LossOfTheBatch(WithLoss):
    def loss(self, states, lengths, source, source_lengths):
        return source_lengths / source_lengths.sum().clamp(min=1)


class LossOfThePadding(WithLoss):
    def loss(self, states, lengths, source, source_lengths):
        return states.sum((1, 2)) * (source_lengths > 0)


class LossOfTranscriptPadding(WithLoss):
    def loss(self, states, lengths, source, source_lengths):
        return source.sum(1) * (source_lengths > 0)


class InfiniteLoss(WithLoss):
    def loss(self, states, lengths, source, source_lengths):
        return 1 / source_lengths


class LossWhereNoneIs(WithLoss):
    def loss(self, states, lengths, source, source_lengths):
        return torch.ones(len(lengths))


class ScalarLoss(WithLoss):
    def loss(self, states, lengths, source, source_lengths):
        return super().loss(states, lengths, source, source_lengths).sum()


class PeeksInEvaluation(DummyAdapter):
    def adapt(self, states, lengths, source=None, source_lengths=None):
        positions, out_lengths = self(states, lengths)
        return AdapterOutput(positions + source_lengths[:, None, None], out_lengths)


CASES = [
    (contract.check_shapes, WrongWidth, r"positions must be \[4, P, output_dim 24\], got \[4, 11, 16\]"),
    (contract.check_shapes, LosesShortRows, r"lengths must lie in 1\.\.11, got \[10, 4, 3, 0\] for \[21, 8, 7, 1\]"),
    (contract.check_lengths, Grows, r"output_lengths says \[11, 4, 4, 1\], forward gives \[42, 16, 14, 2\]"),
    (contract.check_lengths, Misannounces, r"output_lengths says \[10, 4, 3, 0\], forward gives \[11, 4, 4, 1\]"),
    (contract.check_lengths, Shrinks, r"must not fall as lengths grow, got \[2, 1,"),
    (contract.check_lengths, BreaksItsBound, r"says \[11, 4, 4, 1\], forward gives \[21, 8, 7, 1\], beyond the bound"),
    (contract.check_lengths, BreaksItsBoundInTraining, r"forward gives \[30, 4, 4, 2\], beyond the bound"),
    (contract.check_padding, MixesPadding, "row 1's positions depend on its padding"),
    (contract.check_padding, LengthsFromContent, "lengths depend on the content of the padding"),
    (contract.check_batch_of_one, BatchNormed, "row 0 depends on the other rows"),
    (contract.check_batch_of_one, LengthsFromBatch, "row 3 has 4 positions in a batch, 1 alone"),
    (contract.check_losses, LossOfTheBatch, "own of row 0 depends on the other rows"),
    (contract.check_losses, LossOfThePadding, "own depends on the padding"),
    (contract.check_losses, LossOfTranscriptPadding, "own depends on the padding"),
    (contract.check_losses, InfiniteLoss, "own must be finite, got .*inf"),
    (contract.check_losses, LossWhereNoneIs, "own must be 0 in rows that it does not apply to"),
    (contract.check_losses, ScalarLoss, r"own must be \[4\], got \[\]"),
    (contract.check_losses, PeeksInEvaluation, "in evaluation mode, adapt and forward give different positions"),
    (contract.check_gradients, Detached, "the encoder's states get no gradient|does not require grad"),
    (contract.check_gradients, UnusedParameter, "trainable parameters get no gradient .*: extra"),
    (contract.check_gradients, LeaksGradient, "row 1's padding gets a gradient"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_adapter_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken(16, 24))


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_adapter_passes(check):
    check(DummyAdapter())
    check(WithLoss())
