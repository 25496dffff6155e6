import json

import pytest
import torch
from torch.testing import assert_close
from transformers import WhisperConfig as HfConfig
from transformers import WhisperForConditionalGeneration, WhisperModel

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.encoders.whisper import WhisperConfig, whisper
from aista.modules.freezing import freeze
from aista.modules.transformers_versions import states_of
from aista.schema import Component
from tests.modules.checks import check_follows_weight_dtype, check_padding, check_rows_are_independent, padded

MAX_STATES = 30


def tiny_config(max_source_positions: int = MAX_STATES) -> HfConfig:
    return HfConfig(
        vocab_size=20,
        num_mel_bins=6,
        d_model=16,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=24,
        max_source_positions=max_source_positions,
        max_target_positions=10,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


@pytest.fixture(scope="module")
def reference():
    torch.manual_seed(0)
    model = WhisperModel(tiny_config()).eval()
    for parameter in model.encoder.layers.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)  # else attention is nearly uniform
    return model


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("whisper")
    reference.save_pretrained(path)
    return path


@pytest.fixture
def encoder(folder):
    return whisper(WhisperConfig(path=folder), feature_dim=6).eval()


def test_full_clip_equals_hugging_face(encoder, reference):
    x, lengths = padded([2 * MAX_STATES] * 2, 6)
    states, state_lengths = encoder(x, lengths)
    expected = reference.encoder(x.transpose(1, 2)).last_hidden_state
    assert state_lengths.tolist() == [MAX_STATES] * 2
    assert_close(states, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [2, 14, 40])
