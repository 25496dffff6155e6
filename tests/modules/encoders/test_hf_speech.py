import json
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.encoders.hf_speech import HFSpeechConfig, hf_speech
from aista.modules.freezing import freeze, keep_frozen_in_eval
from aista.schema import Component
from tests.modules.checks import check_follows_weight_dtype, check_padding, check_rows_are_independent, padded

from .folders import FBANK_KINDS, KINDS, WAVE_KINDS, make_folder, make_model

LENGTHS = [333, 100, 57]  # samples, or feature frames


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Kind -> (transformers' model, its folder), made once."""
    made = {}

    def get(kind):
        if kind not in made:
            model = make_model(kind)
            made[kind] = (model, make_folder(tmp_path_factory.mktemp(kind), kind, model=model))
        return made[kind]

    return get


def build(folder, kind, **options):
    feature_dim = 160 if kind in FBANK_KINDS else 0
    return hf_speech(HFSpeechConfig(path=folder, **options), feature_dim=feature_dim)


def inputs(kind, lengths=LENGTHS):
    return padded(lengths, 160) if kind in FBANK_KINDS else padded(lengths)


@pytest.mark.parametrize("kind", KINDS)
def test_states_equal_those_of_transformers_on_each_row_alone(kind, saved):
    reference, folder = saved(kind)
    encoder = build(folder, kind).eval()
    audio, lengths = inputs(kind)
    with torch.no_grad():
        states, state_lengths = encoder(audio, lengths)
        for row, length in enumerate(lengths.tolist()):
            expected = reference(audio[row : row + 1, :length]).last_hidden_state
            assert expected.size(1) == int(state_lengths[row])
            assert_close(states[row, : expected.size(1)], expected[0], rtol=1e-4, atol=2e-5)
            alone, _ = encoder(audio[row : row + 1, :length], lengths[row : row + 1])
            if not kind.startswith("wavlm"):  # whose attention runs by another kernel
                assert torch.equal(alone, expected)


def hidden_states(reference, audio):
    """Before each block, and the model's own last state: transformers 5 lists that before the last norm."""
    output = reference(audio, output_hidden_states=True)
    return (*output.hidden_states[:-1], output.last_hidden_state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_layers_are_numbered_as_in_transformers(kind, layer, saved):
    reference, folder = saved(kind)
    encoder = build(folder, kind, layers=layer).eval()
    audio, lengths = inputs(kind, [200])
    expected = hidden_states(reference, audio)[layer]
    assert_close(encoder(audio, lengths)[0], expected, rtol=1e-4, atol=2e-5)
    assert len(encoder.layers) == layer


@pytest.mark.parametrize("kind", KINDS)
def test_weighted_sum_is_that_of_all_hidden_states(kind, saved):
    reference, folder = saved(kind)
    encoder = build(folder, kind, layers="weighted").eval()
    audio, lengths = inputs(kind, [200])
    hidden = torch.stack(hidden_states(reference, audio))
    assert_close(encoder(audio, lengths)[0], hidden.mean(dim=0), rtol=1e-4, atol=2e-5)
    encoder.mix.weights.data = torch.tensor([0.3, -1.0, 2.0, 0.0])
    expected = torch.einsum("k,kbse->bse", torch.tensor([0.3, -1.0, 2.0, 0.0]).softmax(0), hidden)
    assert_close(encoder(audio, lengths)[0], expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_batch_never_matter(kind, saved):
    check_padding(build(saved(kind)[1], kind, layers="weighted"), *inputs(kind))
    check_rows_are_independent(build(saved(kind)[1], kind), *inputs(kind))


@pytest.mark.parametrize("kind", ["wav2vec2-base", "data2vec", "hubert-batch-norm"])
def test_transformers_own_batches_do_depend_on_padding(kind, saved):
    """Why the forward is our own: with its attention mask, transformers still mixes padding into the states."""
    reference, _ = saved(kind)
    audio, lengths = inputs(kind)
    mask = torch.arange(audio.size(1))[None] < lengths[:, None]
    with torch.no_grad():
        batched = reference(audio, attention_mask=mask.long()).last_hidden_state[2]
        alone = reference(audio[2:, :57]).last_hidden_state[0]
    assert (batched[: len(alone)] - alone).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["wav2vec2-base", "wavlm-large", "w2v-bert", "w2v-bert-rotary"])
def test_follows_the_dtype_of_its_weights(kind, saved):
    check_follows_weight_dtype(build(saved(kind)[1], kind), *inputs(kind))


@pytest.mark.parametrize("kind", ["wav2vec2-base", "hubert-batch-norm", "wavlm-base", "w2v-bert"])
def test_training_is_deterministic_and_independent_of_the_batch_without_dropout(kind, saved, tmp_path):
    none = dict.fromkeys(
        ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "conformer_conv_dropout"),
        0.0,
    )
    folder = make_folder(tmp_path, kind, model=make_model(kind, **none))
    encoder = build(folder, kind).train()
    audio, lengths = inputs(kind)
    states, state_lengths = encoder(audio, lengths)
    assert torch.equal(encoder(audio, lengths)[0], states)
    alone, _ = encoder(audio[1:2, :100], lengths[1:2])
    assert_close(states[1, : int(state_lengths[1])], alone[0], rtol=1e-4, atol=2e-5)


def test_lengths_and_range(saved):
    encoder = build(saved("wav2vec2-base")[1], "wav2vec2-base")
    shortest = encoder.length_range[0]
    assert encoder(*padded([shortest]))[1].tolist() == [1]
    with pytest.raises(DataError, match=rf"row 1 .*{shortest - 1} samples.*at least {shortest}; drop the row"):
        encoder(*padded([100, shortest - 1]))
    assert encoder.output_dim == 16
    bert = build(saved("w2v-bert")[1], "w2v-bert")
    assert bert.output_lengths(torch.tensor([7, 1])).tolist() == [7, 1]
    with pytest.raises(DataError, match=r"row 0 .*0 feature frames.*at least 1"):
        bert(torch.zeros(1, 4, 160), torch.tensor([0]))


def test_fifty_states_a_second_from_400_samples_on(tmp_path):
    sizes = {"conv_dim": [4] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2]}
    model = make_model("wav2vec2-base", num_feat_extract_layers=7, **sizes)
    encoder = build(make_folder(tmp_path, "wav2vec2-base", model=model), "wav2vec2-base").eval()
    lengths = torch.tensor([16_000, 719, 400])
    expected = [int(model._get_feat_extract_output_lengths(length)) for length in lengths]
    assert encoder(torch.randn(3, 16_000), lengths)[1].tolist() == expected == [49, 1, 1]
    assert encoder.length_range[0] == 400


