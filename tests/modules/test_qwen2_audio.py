"""Qwen2-Audio taken apart into three components, against transformers' own whole model."""

import copy
import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.llms.base import GenerationConfig
from aista.modules.llms.hf_causal_lm import HFCausalLMConfig, build_hf_causal_lm
from aista.modules.lsm import ForwardRequest, LargeSpeechTextModel
from aista.modules.prompt import PromptIds
from aista.schema import Component
from aista.testing.contracts import run
from aista.types import SpeechBatch
from tests.modules.checks import check_padding, check_rows_are_independent, padded

from .qwen2_audio import AUDIO, EOS, FRAMES, MELS, VOCABULARY, make_model

BEFORE, AFTER, TARGET = (5, 6), (7,), (8, 9, 10)


def component(kind, folder, **options):
    entry = registry.get(kind, "qwen2_audio")
    return Component("qwen2_audio", entry.config(path=folder, **options))


def build(kind, folder, **dependencies):
    return registry.build(kind, component(kind, folder), **dependencies)


@pytest.fixture(scope="module")
def reference():
    return make_model()


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("qwen2_audio")
    reference.save_pretrained(path, max_shard_size="8KB")
    assert len(list(path.glob("*.safetensors"))) > 3
    return path


@pytest.fixture
def model(folder):
    return assemble(folder)


def assemble(folder):
    encoder = build("encoder", folder, feature_dim=MELS)
    llm = build("llm", folder, vocab_size=VOCABULARY)
    adapter = build("adapter", folder, input_dim=encoder.output_dim, output_dim=llm.model_dim)
    prompt = PromptIds(BEFORE, AFTER)
    return LargeSpeechTextModel(encoder, adapter, llm, prompt=prompt, bos_id=None, eos_id=EOS, pad_id=0).eval()


def theirs(reference, x, ids):
    """transformers' forward of one clip of full length."""
    return {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "input_features": x.transpose(1, 2),
        "feature_attention_mask": torch.ones(1, x.size(1), dtype=torch.long),
    }


