from __future__ import annotations

import pytest
import torch

from aista.losses.guides.base import Guidance, Guide, content_mask
from aista.registry import names
from aista.testing import guide as contract
from aista.testing.contracts import run
from aista.types import length_mask


class Correct(Guide):
    """Every position, alike."""

    def __call__(self, states, context):
        inside = length_mask(states.speech_lengths, states.speech.shape[1])[:, :, None]
        weights = (inside & content_mask(states)[:, None]).float()
        return Guidance(*self.change(weights, content_mask(states), states, context))

    def change(self, weights, known, states, context):
        return weights, known


class Changed(Correct):
    def __init__(self, change):
        self.change = change


def changed(function):
    return lambda: Changed(lambda weights, known, states, context: function(weights, known, states, context))


CASES = [
    (contract.check_shapes, changed(lambda w, k, s, c: (w.mT, k)), r"weights must be \[4, 9, 6\], got \[4, 6, 9\]"),
    (contract.check_shapes, changed(lambda w, k, s, c: (w.bool(), k)), "weights must be floating point"),
    (contract.check_shapes, changed(lambda w, k, s, c: (w * s.speech.sum() / 1e9, k)), "weights must be detached"),
    (contract.check_shapes, changed(lambda w, k, s, c: (w / w, k)), "weights must be finite"),
    (contract.check_shapes, changed(lambda w, k, s, c: (2 * w, k)), "weights must lie in 0 to 1, got 0 to 2"),
    (contract.check_shapes, changed(lambda w, k, s, c: (w, k[:, :3])), r"known must be \[4, 6\], got \[4, 3\]"),
    (contract.check_shapes, changed(lambda w, k, s, c: (w, k.long())), "known must be bool"),
    (contract.check_known, changed(lambda w, k, s, c: (w, k & False)), "knows no token"),
    (contract.check_known, changed(lambda w, k, s, c: (0 * w, k)), "no position has a weight"),
    (contract.check_padding, changed(lambda w, k, s, c: (w + 0.1, k)), "0 in the padding of the speech"),
    (contract.check_padding, changed(lambda w, k, s, c: (w.amax(2, True).expand_as(w), k)), "padding of the text"),
    (contract.check_padding, changed(lambda w, k, s, c: (w, k | True)), "nothing can be known of the padding"),
    (contract.check_padding, changed(lambda w, k, s, c: (w * (s.speech.detach().norm() < 50), k)), "content"),
    (contract.check_padding, changed(lambda w, k, s, c: (w / s.text.shape[1], k)), "the amount of padding"),
    (contract.check_empty_rows, changed(lambda w, k, s, c: (w, k | (s.text_lengths == 0)[:, None])), "row 1 has"),
    (contract.check_validation,
     changed(lambda w, k, s, c: (w * (0.5 if torch.is_inference_mode_enabled() else 1), k)),
     "weights depend on whether a gradient could be taken"),
    (contract.check_batch, changed(lambda w, k, s, c: (w / len(w), k)), "weights depend on the other rows"),
    (contract.check_batch, changed(lambda w, k, s, c: (w, k & (len(k) > 1))), "which tokens are known depends on"),
    (contract.check_layers, changed(lambda w, k, s, c: (w / c.num_layers, k)), "weights depend on the other layers"),
    (contract.check_layers,
     changed(lambda w, k, s, c: (w, k & (s.speech.detach()[:, 0, 0] > 0)[:, None])),
     "the same tokens must be known at every layer"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_guide_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_guide_passes(check):
    check(Correct())


def test_another_result_is_named():
    with pytest.raises(AssertionError, match="return a Guidance, not a tuple"):
        contract.check_known(lambda states, context: (1, 2))


@pytest.mark.parametrize("name", names("guide"))
def test_the_built_in_guides_keep_the_contracts(name):
    assert not [outcome for outcome in run("guide", name) if outcome.status != "PASS"]


def test_other_options_keep_the_contracts():
    cases = [("monotone", {"blank": None}), ("transport", {"solver": "exact"}), ("times", {"width": 0.1})]
    for name, config in cases:
        assert not [outcome for outcome in run("guide", name, config) if outcome.status != "PASS"], name


def test_lengths_differ_between_the_rows_of_the_cases():
    assert len(set(contract._states().speech_lengths.tolist())) > 1
    assert torch.isfinite(contract._states().speech).all()
