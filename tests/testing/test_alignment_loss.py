import pytest
import torch

from aista.losses.base import AlignmentLoss, AlignmentResult
from aista.testing import alignment_loss as contract
from aista.types import length_mask


def pooled(states, lengths):
    mask = length_mask(lengths, states.shape[1])[..., None]
    return torch.where(mask, states, 0).float().sum(1) / lengths.clamp_min(1)[:, None]


class Correct(AlignmentLoss):
    """Squared distance of the mean states."""

    def __call__(self, states, context, *, detach_text=True):
        text = states.text.detach() if detach_text else states.text
        distance = (pooled(states.speech, states.speech_lengths) - pooled(text, states.text_lengths)).square().sum(-1)
        taken = (states.speech_lengths > 0) & (states.text_lengths > 0)
        values = torch.where(taken, distance, 0)
        return self.change(AlignmentResult(values, {"distance": values.detach().mean()}), states)

    def change(self, result, states):
        return result


class Changed(Correct):
    def __init__(self, change):
        self.change = change


def with_values(function):
    return lambda: Changed(lambda result, states: result._replace(per_utterance_B=function(result[0], states)))


def with_diagnostic(function):
    return lambda: Changed(lambda result, states: result._replace(diagnostics={"x": function(result[0])}))


class IgnoresDetach(Correct):
    def __call__(self, states, context, *, detach_text=True):
        return super().__call__(states, context, detach_text=False)


class AlwaysDetaches(Correct):
    def __call__(self, states, context, *, detach_text=True):
        return super().__call__(states, context, detach_text=True)


class CountsEmptyRows(Correct):
    def __call__(self, states, context, *, detach_text=True):
        result = super().__call__(states, context, detach_text=detach_text)
        return result._replace(per_utterance_B=result[0] + (states.text_lengths == 0))


class DividesByRows(Correct):
    def __call__(self, states, context, *, detach_text=True):
        result = super().__call__(states, context, detach_text=detach_text)
        return result._replace(per_utterance_B=result[0] / (states.text_lengths.sum() > 0))


class Contrast(Correct):
    """Distance to the own text less the mean distance to the layer's texts: a statistic of the batch."""

    needs = ("transcripts",)
    batch_statistic = True

    def __call__(self, states, context, *, detach_text=True):
        text = states.text.detach() if detach_text else states.text
        sides = (pooled(states.speech, states.speech_lengths), pooled(text, states.text_lengths))
        taken = (states.speech_lengths > 0) & (states.text_lengths > 0)
        x, y = (z.view(self.layers(context), -1, z.shape[-1]) for z in sides)
        distance = (x[:, :, None] - y[:, None]).square().sum(-1)
        weights = taken.view(len(x), 1, -1).float()
        rivals = (distance * weights).sum(2) / weights.sum(2).clamp_min(1)
        values = (2 * distance.diagonal(dim1=1, dim2=2) - rivals + 100).flatten()
        return AlignmentResult(torch.where(taken, values, 0), {})

    def layers(self, context):
        assert context.transcripts is not None
        return context.num_layers


class MixesLayers(Contrast):
    def layers(self, context):
        return 1


class HidesItsBatch(Contrast):
    batch_statistic = False


class ClaimsABatch(Correct):
    batch_statistic = True


class DependsOnOrder(Contrast):
    def __call__(self, states, context, *, detach_text=True):
        result = super().__call__(states, context, detach_text=detach_text)
        return result._replace(per_utterance_B=result[0] + torch.arange(len(states.speech)) * (result[0] != 0))


class Predictions(Correct):
    """Position by position, so it needs equal lengths."""

    compares = "predictions"

    def __call__(self, states, context, *, detach_text=True):
        taken = (states.speech_lengths > 0) & (states.text_lengths > 0)
        assert (states.speech_lengths == states.text_lengths)[taken].all(), "rows of unequal lengths"
        return super().__call__(states, context, detach_text=detach_text)


