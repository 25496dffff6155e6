"""Batches of rows with and without audio, and with prompts of their own, equal those of rows that are alike."""

from dataclasses import replace

import pytest
import torch

from aista.modules.llms.base import GenerationConfig
from aista.types import RowPrompts

from .test_lsm import BOS, PROMPTS, build, make_batch, run, single

TEXT = 1


def mixed_batch(spoken=(0, 2)):
    batch = make_batch(source_lengths=(4, 5, 6), target_lengths=(3, 5, 2), audio_lengths=(9, 4, 6))
    lengths = torch.tensor([length if row in spoken else 0 for row, length in enumerate((9, 4, 6))])
    return replace(batch, audio_lengths=lengths, spoken=torch.tensor(spoken, dtype=torch.long))


def prompts_of(ids, rows):
    """The same prompt in each row, some of its padding garbage."""
    head, suffix = [BOS, *ids.prefix], [*ids.suffix]
    return RowPrompts(
        torch.tensor([[*head, 9, 9]] * rows),
        torch.full((rows,), len(head)),
        torch.tensor([[*suffix, 8]] * rows),
        torch.full((rows,), len(suffix)),
    )


def test_rows_without_audio_have_the_loss_of_their_transcript_and_change_no_other_row():
    model, batch = build(), mixed_batch()
    whole = replace(batch, audio_lengths=torch.tensor([9, 4, 6]), spoken=None)
    mixed, alike = (run(model, one, capture=(0, 2), mt=True) for one in (batch, whole))
    torch.testing.assert_close(mixed.nll[TEXT], alike.mt_nll[TEXT])
    torch.testing.assert_close(mixed.mt_nll, alike.mt_nll)
    assert mixed.speech_lengths.tolist() == [5, 0, 3]
    for row in (0, 2):
        torch.testing.assert_close(mixed.nll[row], alike.nll[row])
        length = int(alike.speech_lengths[row])
        for found, expected in zip(mixed.speech, alike.speech, strict=True):
            torch.testing.assert_close(found[row, :length], expected[row, :length])
    assert all((states[TEXT] == 0).all() for states in mixed.speech)


def test_a_batch_of_texts_alone_runs_no_encoder():
    model, batch = build(), mixed_batch(spoken=())
    expected = run(model, replace(batch, audio_lengths=torch.tensor([9, 4, 6]), spoken=None), mt=True).mt_nll
    model.encoder.forward = None
    output = run(model, batch, capture=(1,))
    torch.testing.assert_close(output.nll, expected)
    assert output.speech_lengths.tolist() == [0, 0, 0]


@pytest.mark.parametrize("spoken", [None, (0, 2), ()])
def test_the_same_prompt_in_each_row_is_the_model_s_own(spoken):
    model, other = build("full"), build("bos only")
    other.load_state_dict(model.state_dict())
    batch = make_batch(source_lengths=(4, 5, 6), target_lengths=(3, 5, 2), audio_lengths=(9, 4, 6))
    if spoken is not None:
        batch = mixed_batch(spoken)
    request = {"mt": True, "capture": (0, 1)}
    expected = run(model, batch, **request)
    found = run(other, replace(batch, prompts=prompts_of(PROMPTS["full"][1], 3)), **request)
    for name in ("nll", "mt_nll", "speech", "text", "speech_lengths"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


def test_each_row_has_its_own_prompt_in_both_branches_and_in_decoding():
    """Rows of two prompts are those of two models with one prompt each."""
    model = build("full")
    batch = make_batch(source_lengths=(4, 5, 6), target_lengths=(3, 5, 2), audio_lengths=(9, 4, 6))
    prompts = RowPrompts(
        torch.tensor([[BOS, 4, 5], [BOS, 0, 0], [BOS, 7, 0]]),
        torch.tensor([3, 1, 2]),
        torch.tensor([[6, 0], [0, 0], [8, 10]]),
        torch.tensor([1, 0, 2]),
    )
    output = run(model, replace(batch, prompts=prompts), mt=True, capture=(1,))
    search = GenerationConfig(beam_size=2, max_new_tokens=5)
    decoded = model.generate(batch.audio, batch.audio_lengths, search, prompts=prompts)
    from_text = model.generate_from_text(batch.source, batch.source_lengths, search, prompts=prompts)
    for row in range(3):
        own = RowPrompts(*(part[row : row + 1] for part in prompts))
        alone = replace(single(batch, row), prompts=own)
        expected = run(model, alone, mt=True, capture=(1,))
        torch.testing.assert_close(output.nll[row], expected.nll[0])
        torch.testing.assert_close(output.mt_nll[row], expected.mt_nll[0])
        length = int(expected.speech_lengths[0])
        torch.testing.assert_close(output.speech[0][row, :length], expected.speech[0][0, :length])
        (hypotheses,) = model.generate(alone.audio, alone.audio_lengths, search, prompts=own)
        assert [one.ids for one in hypotheses] == [one.ids for one in decoded[row]]
        (hypotheses,) = model.generate_from_text(alone.source, alone.source_lengths, search, prompts=own)
        assert [one.ids for one in hypotheses] == [one.ids for one in from_text[row]]


def test_gradients_reach_encoder_and_embeddings_through_a_mixed_batch():
    model = build()
    run(model, mixed_batch(), mt=False).nll.sum().backward()
    trained = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any(name.startswith("adapter") for name in trained)
    assert any(name.startswith("llm") for name in trained)