def test_masking_and_layerdrop_are_off_until_set(saved):
    reference, folder = saved("wav2vec2-base")
    assert reference.config.mask_time_prob > 0
    assert reference.config.layerdrop > 0
    plain = build(folder, "wav2vec2-base")
    assert not any("masked_spec_embed" in name for name, _ in plain.named_parameters())
    masked = build(folder, "wav2vec2-base", mask_time_prob=0.5, mask_time_length=2, mask_feature_prob=0.3)
    audio, lengths = inputs("wav2vec2-base")
    assert torch.equal(masked.eval()(audio, lengths)[0], plain.eval()(audio, lengths)[0])
    masked.model.train()
    masked(audio, lengths)[0].pow(3).sum().backward()
    assert all(parameter.grad is not None for parameter in masked.parameters())


@pytest.mark.parametrize("option", [{"mask_time_prob": 0.6, "mask_time_length": 3}, {"mask_feature_prob": 0.5}])
def test_masks_change_training_only(option, tmp_path):
    none = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)
    folder = make_folder(tmp_path, "hubert-base", model=make_model("hubert-base", **none))
    encoder = build(folder, "hubert-base", **option).train()
    audio, lengths = inputs("hubert-base")
    torch.manual_seed(3)
    first, again = encoder(audio, lengths)[0], encoder(audio, lengths)[0]
    assert not torch.equal(first, again)
    torch.manual_seed(3)
    assert torch.equal(encoder(audio, lengths)[0], first)
    encoder.eval()
    assert torch.equal(encoder(audio, lengths)[0], encoder(audio, lengths)[0])


def test_masked_frames_hold_the_models_vector(saved):
    encoder = build(saved("wav2vec2-base")[1], "wav2vec2-base", mask_time_prob=1.0, mask_time_length=1).train()
    masked = encoder._mask_spans(torch.randn(1, 6, 16), torch.tensor([6]))
    assert_close(masked[0], encoder.model.masked_spec_embed.expand(6, 16))


def test_layerdrop_skips_blocks_and_keeps_all_gradients(tmp_path):
    none = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)
    folder = make_folder(tmp_path, "wavlm-base", model=make_model("wavlm-base", **none))
    encoder = build(folder, "wavlm-base", layerdrop=0.5).train()
    audio, lengths = inputs("wavlm-base")
    torch.manual_seed(0)
    with torch.no_grad():
        seen = {float(encoder(audio, lengths)[0].square().sum()) for _ in range(60)}
    assert len(seen) == 2**3
    encoder(audio, lengths)[0].pow(3).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_freezing_the_model_leaves_the_weights_of_the_sum(saved):
    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = build(saved("wavlm-base")[1], "wavlm-base", layers="weighted", layerdrop=0.5)

    holder = Holder()
    freeze(holder, [r"encoder\.model"])
    assert [name for name, p in holder.named_parameters() if p.requires_grad] == ["encoder.mix.weights"]
    holder.train()
    keep_frozen_in_eval(holder)
    audio, lengths = inputs("wavlm-base")
    first = holder.encoder(audio, lengths)[0]
    assert torch.equal(holder.encoder(audio, lengths)[0], first), "dropout and LayerDrop are off in a frozen model"
    first.pow(3).sum().backward()
    assert holder.encoder.mix.weights.grad.abs().max() > 0


@pytest.mark.parametrize("kind", ["wavlm-base", "wav2vec2-large"])
def test_no_warning_is_raised_for_padded_batches(saved, kind):
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        build(saved(kind)[1], kind)(*inputs(kind))
    assert not raised