class ReadsTheVocabulary(Correct):
    """Its text side is the vocabulary."""

    needs = ("vocabulary",)

    def __call__(self, states, context, *, detach_text=True):
        vocabulary = context.vocabulary.detach() if detach_text else context.vocabulary
        distance = (pooled(states.speech, states.speech_lengths) - vocabulary.mean(0)).square().sum(-1)
        taken = (states.speech_lengths > 0) & (states.text_lengths > 0)
        return AlignmentResult(torch.where(taken, distance, 0), {})


class IgnoresDetachOfTheVocabulary(ReadsTheVocabulary):
    def __call__(self, states, context, *, detach_text=True):
        return super().__call__(states, context, detach_text=False)


CASES = [
    (contract.check_shapes, with_values(lambda v, s: v.mean()), r"expects one value per row, \[4\], got \[\]"),
    (contract.check_shapes, with_values(lambda v, s: v.to(s.speech.dtype)), "torch.bfloat16 states must give float32"),
    (contract.check_shapes, with_values(lambda v, s: v / 0), "values must be finite"),
    (
        contract.check_shapes,
        lambda: Changed(lambda result, states: result.per_utterance_B),
        r"return an AlignmentResult \(row_result makes one\), not a Tensor",
    ),
    (contract.check_shapes, with_diagnostic(lambda v: v.sum()), "diagnostic 'x' must be a detached scalar tensor"),
    (contract.check_shapes, with_diagnostic(lambda v: v.detach().sum() / 0), "diagnostic 'x' must be finite"),
    (
        contract.check_padding,
        with_values(lambda v, s: v + s.text[:, -1].detach().nan_to_num().sum(-1)),
        "values depend on the content of the padding",
    ),
    (contract.check_padding, with_values(lambda v, s: v * s.speech.shape[1]), "depend on the amount of padding"),
    (
        contract.check_padding,
        with_values(lambda v, s: v + s.speech.nan_to_num().sum((1, 2)) - s.speech.detach().nan_to_num().sum((1, 2))),
        "the speech padding of row 1 gets a gradient",
    ),
    (contract.check_empty_rows, CountsEmptyRows, "row 1 has an empty side, so its value must be 0, got 1.0"),
    (contract.check_empty_rows, DividesByRows, "a batch without transcripts must have value 0"),
    (contract.check_detached_text, IgnoresDetach, "with detach_text=True the text side gets a gradient"),
    (contract.check_detached_text, AlwaysDetaches, "with detach_text=False the text side gets no gradient"),
    (contract.check_detached_text, with_values(lambda v, s: v.detach()), "the speech states get no gradient"),
    (contract.check_detached_text, IgnoresDetachOfTheVocabulary, "with detach_text=True the text side gets a gradient"),
    (contract.check_learns, with_values(lambda v, s: 2 * v.detach() - v), "gradient steps do not lower the loss"),
    (contract.check_batch, HidesItsBatch, "a row's value depends on the other rows; if it is meant to, say"),
    (contract.check_batch, with_values(lambda v, s: v / len(v)), "a row's value depends on the other rows"),
    (contract.check_batch, ClaimsABatch, "says batch_statistic = True, but its rows have the same values alone"),
    (contract.check_batch, DependsOnOrder, "values depend on the order of the rows"),
    (contract.check_layers, MixesLayers, "rows of different layers meet"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_loss_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
@pytest.mark.parametrize("loss", [Correct, Contrast, Predictions, ReadsTheVocabulary])
def test_a_correct_loss_passes(check, loss):
    check(loss())


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            {"needs": ("context",)},
            r"Broken\.needs must be a tuple of names among transcripts, words, vocabulary, batch_vocabulary, got",
        ),
        ({"needs": "transcripts"}, r"Broken\.needs must be a tuple of names .*, got 'transcripts'"),
        ({"compares": "logits"}, r"Broken\.compares must be 'states' or 'predictions', got 'logits'"),
        ({"batch_statistic": "yes"}, r"Broken\.batch_statistic must be True or False, got 'yes'"),
        (
            {"compares": "predictions", "needs": ("transcripts",)},
            "Broken compares predictions, so it can have no needs",
        ),
    ],
)
def test_attributes_that_mean_nothing_fail_when_the_class_is_made(attributes, message):
    with pytest.raises(TypeError, match=message):
        type("Broken", (Correct,), attributes)
