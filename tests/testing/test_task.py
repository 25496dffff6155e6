from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from aista.testing import task as contract
from aista.testing.dummies import DummyTokenizer
from aista.types import length_mask

TOKENIZER = DummyTokenizer()


@dataclass(frozen=True)
class Loss:
    total: torch.Tensor
    num_targets: int
    metrics: dict


class Model(nn.Module):
    """Scores target tokens from the mean of the audio."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(80, TOKENIZER.vocab_size)

    def forward(self, batch):
        mask = length_mask(batch.audio_lengths, batch.audio.shape[1])[..., None]
        mean = torch.where(mask, batch.audio, 0).sum(1) / batch.audio_lengths[:, None]
        return self.head(mean).log_softmax(-1)


class Correct:
    uses_audio = True
    default_metrics = ("bleu",)
    config = SimpleNamespace(freeze_params=())

    def build_model(self):
        return Model()

    def loss(self, model, batch):
        content = length_mask(batch.target_lengths, batch.target.shape[1])
        nll = -(model(batch).gather(1, batch.target) * content).sum()
        return Loss(nll, int(batch.target_lengths.sum()), {"nll": (nll.detach(), 1.0)})

    def decode(self, model, batch, generation):
        return [TOKENIZER.decode([token]) for token in model(batch).argmax(-1).tolist()]

    def references(self, batch):
        return batch.target_text


class WithoutFreezing(Correct):
    config = SimpleNamespace()


class WithoutMetrics(Correct):
    default_metrics = ()


class Unsure(Correct):
    uses_audio = None


class Changed(Correct):
    def __init__(self, change):
        self.change = change

    def loss(self, model, batch):
        loss = super().loss(model, batch)
        return Loss(**{**vars(loss), **self.change(loss, batch, model)})


def with_loss(change):
    return lambda: Changed(change)


class UnusedParameter(Correct):
    def build_model(self):
        model = Model()
        model.extra = nn.Parameter(torch.zeros(3))
        return model


class StaysInEval(Correct):
    def decode(self, model, batch, generation):
        return super().decode(model.eval(), batch, generation)


class OneText(Correct):
    def decode(self, model, batch, generation):
        return super().decode(model, batch, generation)[:1]


class FewReferences(Correct):
    def references(self, batch):
        return batch.target_text[:1]


class SeesBatch(Correct):
    def decode(self, model, batch, generation):
        return [f"{text}{len(batch)}" for text in super().decode(model, batch, generation)]


class Encoded(Correct):
    """Its model has an encoder, which states pass by."""

    takes_states = True

    def build_model(self):
        model = Model()
        model.encoder = Halve()
        return model

    def loss(self, model, batch):
        return super().loss(model, self.encode(model, batch))

    def decode(self, model, batch, generation):
        return super().decode(model, self.encode(model, batch), generation)

    def encode(self, model, batch):
        return batch if batch.encoded else replace(batch, audio=model.encoder(batch.audio, batch.audio_lengths)[0])


class Halve(nn.Module):
    def forward(self, audio, lengths):
        return audio / 2, lengths


class EncodesTwice(Encoded):
    def encode(self, model, batch):
        return replace(batch, audio=model.encoder(batch.audio, batch.audio_lengths)[0])


class TakesStatesForAudio(Encoded):
    def encode(self, model, batch):
        return replace(batch, audio=batch.audio / 2)


class DecodesAudioAlone(Encoded):
    def decode(self, model, batch, generation):
        return [text + "!" * batch.encoded for text in super().decode(model, batch, generation)]


CASES = [
    (contract.check_options, WithoutFreezing, "the options must have freeze_params"),
    (contract.check_options, WithoutMetrics, "default_metrics is empty"),
    (contract.check_options, Unsure, "uses_audio must be true or false, got None"),
    (contract.check_loss, with_loss(lambda loss, *_: {"total": loss.total[None]}), r"total must be a scalar.*\[1\]"),
    (contract.check_loss, with_loss(lambda loss, *_: {"total": loss.total / 0}), "total must be finite"),
    (contract.check_loss, with_loss(lambda loss, *_: {"num_targets": 0}), "num_targets must be above 0, got 0"),
    (contract.check_loss, with_loss(lambda loss, *_: {"metrics": {"x": (loss.total, 1.0)}}), "'x' must be detached"),
    (
        contract.check_loss,
        with_loss(lambda loss, *_: {"metrics": {"x": (loss.total.detach() / 0, 1.0)}}),
        "metric 'x' must be finite",
    ),
    (
        contract.check_loss,
        with_loss(lambda loss, *_: {"metrics": {"x": (loss.total.detach(), -1.0)}}),
        "metric 'x' must have a weight of at least 0, or None for a sum, got -1",
    ),
    (
        contract.check_sums,
        with_loss(lambda loss, batch, _: {"total": loss.total / len(batch)}),
        "the losses of single rows add up to",
    ),
    (
        contract.check_sums,
        with_loss(lambda loss, *_: {"num_targets": 9}),
        "single rows have 27 targets, the batch has 9",
    ),
    (
        contract.check_padding,
        with_loss(lambda loss, batch, _: {"total": loss.total + batch.audio.sum()}),
        "with other padding the loss is",
    ),
    (contract.check_states, EncodesTwice, "the encoder runs on a batch of encoder states"),
    (contract.check_states, TakesStatesForAudio, "from encoder states the loss is"),
    (contract.check_states, DecodesAudioAlone, "encoder states decode to"),
    (contract.check_gradients, UnusedParameter, "trainable parameters get no gradient .*: extra"),
    (contract.check_decode, StaysInEval, "decode must restore the model's train or eval mode"),
    (contract.check_decode, OneText, "decode must give 3 texts"),
    (contract.check_decode, FewReferences, "expects 3 references, got 1"),
    (contract.check_decode, SeesBatch, r"row 0 decodes to '.*3' in a batch and to '.*1' alone"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_task_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_task_passes(check):
    for correct in (Correct(), Encoded()):
        check(correct)
