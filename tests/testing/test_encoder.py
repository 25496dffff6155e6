import pytest
import torch
from torch import nn

from aista.testing import encoder as contract
from aista.testing.dummies import DummyEncoder


class WrongWidth(DummyEncoder):
    output_dim = 16

    def forward(self, audio, lengths):
        return super().forward(audio, lengths)[0][..., :5], lengths


class LengthsBeyondStates(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio, lengths)[0], lengths + 1


class FloatLengths(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio, lengths)[0], lengths.float()


class Misannounces(DummyEncoder):
    def output_lengths(self, lengths):
        return lengths - 1

    def forward(self, audio, lengths):
        return super().forward(audio, lengths)[0], lengths


class LayersAsList(DummyEncoder):
    @property
    def layers(self):
        return list(self.blocks)


class NotFinite(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio, lengths)[0] / 0.0, lengths


class SeesPadding(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio - audio.mean(1, keepdim=True), lengths)


class LengthsFromContent(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio, (audio[..., 0] != 0).sum(1))


class SeesBatch(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio - audio[:, :1].mean(0, keepdim=True), lengths)


class LengthsFromBatch(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio, torch.full_like(lengths, int(lengths.max())))[0], (lengths + lengths.max()) // 2


class TakesAnything(DummyEncoder):
    length_range = (3, 1000)

    def forward(self, audio, lengths):
        return self.encode(audio, lengths)


class LosesTheShortest(DummyEncoder):
    def output_lengths(self, lengths):
        return (lengths - 1).clamp(min=0) if int(lengths.max()) < 5 else lengths


class AlwaysDropsOut(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(nn.functional.dropout(audio, 0.5), lengths)


class ChangesInput(DummyEncoder):
    def forward(self, audio, lengths):
        return super().forward(audio.mul_(0.5), lengths)


class UnusedParameter(DummyEncoder):
    def __init__(self, feature_dim):
        super().__init__(feature_dim)
        self.extra = nn.Parameter(torch.zeros(3))


class Detached(DummyEncoder):
    def forward(self, audio, lengths):
        states, lengths = super().forward(audio, lengths)
        return states.detach(), lengths


CASES = [
    (contract.check_shapes, WrongWidth, r"states must be \[3, S, output_dim 16\], got \[3, 64, 5\]"),
    (contract.check_shapes, LengthsBeyondStates, r"lengths must lie in 1\.\.64, got \[65, 42, 25\]"),
    (contract.check_shapes, FloatLengths, "lengths must be integers, got torch.float32"),
    (contract.check_shapes, Misannounces, r"output_lengths says \[63, 40, 23\], forward gives \[64, 41, 24\]"),
    (contract.check_shapes, LayersAsList, "layers must be the nn.ModuleList"),
    (contract.check_shapes, NotFinite, "states must be finite"),
    (contract.check_padding, SeesPadding, "row 1's states depend on its padding: entries differ by up to"),
    (contract.check_padding, LengthsFromContent, "lengths depend on the content of the padding"),
    (contract.check_batch_of_one, SeesBatch, "row 0 depends on the other rows"),
    (contract.check_batch_of_one, LengthsFromBatch, "row 1 has 52 states in a batch, 41 alone"),
    (contract.check_length_range, TakesAnything, "length_range begins at 3, but a row of 2 raises no DataError"),
    (contract.check_length_range, LosesTheShortest, "1 of input must give 1 states, got 0"),
    (contract.check_deterministic, AlwaysDropsOut, "two calls in eval mode differ"),
    (contract.check_deterministic, ChangesInput, "changes its input in place"),
    (contract.check_gradients, UnusedParameter, "trainable parameters get no gradient .*: extra"),
    (contract.check_gradients, Detached, "does not depend on the module's trainable parameters"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_encoder_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken(80), feature_dim=80)


@pytest.mark.parametrize("feature_dim", [0, 80])
@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_encoder_passes(check, feature_dim):
    check(DummyEncoder(feature_dim), feature_dim=feature_dim)


def test_a_frozen_encoder_passes():
    contract.check_gradients(DummyEncoder(80).requires_grad_(False), feature_dim=80)