def test_a_ctc_checkpoint_gives_its_encoder(tmp_path):
    from transformers import Wav2Vec2ForCTC

    model = make_model("wav2vec2-large")
    ctc = Wav2Vec2ForCTC(model.config)
    ctc.wav2vec2.load_state_dict(model.state_dict())
    encoder = build(make_folder(tmp_path, "wav2vec2-large", model=ctc), "wav2vec2-large").eval()
    audio, lengths = inputs("wav2vec2-large", [200])
    assert_close(encoder(audio, lengths)[0], model(audio).last_hidden_state)


def test_published_names_of_the_position_convolution_are_known(tmp_path, saved):
    """Checkpoints on the hub hold weight_g and weight_v, as PyTorch named them before parametrizations."""
    reference, folder = saved("hubert-base")
    state = load_file(folder / "model.safetensors")
    old = {name.replace("parametrizations.weight.original0", "weight_g"): tensor for name, tensor in state.items()}
    old = {name.replace("parametrizations.weight.original1", "weight_v"): tensor for name, tensor in old.items()}
    assert set(old) != set(state)
    copy = make_folder(tmp_path, "hubert-base")
    save_file(old, copy / "model.safetensors", metadata={"format": "pt"})
    audio, lengths = inputs("hubert-base", [200])
    states, _ = build(copy, "hubert-base").eval()(audio, lengths)
    assert torch.equal(states, reference(audio).last_hidden_state)


@pytest.mark.parametrize(
    ("kind", "feature_dim", "message"),
    [
        (
            "hubert-base",
            80,
            r"hubert model in .* reads raw waveforms, .* 80 channels; .*name: waveform.*normalize: true",
        ),
        ("w2v-bert", 80, "reads features of 160 channels, .* are 80 channels; set data.feature: seamless_fbank"),
        ("w2v-bert", 0, r"are raw waveforms \(feature_dim 0\)"),
    ],
)
def test_features_of_another_kind_are_refused(kind, feature_dim, message, saved):
    with pytest.raises(ConfigError, match=message):
        registry.build("encoder", Component("hf_speech", HFSpeechConfig(path=saved(kind)[1])), feature_dim=feature_dim)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("normalized waveform", 16_000, "{name: waveform, config: {normalize: true, sample_rate: 16000}}")),
        (
            {"do_normalize": False, "sampling_rate": 8000},
            ("plain waveform", 8000, "{name: waveform, config: {normalize: false, sample_rate: 8000}}"),
        ),
    ],
)
def test_the_preprocessor_config_says_what_input_is_expected(settings, expected, tmp_path):
    encoder = build(make_folder(tmp_path, "wavlm-base", **settings), "wavlm-base")
    assert tuple(encoder.expected_input) == expected


def test_wrong_folders_are_named(tmp_path):
    def fails(message, **options):
        with pytest.raises(ValueError, match=message):
            build(tmp_path / "model", "wav2vec2-base", **options)

    fails(r"model is not the folder of a Hugging Face model \(no such folder\)")
    folder = make_folder(tmp_path / "model", "wav2vec2-base")
    fails(r"layers must be last, weighted or a number in 0..3, got 4", layers=4)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    fails(r"holds a model of type 'bert', not 'wav2vec2' or 'hubert'")
    (folder / "config.json").write_text(json.dumps(config | {"add_adapter": True}))
    fails(r"has a head over its frame states \(add_adapter: true.*set add_adapter to false")
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    fails(r"lack 16 tensors, e.g. encoder.layers.3.*incomplete or belong to another architecture")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text("[]")
    fails(r"preprocessor_config.json must hold a JSON object, got list")
    (folder / "preprocessor_config.json").unlink()
    fails(r"lacks preprocessor_config.json, which says what input the model was trained on; copy it")


def test_only_safetensors_are_read(tmp_path):
    folder = make_folder(tmp_path, "wav2vec2-base")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"holds no weights \(model.safetensors\); .* read only from \*.safetensors"):
        build(folder, "wav2vec2-base")
    torch.save(make_model("wav2vec2-base").state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"holds only pytorch_model.bin, which can run code when loaded"):
        build(folder, "wav2vec2-base")
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=r"cannot be loaded"):
        build(folder, "wav2vec2-base")


def test_a_mask_vector_that_was_never_trained_is_missed(tmp_path):
    folder = make_folder(tmp_path, "wav2vec2-base", model=make_model("wav2vec2-base", mask_time_prob=0.0))
    build(folder, "wav2vec2-base", mask_feature_prob=0.2)
    with pytest.raises(ValueError, match=r"lack 1 tensors, e.g. masked_spec_embed"):
        build(folder, "wav2vec2-base", mask_time_prob=0.2)


def test_filterbanks_that_no_feature_gives_are_refused(tmp_path):
    folder = make_folder(tmp_path, "w2v-bert", num_mel_bins=40)
    with pytest.raises(ValueError, match=r"asks for 40 mels, stacked by 2, at 16000 Hz; the feature seamless_fbank"):
        build(folder, "w2v-bert")


def test_all_kinds_are_tested():
    assert len(WAVE_KINDS) + len(FBANK_KINDS) == len(KINDS)