def test_short_clip_equals_hugging_face_with_a_short_table(encoder, reference, length):
    short = WhisperModel(tiny_config(length // 2)).eval()
    weights = reference.state_dict()
    weights["encoder.embed_positions.weight"] = weights["encoder.embed_positions.weight"][: length // 2]
    short.load_state_dict(weights)
    x, lengths = padded([length], 6)
    expected = short.encoder(x.transpose(1, 2)).last_hidden_state
    assert_close(encoder(x, lengths)[0], expected, rtol=1e-4, atol=1e-5)


def test_short_clip_equals_the_30_second_path_with_masked_keys(encoder, reference):
    """Hugging Face's layers over the whole table, silence masked, give the same states as our short run."""
    length = 22
    x, lengths = padded([length], 6)
    hf = reference.encoder
    full = torch.cat([x, torch.zeros(1, 2 * MAX_STATES - length, 6)], 1).transpose(1, 2)
    h = torch.nn.functional.gelu(hf.conv1(full))
    h[..., length:] = 0
    h = torch.nn.functional.gelu(hf.conv2(h)).transpose(1, 2) + hf.embed_positions.weight
    mask = torch.zeros(1, 1, MAX_STATES, MAX_STATES)
    mask[..., length // 2 :] = -torch.inf
    for layer in hf.layers:
        h = states_of(layer(h, mask, layer_head_mask=None))
    assert_close(encoder(x, lengths)[0], hf.layer_norm(h)[:, : length // 2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [10, 22, 50])
def test_silence_up_to_30_seconds_changes_the_states_and_is_exact_where_it_is_given(encoder, reference, length):
    """At their own length, short clips approximate Whisper's padded ones: see docs/encoders.md."""
    x, lengths = padded([length], 6)
    full = torch.cat([x, torch.full((1, 2 * MAX_STATES - length, 6), -1.5)], 1)
    with torch.no_grad():
        expected = reference.encoder(full.transpose(1, 2)).last_hidden_state
        assert torch.equal(encoder(full, torch.tensor([2 * MAX_STATES]))[0], expected)
        own = encoder(x, lengths)[0]
    expected = expected[:, : own.size(1)]
    assert 0.02 < (own - expected).norm() / expected.norm() < 0.6


def test_padding_and_batch_never_matter(encoder):
    check_padding(encoder, *padded([41, 1, 20], 6))
    check_rows_are_independent(encoder, *padded([41, 1, 20], 6))


def test_padding_beyond_the_position_table_is_cut(encoder):
    x, lengths = padded([2 * MAX_STATES, 9], 6)
    wide = torch.cat([x, torch.zeros(2, 7, 6)], 1)
    assert_close(encoder(wide, lengths)[0], encoder(x, lengths)[0])


def test_lengths_and_layers(encoder):
    states, lengths = encoder(*padded([41, 1, 20], 6))
    assert lengths.tolist() == [21, 1, 10]
    assert states.shape == (3, 21, 16)
    assert encoder.output_dim == 16
    assert len(encoder.layers) == 2


def test_follows_the_dtype_of_its_weights(encoder):
    check_follows_weight_dtype(encoder, *padded([41, 20], 6))


@pytest.mark.parametrize("length", [61, 119, 120, 150])
def test_longer_clips_are_encoded_in_windows_that_do_not_overlap(encoder, reference, length):
    x, lengths = padded([length, 60, 7], 6)
    states, state_lengths = encoder(x, lengths)
    assert state_lengths.tolist() == [-(-length // 2), 30, 4] == encoder.output_lengths(lengths).tolist()
    start = 0
    for begin in range(0, length, 2 * MAX_STATES):
        piece = x[:1, begin : min(begin + 2 * MAX_STATES, length)]
        alone, count = encoder(piece, torch.tensor([piece.size(1)]))
        assert_close(states[0, start : start + int(count)], alone[0], rtol=1e-4, atol=1e-5)
        start += int(count)
    assert start == int(state_lengths[0])
    first = reference.encoder(x[:1, : 2 * MAX_STATES].transpose(1, 2)).last_hidden_state[0]
    assert_close(states[0, :MAX_STATES], first, rtol=1e-4, atol=1e-5)


def test_padding_and_batch_never_matter_in_windows(encoder):
    check_padding(encoder, *padded([130, 1, 61, 60], 6))
    check_rows_are_independent(encoder, *padded([130, 1, 61, 60], 6))


def test_an_empty_row_is_refused(encoder):
    with pytest.raises(DataError, match=r"row 1 .*0 feature frames.*at least 1"):
        encoder(*padded([5, 0], 6))


@pytest.mark.parametrize("layer", [0, 1, 2, "weighted"])
def test_layers_are_numbered_as_in_transformers(folder, reference, layer):
    encoder = whisper(WhisperConfig(path=folder, layers=layer), feature_dim=6).eval()
    x, lengths = padded([2 * MAX_STATES], 6)
    hidden = reference.encoder(x.transpose(1, 2), output_hidden_states=True).hidden_states
    expected = torch.stack(hidden).mean(dim=0) if layer == "weighted" else hidden[layer]
    assert_close(encoder(x, lengths)[0], expected, rtol=1e-4, atol=1e-5)
    check_padding(encoder, *padded([41, 70, 20], 6))
    with pytest.raises(ValueError, match=r"layers must be last, weighted or a number in 0..2, got 3"):
        whisper(WhisperConfig(path=folder, layers=3), feature_dim=6)


def test_the_body_can_be_frozen_without_the_weights_of_the_sum(folder):
    holder = torch.nn.Module()
    holder.encoder = whisper(WhisperConfig(path=folder, layers="weighted"), feature_dim=6)
    freeze(holder, [r"encoder\.(?!mix).*"])
    assert [name for name, p in holder.named_parameters() if p.requires_grad] == ["encoder.mix.weights"]


def test_only_whispers_own_features_are_expected(encoder):
    remedy = "{name: whisper_log_mel, config: {num_mels: 6}}"
    assert tuple(encoder.expected_input) == ("whisper_log_mel", 16_000, remedy)


def test_positions_are_not_trained_and_survive_a_checkpoint(encoder, folder):
    assert not any("position" in name for name, _ in encoder.named_parameters())
    assert "positions" in encoder.state_dict()
    other = whisper(WhisperConfig(path=folder), feature_dim=6)
    other.load_state_dict(encoder.state_dict())


def test_is_trainable_until_frozen(folder):
    encoder = whisper(WhisperConfig(path=folder), feature_dim=6)
    assert all(module.training for module in encoder.modules())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    model = torch.nn.ModuleDict({"encoder": encoder, "head": torch.nn.Linear(16, 2)})
    freeze(model, ["encoder"])
    assert not encoder.training


def test_loads_what_a_generation_model_saved(tmp_path, reference):
    model = WhisperForConditionalGeneration(tiny_config())
    model.model.load_state_dict(reference.state_dict())
    model.save_pretrained(tmp_path)
    encoder = whisper(WhisperConfig(path=tmp_path), feature_dim=6)
    assert_close(encoder.conv1.weight, reference.encoder.conv1.weight)


@pytest.mark.parametrize(("feature_dim", "received"), [(80, "80 channels"), (0, "raw waveforms")])
def test_other_features_are_refused(folder, feature_dim, received):
    spec = Component("whisper", WhisperConfig(path=folder))
    with pytest.raises(ConfigError, match=rf"reads log-mel features of 6 channels.*{received}.*whisper_log_mel"):
        registry.build("encoder", spec, feature_dim=feature_dim)


def test_wrong_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere is not the folder of a Hugging Face model \(no such folder"):
        whisper(WhisperConfig(path=tmp_path / "nowhere"), feature_dim=6)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"holds a model of type 'bert', not 'whisper'"):
        whisper(WhisperConfig(path=tmp_path), feature_dim=6)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json is not valid JSON"):
        whisper(WhisperConfig(path=tmp_path), feature_dim=6)


def test_folder_without_weights(tmp_path):
    tiny_config().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"holds no weights \(model.safetensors\); .* read only from \*.safetensors"):
        whisper(WhisperConfig(path=tmp_path), feature_dim=6)


def test_missing_tensors_are_not_filled_at_random(tmp_path, reference):
    state = {key: value for key, value in reference.state_dict().items() if key != "encoder.conv1.weight"}
    reference.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"lack 1 tensors, e.g. encoder.conv1.weight"):
        whisper(WhisperConfig(path=tmp_path), feature_dim=6)
