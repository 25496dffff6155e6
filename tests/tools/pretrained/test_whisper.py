import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from aista.errors import DataError
from aista.modules.encoders.whisper import WhisperConfig
from aista.modules.encoders.whisper import whisper as build_encoder
from tests.tools.pretrained.conftest import TIMES
from tests.tools.pretrained.ct2_file import model_bytes
from tools.pretrained.ctranslate2 import CTranslate2Model
from tools.pretrained.whisper import convert_whisper, whisper_state

ALIASES = {"decoder/projection/weight": "decoder/embeddings/weight"}


@pytest.fixture
def folder(whisper_files, tmp_path):
    folder = tmp_path / "whisper"
    folder.mkdir()
    convert_whisper(whisper_files, folder, torch.float32)
    return folder


def test_the_converted_model_is_the_one_it_was_made_from(folder, whisper):
    model, report = WhisperForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    weights = model.state_dict()
    assert weights.keys() == whisper.state_dict().keys()
    for name, tensor in whisper.state_dict().items():
        assert torch.equal(weights[name], tensor), name
    features, ids = torch.randn(2, 6, 60), torch.tensor([[257, 3, 4], [257, 9, 9]])
    with torch.no_grad():
        found, expected = (m.eval()(features, decoder_input_ids=ids).logits for m in (model, whisper))
    assert torch.equal(found, expected)


def test_the_encoder_component_loads_it(folder, whisper):
    encoder = build_encoder(WhisperConfig(path=folder), feature_dim=6).eval()
    features = torch.randn(1, 60, 6)
    with torch.no_grad():
        states, _ = encoder(features, torch.tensor([60]))
        expected = whisper.model.encoder(features.transpose(1, 2)).last_hidden_state
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-5)


def test_tokenizer_features_and_decoding_options_come_along(folder):
    processor = WhisperProcessor.from_pretrained(folder)
    assert len(processor.tokenizer) == 262
    assert processor.tokenizer.convert_tokens_to_ids(TIMES) == [260, 261]
    ids = processor.tokenizer.encode("Café 5", add_special_tokens=False)
    assert processor.tokenizer.decode(ids) == "Café 5"
    assert processor.feature_extractor.feature_size == 6
    options = WhisperForConditionalGeneration.from_pretrained(folder).generation_config
    assert (options.suppress_tokens, options.begin_suppress_tokens) == ([5, 6], [7, 256])
    assert (options.decoder_start_token_id, options.no_timestamps_token_id, options.eos_token_id) == (257, 259, 256)
    assert options.is_multilingual is False


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_written_in_the_wanted_type(whisper_files, tmp_path, whisper, dtype):
    folder = tmp_path / "small"
    folder.mkdir()
    convert_whisper(whisper_files, folder, dtype)
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype="auto")
    assert model.dtype == dtype
    assert torch.equal(model.proj_out.weight, whisper.proj_out.weight.to(dtype))


def without(arrays, name):
    return {key: value for key, value in arrays.items() if key != name}


def with_key_bias(arrays):
    bias = arrays["encoder/layer_0/self_attention/linear_0/bias"].clone()
    bias[16] = 1
    return arrays | {"encoder/layer_0/self_attention/linear_0/bias": bias}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_key_bias, "Whisper's keys have no bias, but this model's have one that is not zero"),
        (lambda a: a | {"decoder/extra/weight": torch.ones(1)}, "Whisper has no array decoder/extra/weight"),
        (lambda a: a | {"encoder/layer_0/x/weight": torch.ones(1)}, "Whisper has no array x/weight in a layer"),
        (lambda a: a | {"decoder/pre_norm": torch.tensor(0)}, "Whisper has decoder/pre_norm 1, got 0"),
        (lambda a: a | {"decoder/new": torch.tensor(2)}, "Whisper has decoder/new unset, got 2"),
        (lambda a: without(a, "decoder/embeddings/weight"), "it lacks decoder/embeddings/weight"),
    ],
)
def test_another_model_is_refused(ct2_arrays, change, message):
    with pytest.raises(DataError, match=message):
        whisper_state(CTranslate2Model("WhisperSpec", 3, change(ct2_arrays), ALIASES))


@pytest.mark.parametrize(
    ("spec", "revision", "aliases", "message"),
    [
        ("TransformerSpec", 3, ALIASES, "spec WhisperSpec, revision 3, got TransformerSpec, revision 3"),
        ("WhisperSpec", 2, ALIASES, "got WhisperSpec, revision 2"),
        ("WhisperSpec", 3, {}, "Whisper's output layer is its embedding, got the aliases {}"),
    ],
)
def test_another_layout_is_refused(ct2_arrays, spec, revision, aliases, message):
    with pytest.raises(DataError, match=message):
        whisper_state(CTranslate2Model(spec, revision, ct2_arrays, aliases))


def test_missing_weights_are_named_with_the_file(ct2_arrays, whisper_files, tmp_path):
    arrays = without(ct2_arrays, "encoder/layer_1/ffn/linear_1/weight")
    whisper_files["model.bin"].write_bytes(model_bytes(arrays, ALIASES))
    with pytest.raises(DataError, match=r"(?s)model\.bin: not the weights of a whole Whisper.*layers\.1\.fc2\.weight"):
        convert_whisper(whisper_files, tmp_path, torch.float32)


def test_files_of_two_models_do_not_mix(whisper_files, tmp_path):
    whisper_files["vocabulary.txt"].write_text("a\nb\n")
    with pytest.raises(DataError, match=r"vocabulary\.txt: lists 2 tokens; it must agree with tokenizer\.json and the"):
        convert_whisper(whisper_files, tmp_path, torch.float32)
