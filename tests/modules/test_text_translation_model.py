import pytest
import torch

from aista.errors import DataError
from aista.modules.llms.base import GenerationConfig
from aista.modules.prompt import PromptIds
from aista.modules.text_translation_model import TextTranslationModel

from .dummies import FrameEncoder, PairAdapter, build_llm, naive_nll
from .test_lsm import BOS, EOS, PAD, PROMPTS, LargeSpeechTextModel, make_batch, run


def build(prompt="full", **options):
    bos_id, ids = PROMPTS[prompt]
    return TextTranslationModel(build_llm(**options), prompt=ids, bos_id=bos_id, eos_id=EOS, pad_id=PAD).eval()


@pytest.fixture(params=PROMPTS)
def model(request):
    return build(request.param)


def text_batch(**options):
    batch = make_batch(**options)
    return {name: getattr(batch, name) for name in ("source", "source_lengths", "target", "target_lengths")}


def one(batch, row, name):
    return batch[name][row, : batch[f"{name}_lengths"][row]]


def test_both_losses_are_those_of_single_rows(model):
    batch = text_batch()
    output = model(**batch, with_source=True)
    head, suffix = (model.llm.embed(ids[None])[0] for ids in (model.prompt.head, model.prompt.suffix))
    for row in (0, 2):
        source = one(batch, row, "source")
        text = model.llm.embed(source[None])[0]
        goal = [*one(batch, row, "target").tolist(), EOS]
        expected = naive_nll(model.llm, torch.cat([head, text, suffix]), goal)
        torch.testing.assert_close(output.nll[row].double(), expected, rtol=1e-4, atol=1e-4)
        seen = 0 if len(head) else 1  # without anything before it the first token is given
        expected = naive_nll(model.llm, torch.cat([head, text[:seen]]), source[seen:].tolist())
        torch.testing.assert_close(output.source_nll[row].double(), expected, rtol=1e-4, atol=1e-4)
        assert output.num_sources[row] == len(source) - seen
    assert output.num_targets.tolist() == [4, 0, 1]
    assert output.nll[1] == output.source_nll[1] == output.num_sources[1] == 0


def test_source_loss_is_left_out_unless_asked_for():
    output = build()(**text_batch())
    assert (output.source_nll == 0).all()
    assert (output.num_sources == 0).all()


def test_it_is_the_text_branch_of_the_speech_text_model():
    text = build()
    speech = LargeSpeechTextModel(
        FrameEncoder(), PairAdapter(6, 16), text.llm, prompt=PROMPTS["full"][1], bos_id=BOS, eos_id=EOS, pad_id=PAD
    )
    expected = run(speech, make_batch(), mt=True).mt_nll
    torch.testing.assert_close(text(**text_batch()).nll, expected)
    assert set(text.state_dict()) == {name for name in speech.state_dict() if name.startswith("llm.")}


def test_garbage_in_the_padding_changes_nothing(model):
    batch = text_batch()
    spoiled = dict(batch)
    for name in ("source", "target"):
        spoiled[name] = batch[name].clone()
        for row, length in enumerate(batch[f"{name}_lengths"].tolist()):
            spoiled[name][row, length:] = -7
    for expected, got in zip(model(**batch, with_source=True), model(**spoiled, with_source=True), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_generation_does_not_depend_on_the_batch(model):
    batch = text_batch(source_lengths=(4, 2, 6, 1), target_lengths=(1,) * 4, audio_lengths=(1,) * 4)
    config = GenerationConfig(beam_size=3, max_new_tokens=6)
    together = model.generate(batch["source"], batch["source_lengths"], config)
    for row in range(4):
        (alone,) = model.generate(one(batch, row, "source")[None], batch["source_lengths"][row : row + 1], config)
        assert [h.ids for h in alone] == [h.ids for h in together[row]]


def test_wide_beam_finds_the_likeliest_translation():
    """Against brute force through the model's own forward pass."""
    model = build("bos only", vocab_size=6)
    source = torch.tensor([[4, 5, 5]])
    lengths = torch.tensor([3])
    candidates = [()] + [(a,) for a in (0, 1, 4, 5)] + [(a, b) for a in (0, 1, 4, 5) for b in (0, 1, 4, 5)]
    scored = []
    for ids in candidates:
        target = torch.tensor([ids], dtype=torch.long)
        output = model(source, lengths, target, torch.tensor([len(ids)]))
        scored.append((-output.nll.item() / (len(ids) + 1), ids))
    best_score, best_ids = max(scored)
    found = model.generate(source, lengths, GenerationConfig(beam_size=50, max_new_tokens=3))[0]
    assert len(found) == len(candidates)
    assert found[0].ids == best_ids
    assert found[0].score(1.0) == pytest.approx(best_score, abs=1e-5)


def test_rows_without_anything_work():
    model = TextTranslationModel(build_llm(), prompt=PromptIds(), bos_id=None, eos_id=EOS, pad_id=PAD)
    empty, zeros = torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, dtype=torch.long)
    output = model(empty, zeros, empty, zeros, with_source=True)
    assert output.nll.tolist() == [0, 0]
    (output.nll.sum() + output.source_nll.sum()).backward()


def test_too_long_rows_are_a_data_error():
    with pytest.raises(DataError, match=r"row 0 of the batch has 11 positions.*holds 9"):
        build(max_positions=9)(**text_batch(target_lengths=(3, 2, 0)))
