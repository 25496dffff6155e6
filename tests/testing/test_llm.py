from dataclasses import replace

import pytest
import torch
from torch import nn

from aista.testing import llm as contract
from aista.testing.dummies import DummyLanguageModel


class Forward(DummyLanguageModel):
    """A model whose ``forward`` goes through ``change(states, captured, request)``."""

    def forward(self, embeddings, lengths, *, capture=(), stop_at_capture=False):
        final, captured = super().forward(embeddings, lengths, capture=capture, stop_at_capture=stop_at_capture)
        return self.change(final, captured)

    def change(self, final, captured):
        return final, captured


class WideEmbedding(DummyLanguageModel):
    def embed(self, ids):
        return torch.cat([super().embed(ids)] * 2, -1)


class FewLogits(DummyLanguageModel):
    def project(self, states):
        return super().project(states)[..., :7]


class WrongCount(DummyLanguageModel):
    def __init__(self):
        super().__init__()
        self.num_layers = 3


class NoFinal(Forward):
    def change(self, final, captured):
        return None, captured


class ShiftedNumbers(DummyLanguageModel):
    def forward(self, embeddings, lengths, *, capture=(), stop_at_capture=False):
        depth = [min(layer + 1, self.num_layers) for layer in capture]
        return super().forward(embeddings, lengths, capture=depth, stop_at_capture=stop_at_capture)


class SortedCapture(DummyLanguageModel):
    def forward(self, embeddings, lengths, *, capture=(), stop_at_capture=False):
        return super().forward(embeddings, lengths, capture=sorted(capture), stop_at_capture=stop_at_capture)


class NormalisedCapture(Forward):
    def change(self, final, captured):
        return final, tuple(self.norm(state) for state in captured)


class OtherBlocks(DummyLanguageModel):
    @property
    def layers(self):
        return nn.ModuleList(nn.Identity() for _ in self.blocks)


class NeverStops(DummyLanguageModel):
    def forward(self, embeddings, lengths, *, capture=(), stop_at_capture=False):
        final, captured = super().forward(embeddings, lengths, capture=capture)
        return (None if stop_at_capture else final), captured


class StopsWithStates(DummyLanguageModel):
    def forward(self, embeddings, lengths, *, capture=(), stop_at_capture=False):
        return super().forward(embeddings, lengths, capture=capture)


class Bidirectional(DummyLanguageModel):
    def forward(self, embeddings, lengths, **options):
        return super().forward(embeddings + embeddings.mean(1, keepdim=True), lengths, **options)


class Deaf(Forward):
    def change(self, final, captured):
        return final * 0, captured


class LeftPadded(DummyLanguageModel):
    def forward(self, embeddings, lengths, **options):
        final, captured = super().forward(embeddings.flip(1), lengths, **options)
        return final.flip(1), captured


class SeesBatch(Forward):
    def change(self, final, captured):
        return None if final is None else final - final[:, :1].mean(0, keepdim=True), captured


class DetachedCapture(Forward):
    def change(self, final, captured):
        return final, tuple(state.detach() for state in captured)


class ReadsUnnormalised(DummyLanguageModel):
    def normalize(self, states):
        return states

    def forward(self, embeddings, lengths, *, capture=(), stop_at_capture=False):
        final, captured = super().forward(embeddings, lengths, capture=capture, stop_at_capture=stop_at_capture)
        return None if final is None else self.norm(final), captured


class UnusedParameter(DummyLanguageModel):
    def __init__(self):
        super().__init__()
        self.extra = nn.Parameter(torch.zeros(3))


class Generate(DummyLanguageModel):
    """A model whose hypotheses go through ``change``."""

    def generate(self, embeddings, lengths, config, *, eos_id, pad_id):
        found = super().generate(embeddings, lengths, config, eos_id=eos_id, pad_id=pad_id)
        return [self.change(hypotheses) for hypotheses in found]


class WorstFirst(Generate):
    def change(self, hypotheses):
        return hypotheses[::-1]


class NoneFound(Generate):
    def change(self, hypotheses):
        return []


class TooMany(Generate):
    def change(self, hypotheses):
        return hypotheses * 2


class KeepsEos(Generate):
    def change(self, hypotheses):
        return [replace(hypothesis, ids=(*hypothesis.ids, 1)) for hypothesis in hypotheses]


