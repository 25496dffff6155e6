import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from aista import registry
from aista.errors import DataError
from aista.modules import predictions
from aista.modules.llms.base import GenerationConfig
from aista.modules.lsm import ForwardRequest, LargeSpeechTextModel
from aista.modules.prompt import PromptIds
from aista.schema import Component
from aista.types import SpeechBatch, length_mask

from .dummies import FrameEncoder, PairAdapter, build_llm, naive_nll

BOS, EOS, PAD = 1, 2, 3
PROMPTS = {
    "full": (BOS, PromptIds((4, 5), (6,))),
    "bos only": (BOS, PromptIds()),
    "suffix only": (None, PromptIds((), (7, 8))),
    "none": (None, PromptIds()),
}


def build(prompt="full", **options):
    llm = build_llm(**options)
    bos_id, ids = PROMPTS[prompt]
    return LargeSpeechTextModel(
        FrameEncoder(), PairAdapter(6, llm.model_dim), llm, prompt=ids, bos_id=bos_id, eos_id=EOS, pad_id=PAD
    ).eval()


@pytest.fixture(params=PROMPTS)
def model(request):
    return build(request.param)


def make_batch(source_lengths=(4, 0, 6), target_lengths=(3, 5, 0), audio_lengths=(9, 4, 1), seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = len(audio_lengths)
    ids = torch.randint(4, 13, (2, rows, 20), generator=generator)
    return SpeechBatch(
        ids=tuple(map(str, range(rows))),
        audio=torch.randn(rows, max(audio_lengths), 5, generator=generator),
        audio_lengths=torch.tensor(audio_lengths),
        source=ids[0, :, : max(source_lengths)],
        source_lengths=torch.tensor(source_lengths),
        target=ids[1, :, : max(target_lengths)],
        target_lengths=torch.tensor(target_lengths),
    )


def run(model, batch, **request):
    return model(batch, ForwardRequest(**request))


def single(batch, row):
    """A batch of one row, as wide as it was."""
    names = ("audio", "source", "target")
    tensors = {name: getattr(batch, name)[row : row + 1] for name in (*names, *(f"{name}_lengths" for name in names))}
    return replace(batch, ids=batch.ids[row : row + 1], **tensors)


def one(batch, row, name):
    return getattr(batch, name)[row, : getattr(batch, f"{name}_lengths")[row]]


def naive_rows(model, batch, row):
    """Head, speech, transcript, suffix as ``[n, D]`` embeddings of one row, and its target with EOS."""
    embed = model.llm.embed
    speech, _ = model.encode_speech(one(batch, row, "audio")[None], batch.audio_lengths[row : row + 1])
    head, suffix = embed(model.prompt.head[None])[0], embed(model.prompt.suffix[None])[0]
    return (
        head,
        speech[0],
        embed(one(batch, row, "source")[None])[0],
        suffix,
        [*one(batch, row, "target").tolist(), EOS],
    )


def test_nll_is_that_of_single_rows_token_by_token(model):
    batch = make_batch()
    output = run(model, batch, mt=True)
    for row in range(3):
        head, speech, text, suffix, goal = naive_rows(model, batch, row)
        expected = naive_nll(model.llm, torch.cat([head, speech, suffix]), goal)
        torch.testing.assert_close(output.nll[row].double(), expected, rtol=1e-4, atol=1e-4)
        if len(text):
            expected = naive_nll(model.llm, torch.cat([head, text, suffix]), goal)
            torch.testing.assert_close(output.mt_nll[row].double(), expected, rtol=1e-4, atol=1e-4)
    assert output.mt_nll[1] == 0
    assert output.num_targets.tolist() == [4, 6, 1]
    assert output.nll.dtype == torch.float32


def test_captured_states_are_those_of_single_rows(model):
    batch = make_batch()
    capture = (2, 0, 3)
    output = run(model, batch, capture=capture)
    assert output.speech_lengths.tolist() == [5, 2, 1]
    assert output.text_lengths.tolist() == [4, 0, 6]
    for row in range(3):
        head, speech, text, _, _ = naive_rows(model, batch, row)
        for branch, states in ((speech, output.speech), (text, output.text)):
            context = torch.cat([head, branch])
            if len(branch):
                _, expected = model.llm(context[None], torch.tensor([len(context)]), capture=capture)
            for index in range(len(capture)):
                got = states[index][row]
                if len(branch):
                    torch.testing.assert_close(
                        got[: len(branch)], expected[index][0, len(head) :], rtol=1e-4, atol=1e-5
                    )
                assert (got[len(branch) :] == 0).all()


def test_layer_records_pair_speech_and_text():
    output = run(build(), make_batch(), capture=(1, 2))
    layer = output.layer(1)
    assert layer.speech is output.speech[1]
    assert layer.text is output.text[1]


@pytest.mark.parametrize("garbage", [1e4, float("nan")])
def test_what_lies_in_the_padding_changes_nothing(model, garbage):
    batch = make_batch()
    spoiled = {}
    mask = length_mask(batch.audio_lengths, batch.audio.size(1))[..., None]
    spoiled["audio"] = torch.where(mask, batch.audio, torch.full_like(batch.audio, garbage))
    for name in ("source", "target"):
        ids = getattr(batch, name)
        inside = length_mask(getattr(batch, f"{name}_lengths"), ids.size(1))
        spoiled[name] = torch.where(inside, ids, torch.full_like(ids, 10**6))
    clean, dirty = (run(model, b, capture=(0, 2), mt=True) for b in (batch, replace(batch, **spoiled)))
    for expected, got in zip(flat(clean), flat(dirty), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_a_row_does_not_depend_on_its_batch(model):
    batch = make_batch()
    together = run(model, batch, capture=(1,), mt=True)
    for row in range(3):
        alone = run(model, single(batch, row), capture=(1,), mt=True)
        for expected, got in zip(flat(together), flat(alone), strict=True):
            torch.testing.assert_close(got[0], expected[row], rtol=1e-4, atol=1e-4)


def flat(output):
    return [*output[:2], *output.speech, output.speech_lengths, *output.text, output.text_lengths, output.mt_nll]


@pytest.mark.parametrize("name", ["ctc_compress", "cif", "moe"])
def test_an_adapters_losses_and_lengths_come_through(name):
    model = build()
    torch.manual_seed(0)
    model.adapter = registry.build("adapter", Component(name), input_dim=6, output_dim=16, vocab_size=13).eval()
    batch = make_batch()
    output = run(model, batch, capture=(1,))
    states, lengths = model.encoder(batch.audio, batch.audio_lengths)
    expected = model.adapter.adapt(states, lengths, batch.source, batch.source_lengths)
    assert output.speech_lengths.tolist() == expected.lengths.tolist()
    assert (output.speech_lengths <= model.speech_positions(batch.audio_lengths)).all()
    for got, term in zip(output.terms, expected.terms, strict=True):
        assert got[:2] == term[:2]
        torch.testing.assert_close(got[2:], term[2:])
    for row in range(3):
        alone = run(model, single(batch, row))
        torch.testing.assert_close(alone.nll[0], output.nll[row], rtol=1e-4, atol=1e-4)
        for got, term in zip(alone.terms, output.terms, strict=True):
            torch.testing.assert_close(got.value[0], term.value[row], rtol=1e-4, atol=1e-5)


def test_adapters_without_losses_of_their_own_add_none():
    assert run(build(), make_batch()).terms == ()


@pytest.mark.parametrize(("text_gradient", "mt"), list(itertools.product([False, True], repeat=2)))
def test_gradients_flow_where_asked_for(text_gradient, mt):
    model = build()
    output = run(model, make_batch(), capture=(0, 2), text_gradient=text_gradient, mt=mt)
    assert all(states.requires_grad for states in output.speech)
    assert [states.requires_grad for states in output.text] == [text_gradient] * 2
    assert output.mt_nll.requires_grad == mt
    output.nll.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("capture", "mt", "expected"),
    [((), False, [0, 0, 0]), ((0,), False, [0, 0, 0]), ((0, 1), False, [1, 0, 0]), ((1, 2), False, [1, 1, 0]),
     ((0,), True, [1, 1, 1]), ((), True, [1, 1, 1])],
)  # fmt: skip
def test_text_branch_runs_no_deeper_than_needed(capture, mt, expected):
    model = build()
    calls = [0, 0, 0]

    def count(index):
        def hook(*_):
            calls[index] += 1

        return hook

    for index, block in enumerate(model.llm.layers):
        block.register_forward_hook(count(index))
    run(model, make_batch(), capture=capture, mt=mt)
    assert [number - 1 for number in calls] == expected


def test_only_target_positions_are_projected(monkeypatch):
    model = build()
    project, sizes = model.llm.project, []
    monkeypatch.setattr(model.llm, "project", lambda states: sizes.append(states.shape) or project(states))
    run(model, make_batch())
    assert sizes == [(0, 16), (3 + 5 + 0 + 3, 16)]


@pytest.mark.parametrize("width", [0, 3])
def test_a_batch_without_any_transcript(model, width):
    batch = replace(make_batch(source_lengths=(0, 0, 0)), source=torch.zeros(3, width, dtype=torch.long))
    output = run(model, batch, capture=(0, 1), text_gradient=True, mt=True)
    assert [tuple(states.shape) for states in output.text] == [(3, width, 16)] * 2
    assert (output.mt_nll == 0).all()
    (output.nll.sum() + output.mt_nll.sum() + sum(states.sum() for states in output.text)).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    torch.testing.assert_close(output.nll, run(model, batch).nll)


def test_without_capture_there_is_no_text_branch():
    output = run(build(), make_batch())
    assert output.speech == output.text == ()
    assert (output.mt_nll == 0).all()


def test_inputs_are_cast_to_the_weights():
    model = build().to(torch.bfloat16)
    output = run(model, make_batch(), capture=(0,), mt=True)
    assert output.speech[0].dtype == torch.bfloat16
    assert output.nll.dtype == output.mt_nll.dtype == torch.float32
    torch.testing.assert_close(output.nll, run(build(), make_batch()).nll, rtol=0.05, atol=0.1)


def test_the_text_branch_takes_no_gradient_away_under_autocast():
    grads = []
    for capture in ((), (0, 3)):
        model = build()
        with torch.autocast("cpu", torch.bfloat16):
            nll = run(model, make_batch(), capture=capture).nll
        nll.sum().backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(grads[0], grads[1], rtol=0, atol=0)


def absolute(speech_KV, text_KV):
    """A comparison of predictions that is easy to check: the distance of the logits, its teacher fixed."""
    return (speech_KV - text_KV.detach()).abs().sum(-1)


def test_divergences_compare_the_predictions_of_each_target_token(model):
    batch = make_batch()
    output = run(model, batch, divergences=(absolute, lambda x, y: 0 * x.sum(-1) + 1))
    for row in range(3):
        head, speech, text, suffix, goal = naive_rows(model, batch, row)
        if not len(text):
            assert output.divergences[0][row] == 0
            continue
        target = model.llm.embed(torch.tensor([goal[:-1]], dtype=torch.long))[0]
        logits = []
        for middle in (speech, text):
            row_ND = torch.cat([head, middle, suffix, target])
            states, _ = model.llm(row_ND[None], torch.tensor([len(row_ND)]))
            start = len(head) + len(middle) + len(suffix)
            logits.append(model.llm.project(states[0, start - 1 :]))
        expected = (logits[0] - logits[1]).abs().sum()
        torch.testing.assert_close(output.divergences[0][row], expected, rtol=1e-4, atol=1e-4)
        assert output.divergences[1][row] == len(goal)


def test_slices_change_neither_divergences_nor_gradients(monkeypatch):
    model, found = build(), []
    for size in (1000, 2):
        monkeypatch.setattr(predictions, "SLICE", size)
        model.zero_grad()
        (value,) = run(model, make_batch(), divergences=(absolute,)).divergences
        value.sum().backward()
        found.append([value.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for whole, sliced in zip(*found, strict=True):
        torch.testing.assert_close(sliced, whole, rtol=1e-4, atol=1e-5)


def test_logits_of_both_branches_are_not_kept(monkeypatch):
    """What autograd saves of a divergence has no vocabulary in its shape, except the weights."""
    monkeypatch.setattr(predictions, "SLICE", 4)
    model = build()
    weights = {p.data_ptr() for p in model.parameters()}
    sizes = []

    def save(tensor):
        if tensor.data_ptr() not in weights and tensor.dim() == 2 and tensor.size(-1) == vocabulary:
            sizes.append(tuple(tensor.shape))
        return tensor

    vocabulary = model.llm.project(torch.zeros(1, model.llm.model_dim)).size(-1)
    states = torch.randn(3, 30, model.llm.model_dim, requires_grad=True)
    start, tokens = torch.full((3,), 5), predictions.Tokens.of(torch.ones(3, 20, dtype=torch.bool))
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        predictions.token_divergence(model.llm, absolute, (states, start), (states.detach(), start), tokens)
    assert sizes == []


@pytest.mark.parametrize("text_gradient", [False, True])
def test_the_vocabulary_is_that_of_the_embeddings(text_gradient):
    model = build()
    table = run(model, make_batch(), vocabulary=torch.arange(7), text_gradient=text_gradient).vocabulary
    torch.testing.assert_close(table, model.llm.embed(torch.arange(7)[None])[0])
    assert table.requires_grad == text_gradient
    assert run(model, make_batch()).vocabulary is None


def test_divergences_need_the_translations_pass():
    with pytest.raises(ValueError, match="translate=True"):
        ForwardRequest(divergences=(absolute,), translate=False)


def test_a_teacher_alone_runs_without_gradient():
    model = build()
    output = run(model, make_batch(), divergences=(lambda x, y: (x - y).square().sum(-1),))
    assert (output.mt_nll == 0).all()
    assert not output.mt_nll.requires_grad
    assert output.divergences[0].requires_grad


def test_divergences_of_a_batch_without_transcripts():
    model = build()
    output = run(model, make_batch(source_lengths=(0, 0, 0)), divergences=(absolute,))
    (output.nll.sum() + output.divergences[0].sum()).backward()
    assert output.divergences[0].tolist() == [0, 0, 0]
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_frozen_language_model_passes_gradients_on():
    model = build()
    model.llm.requires_grad_(False)
    run(model, make_batch(), capture=(0,)).nll.sum().backward()
    assert all(p.grad is not None for p in [*model.encoder.parameters(), *model.adapter.parameters()])
    assert all(p.grad is None for p in model.llm.parameters())


def test_sub_modules_carry_the_names_that_checkpoints_match():
    prefixes = {name.split(".")[0] for name in build().state_dict()}
    assert prefixes == {"encoder", "adapter", "llm"}


@pytest.mark.parametrize("beam_size", [1, 4])
def test_generation_does_not_depend_on_the_batch(beam_size):
    model = build()
    batch = make_batch(source_lengths=(1,) * 8, target_lengths=(1,) * 8, audio_lengths=(9, 1, 4, 4, 7, 2, 8, 5), seed=3)
    config = GenerationConfig(beam_size=beam_size, max_new_tokens=8)
    model.train()
    model.encoder.eval()
    audio = batch.audio.masked_fill(~length_mask(batch.audio_lengths, 9)[..., None], torch.nan)
    together = model.generate(audio, batch.audio_lengths, config)
    assert model.training
    assert model.llm.training
    assert not model.encoder.training
    for row in range(8):
        (alone,) = model.generate(one(batch, row, "audio")[None], batch.audio_lengths[row : row + 1], config)
        assert [h.ids for h in alone] == [h.ids for h in together[row]]
        assert [h.score(1.0) for h in alone] == pytest.approx([h.score(1.0) for h in together[row]], abs=1e-4)


def test_generated_scores_are_those_of_the_forward_pass():
    model = build()
    batch = make_batch()
    rows = model.generate(batch.audio, batch.audio_lengths, GenerationConfig(beam_size=2, max_new_tokens=6))
    for row, hypotheses in enumerate(rows):
        for hypothesis in hypotheses:
            head, speech, _, suffix, _ = naive_rows(model, batch, row)
            nll = naive_nll(model.llm, torch.cat([head, speech, suffix]), [*hypothesis.ids, EOS])
            assert hypothesis.log_probability == pytest.approx(-nll.item(), abs=1e-3)


def test_transcripts_are_translated_by_the_text_branch(model):
    """Scores are those of the forward pass on the text branch, whatever the speech."""
    batch = make_batch()
    config = GenerationConfig(beam_size=2, max_new_tokens=6)
    rows = model.generate_from_text(batch.source, batch.source_lengths, config)
    for row, hypotheses in enumerate(rows):
        head, _, text, suffix, _ = naive_rows(model, batch, row)
        if not len(torch.cat([head, text, suffix])):
            continue
        for hypothesis in hypotheses:
            nll = naive_nll(model.llm, torch.cat([head, text, suffix]), [*hypothesis.ids, EOS])
            assert hypothesis.log_probability == pytest.approx(-nll.item(), abs=1e-3)


def test_too_long_rows_name_the_row_and_the_remedy():
    model = build(max_positions=10)
    with pytest.raises(DataError, match=r"row 1 of the batch has 11 positions.*holds 10.*larger stride"):
        run(model, make_batch(audio_lengths=(2, 4, 1)))
    batch = make_batch()
    with pytest.raises(DataError, match=r"has 9 positions.*and 5 tokens to generate.*lower max_new_tokens"):
        model.generate(batch.audio, batch.audio_lengths, GenerationConfig(max_new_tokens=5))


def test_training_learns_a_batch_by_heart():
    model = build().train()
    model.encoder.dropout = nn.Identity()
    batch = make_batch(target_lengths=(3, 5, 4), audio_lengths=(9, 4, 6))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        output = run(model, batch, capture=(0, 1))
        (output.nll.sum() / output.num_targets.sum()).backward()
        optimizer.step()
    rows = model.generate(batch.audio, batch.audio_lengths, GenerationConfig(beam_size=4, max_new_tokens=9))
    assert [list(row[0].ids) for row in rows] == [one(batch, r, "target").tolist() for r in range(3)]