def test_loss_and_layer_states_are_those_of_transformers(model, reference):
    x, lengths = padded([FRAMES], MELS)
    speech = [AUDIO] * (FRAMES // 4)
    ids = [*BEFORE, *speech, *AFTER, *TARGET, EOS]
    with torch.no_grad():
        expected = reference(**theirs(reference, x, ids), output_hidden_states=True)
        empty = torch.zeros(1, 1, dtype=torch.long)
        target, target_lengths = torch.tensor([TARGET]), torch.tensor([len(TARGET)])
        batch = SpeechBatch(("row",), x, lengths, empty, torch.tensor([0]), target, target_lengths)
        out = model(batch, ForwardRequest(capture=(0, 1, 2)))
    logp = expected.logits[0, :-1].log_softmax(-1)
    nll = -sum(logp[place - 1, ids[place]] for place in range(len(ids) - len(TARGET) - 1, len(ids)))
    assert_close(out.nll[0], nll, rtol=1e-4, atol=1e-4)
    for state, other in zip(out.speech, expected.hidden_states, strict=False):
        assert_close(state[0], other[0, len(BEFORE) : len(BEFORE) + len(speech)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [FRAMES - 1, 28, 12, 5])
def test_a_short_clip_is_near_to_what_transformers_makes_of_it_in_silence(model, reference, length):
    """Attention sees the silence in neither; transformers' convolutions see where it begins. The bound is Whisper's."""
    x, lengths = padded([length], MELS)
    full = torch.cat([x, torch.full((1, FRAMES - length, MELS), -1.5)], dim=1)
    speech = [AUDIO] * ((length + 1) // 4)
    inputs = theirs(reference, full, [*BEFORE, *speech, *AFTER])
    inputs["feature_attention_mask"] = (torch.arange(FRAMES) < length).long()[None]
    with torch.no_grad():
        expected = reference(**inputs, output_hidden_states=True).hidden_states[0][0, len(BEFORE) :][: len(speech)]
        found, found_lengths = model.encode_speech(x, lengths)
    assert found_lengths.tolist() == [len(speech)]
    assert 1e-4 < (found[0] - expected).norm() / expected.norm() < 0.64  # the largest in docs/encoders.md


@pytest.mark.parametrize("beam_size", [2, 4])
def test_beam_search_is_that_of_transformers(folder, reference, beam_size, tmp_path):
    reference = copy.deepcopy(reference)
    with torch.no_grad():
        reference.language_model.lm_head.weight[EOS] *= 4  # else searches never end
    reference.save_pretrained(tmp_path)
    x, lengths = padded([FRAMES] * 6, MELS, seed=3)
    ids = [*BEFORE, *[AUDIO] * (FRAMES // 4), *AFTER]
    options = {"do_sample": False, "max_new_tokens": 20, "num_beams": beam_size, "length_penalty": 0.7}
    options |= {"early_stopping": True, "suppress_tokens": [0], "pad_token_id": 0, "eos_token_id": EOS}
    search = GenerationConfig(beam_size=beam_size, max_new_tokens=20, length_penalty=0.7)
    compared = set()
    for row, ours in enumerate(assemble(tmp_path).generate(x, lengths, search)):
        output = reference.generate(**theirs(reference, x[row : row + 1], ids), **options)
        expected = output[0, len(ids) :].tolist()
        if EOS in expected:  # the last of our tokens is always EOS, which transformers does not ask for
            assert [*ours[0].ids, EOS] == expected
            compared.add(ours[0].ids)
    assert len(compared) > 2


def test_translations_are_those_of_transformers(model, reference):
    """Greedy; the last of our tokens is always EOS, which transformers does not ask for."""
    x, lengths = padded([FRAMES], MELS, seed=3)
    ids = [*BEFORE, *[AUDIO] * (FRAMES // 4), *AFTER]
    options = {"do_sample": False, "max_new_tokens": 11, "pad_token_id": 0, "eos_token_id": EOS}
    expected = reference.generate(**theirs(reference, x, ids), **options)[0, len(ids) :].tolist()
    found = model.generate(x, lengths, GenerationConfig(beam_size=1, max_new_tokens=12))[0][0].ids
    assert len(found) > 4
    assert list(found) == [token for token in expected if token != EOS][: len(found)]


@pytest.mark.parametrize("length", [4, 12, 36])
def test_a_short_clip_is_encoded_as_by_a_model_of_its_length(folder, reference, length):
    short = make_model(max_source_positions=length // 2).audio_tower
    weights = reference.audio_tower.state_dict()
    weights["embed_positions.weight"] = weights["embed_positions.weight"][: length // 2]
    short.load_state_dict(weights)
    x, lengths = padded([length], MELS)
    states, state_lengths = build("encoder", folder, feature_dim=MELS).eval()(x, lengths)
    with torch.no_grad():
        assert_close(states, short(x.transpose(1, 2)).last_hidden_state, rtol=1e-4, atol=1e-5)
    assert state_lengths.tolist() == [length // 4]


def test_lengths_count_whole_pairs(folder):
    encoder = build("encoder", folder, feature_dim=MELS).eval()
    lengths = torch.tensor([3, 4, 5, 6, 7, 8, FRAMES + 3])
    assert encoder.output_lengths(lengths).tolist() == [1, 1, 1, 1, 2, 2, FRAMES // 4 + 1]
    x, lengths = padded(lengths.tolist(), MELS)
    assert encoder(x, lengths)[1].tolist() == [1, 1, 1, 1, 2, 2, FRAMES // 4 + 1]
    with pytest.raises(DataError, match=r"row 0 .* 2 feature frames; the encoder takes at least 3"):
        encoder(*padded([2], MELS))


def test_padding_and_batch_never_matter(folder):
    encoder = build("encoder", folder, feature_dim=MELS)
    check_padding(encoder, *padded([FRAMES, 13, 22], MELS))
    check_rows_are_independent(encoder, *padded([FRAMES + 9, 13, 22], MELS))


@pytest.mark.parametrize("kind", ["encoder", "llm"])
def test_contracts(folder, kind):
    outcomes = run(kind, "qwen2_audio", {"path": str(folder)})
    assert [str(outcome) for outcome in outcomes if outcome.status == "FAIL"] == []
    assert sum(outcome.status == "PASS" for outcome in outcomes) >= 4


def test_contracts_of_the_adapter(tmp_path):
    make_model(hidden_size=24).save_pretrained(tmp_path)
    outcomes = run("adapter", "qwen2_audio", {"path": str(tmp_path)})
    assert len(outcomes) > 4
    assert [str(outcome) for outcome in outcomes if outcome.status != "PASS"] == []


def test_each_part_reads_its_own_shards_alone(folder, tmp_path):
    other = tmp_path / "copy"
    shutil.copytree(folder, other)
    index = json.loads((other / "model.safetensors.index.json").read_text())["weight_map"]
    towers = {file for name, file in index.items() if name.startswith("audio_tower")}
    for file in towers - {file for name, file in index.items() if not name.startswith("audio_tower")}:
        (other / file).unlink()
    build("llm", other, vocab_size=VOCABULARY)
    with pytest.raises(ConfigError, match=r"is missing, but model\.safetensors\.index\.json names it"):
        build("encoder", other, feature_dim=MELS)


def test_what_is_wrong_with_a_folder_is_said(folder, reference, tmp_path):
    reference.save_pretrained(tmp_path / "whole")
    file = tmp_path / "whole" / "model.safetensors"
    tensors = load_file(file)

    def refusal(kind="encoder", dependencies=None):
        with pytest.raises(ConfigError) as caught:
            build(kind, tmp_path / "whole", **(dependencies or {"feature_dim": MELS}))
        return str(caught.value)

    kept = {name: tensor for name, tensor in tensors.items() if name != "audio_tower.conv1.bias"}
    save_file(kept, file)
    assert "lack 1 tensors, e.g. audio_tower.conv1.bias" in refusal()
    save_file({**tensors, "audio_tower.conv1.bias": torch.zeros(3)}, file)
    assert "audio_tower.conv1.bias in" in refusal()
    assert "has shape [3], but config.json describes [16]" in refusal()
    file.write_bytes(file.read_bytes()[:-10])
    assert "damaged or no safetensors" in refusal()
    file.rename(file.with_name("pytorch_model.bin"))
    assert "only pytorch_model.bin, which can run code when loaded" in refusal()
    transformers.Qwen2Config().save_pretrained(tmp_path / "whole")
    assert "holds a model of type 'qwen2', not 'qwen2_audio'" in refusal("llm", {"vocab_size": 9})
    (tmp_path / "whole" / "config.json").unlink()
    assert "no config.json in it" in refusal()


def test_parts_that_do_not_fit_are_refused(folder):
    with pytest.raises(ConfigError, match=r"log-mel features of 80 channels, .* 128 channels"):
        build("encoder", folder, feature_dim=128)
    with pytest.raises(ConfigError, match=r"width 16 into 16, but the encoder gives 8 and the LLM takes 16"):
        build("adapter", folder, input_dim=8, output_dim=16)
    with pytest.raises(ConfigError, match=rf"has {VOCABULARY} tokens, fewer than the tokenizer's 500"):
        build("llm", folder, vocab_size=500)


def test_a_tied_language_model_keeps_its_projection(tmp_path):
    """``lm_head`` is in no file then, and must not stay arbitrary."""
    saved = make_model(tie_word_embeddings=True)
    saved.save_pretrained(tmp_path)
    assert "language_model.lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    llm, ids = build("llm", tmp_path, vocab_size=VOCABULARY).eval(), torch.tensor([[5, 6, 7]])
    final, _ = llm(llm.embed(ids), torch.tensor([3]))
    with torch.no_grad():
        assert_close(llm.project(final), saved.language_model(ids).logits, rtol=1e-4, atol=1e-5)


def test_hf_causal_lm_names_the_component_that_reads_such_a_folder(folder):
    with pytest.raises(ValueError, match=r"not a causal language model; the llm 'qwen2_audio' reads the one inside"):
        build_hf_causal_lm(HFCausalLMConfig(path=folder), vocab_size=VOCABULARY)


def test_types_of_the_language_model(folder):
    assert registry.build("llm", component("llm", folder, dtype="bfloat16"), vocab_size=9).model.dtype == torch.bfloat16
    outline = component("llm", folder).config.outline(vocab_size=VOCABULARY)
    assert {parameter.device.type for parameter in outline.parameters()} == {"meta"}