class TooLong(Generate):
    def change(self, hypotheses):
        return [replace(hypothesis, ids=(*hypothesis.ids, 5, 5, 5, 5, 5, 5)) for hypothesis in hypotheses]


class StaysInEval(DummyLanguageModel):
    def generate(self, *args, **kwargs):
        return super().eval().generate_plainly(*args, **kwargs)

    def generate_plainly(self, *args, **kwargs):
        return DummyLanguageModel.generate(self, *args, **kwargs)


class SearchesThePadding(DummyLanguageModel):
    def generate(self, embeddings, lengths, config, **ids):
        return super().generate(embeddings, torch.full_like(lengths, embeddings.shape[1]), config, **ids)


class MeanOfLogs(Generate):
    def change(self, hypotheses):
        return [replace(h, log_probability=h.score(1.0)) for h in hypotheses]


class Unguarded(DummyLanguageModel):
    def generate(self, embeddings, lengths, config, **ids):
        return super().generate(embeddings, lengths, replace(config, no_repeat_ngram=0), **ids)


class Unmarked(Generate):
    def change(self, hypotheses):
        return [replace(h, guarded=False) for h in hypotheses]


class AlwaysMarked(Generate):
    def change(self, hypotheses):
        return [replace(h, guarded=True) for h in hypotheses]


CASES = [
    (contract.check_shapes, WideEmbedding, r"embed must give \[3, 7, 24\], got \[3, 7, 48\]"),
    (contract.check_shapes, FewLogits, r"project must give \[3, 7, V >= 20\], got \[3, 7, 7\]"),
    (contract.check_shapes, WrongCount, "num_layers is 3, but layers holds 2 blocks"),
    (contract.check_shapes, NoFinal, "forward must return the final states unless it stops early"),
    (contract.check_capture_numbering, ShiftedNumbers, "captured layer 0 is not what enters the first block"),
    (contract.check_capture_numbering, SortedCapture, "captured layers do not come in the order asked for"),
    (contract.check_capture_numbering, NormalisedCapture, "captured layer 0 is not what enters"),
    (contract.check_capture_numbering, OtherBlocks, r"forward does not run blocks \[1, 2\] of layers"),
    (contract.check_normalize, ReadsUnnormalised, r"normalize\(output of the last block\) is not the final states"),
    (contract.check_stop_at_capture, NeverStops, r"to capture layer 0 it ran the blocks \[1, 2\]"),
    (contract.check_stop_at_capture, StopsWithStates, "must return None in place of the final states"),
    (contract.check_causality, Bidirectional, "a state depends on later positions"),
    (contract.check_causality, Deaf, "the states do not depend on the embeddings"),
    (contract.check_padding, LeftPadded, "a row's states depend on its padding"),
    (contract.check_batch_of_one, SeesBatch, "row 0 depends on the other rows"),
    (contract.check_gradients, DetachedCapture, "no gradient flows from the captured layer 0"),
    (contract.check_gradients, UnusedParameter, "trainable parameters get no gradient .*: extra"),
    (contract.check_gradients, Deaf, "all gradients are zero"),
    (contract.check_generate, WorstFirst, "hypotheses must come best first"),
    (contract.check_generate, TooMany, "hypotheses must differ"),
    (contract.check_generate, KeepsEos, "without EOS and padding"),
    (contract.check_generate, TooLong, "tokens and EOS exceed max_new_tokens"),
    (contract.check_generate, StaysInEval, "must restore the model's train or eval mode"),
    (contract.check_generate, SearchesThePadding, r"row 1 decodes to .* in a batch and to .* alone"),
    (contract.check_generate, NoneFound, "expects at least one hypothesis, got none"),
    (contract.check_scores, MeanOfLogs, "log_probability .*, forward says"),
    (contract.check_repetition_guard, Unguarded, "a token is repeated in .* with no_repeat_ngram 1"),
    (contract.check_repetition_guard, Unmarked, "no_repeat_ngram 1 changed it, but guarded is not set"),
    (contract.check_repetition_guard, AlwaysMarked, "guarded is set, but nothing changed"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_llm_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_llm_passes(check):
    check(DummyLanguageModel())


def test_a_frozen_llm_passes():
    contract.check_gradients(DummyLanguageModel().requires_grad_(False))
