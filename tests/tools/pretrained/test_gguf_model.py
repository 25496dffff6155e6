import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, AutoTokenizer

from aista.data.tokenizers.hugging_face import HuggingFaceConfig, HuggingFaceTokenizer
from aista.errors import DataError
from aista.modules.llms.hf_causal_lm import HFCausalLMConfig, build_hf_causal_lm

gguf = pytest.importorskip("gguf")

from tests.tools.pretrained.gguf_file import BYTE_LEVEL, tiny_gemma, tiny_llama, write_gemma, write_llama  # noqa: E402
from tools.pretrained.gguf_model import convert_gguf  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:The NumPy array is not writable:UserWarning")  # transformers' reader
MODELS = {"llama": (tiny_llama, write_llama), "gemma": (tiny_gemma, write_gemma)}


@pytest.fixture
def convert(tmp_path):
    def convert(*parts, dtype=torch.float32):
        folder = tmp_path / "model"
        folder.mkdir()
        convert_gguf({path.name: path for path in parts}, folder, dtype)
        return folder

    return convert


@pytest.mark.parametrize("name", MODELS)
def test_the_converted_model_is_the_one_it_was_made_from(tmp_path, convert, name):
    make, write = MODELS[name]
    model, path = make(), tmp_path / "tiny.gguf"
    write(path, model)
    found = AutoModelForCausalLM.from_pretrained(convert(path)).eval()
    assert type(found) is type(model)
    assert found.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert_close(found.state_dict()[key], tensor, rtol=0, atol=2e-7)
    ids = torch.tensor([[1, 7, 40, 200, 9, 9, 61, 5, 90, 100, 12]])
    with torch.no_grad():
        assert_close(found(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)


def test_quantised_weights_are_those_that_the_blocks_stand_for(tmp_path, convert):
    kind = gguf.GGMLQuantizationType.Q4_1
    model, path = tiny_llama(), tmp_path / "tiny.gguf"
    write_llama(path, model, quantised=kind)
    found = AutoModelForCausalLM.from_pretrained(convert(path))
    weight = model.model.layers[1].mlp.down_proj.weight.detach()
    expected = torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind))
    assert torch.equal(found.model.layers[1].mlp.down_proj.weight, expected)
    assert 0.01 < (expected - weight).norm() / weight.norm() < 0.1


def test_components_load_the_folder(tmp_path, convert):
    path = tmp_path / "tiny.gguf"
    write_llama(path, tiny_llama())
    folder = convert(path)
    tokenizer = HuggingFaceTokenizer(HuggingFaceConfig(path=folder, pad_token="<|endoftext|>"))
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.vocab_size) == (1, 2, 0, len(BYTE_LEVEL))
    assert tokenizer.chat([("user", "the {speech}")], variables={}).text == "<|im_start|>the {speech}<|im_end|>"
    llm = build_hf_causal_lm(HFCausalLMConfig(path=folder), vocab_size=tokenizer.vocab_size)
    assert (llm.model_dim, llm.num_layers, llm.max_positions) == (64, 2, 128)


def test_a_file_may_come_in_parts_and_in_another_type(tmp_path, convert):
    model, path = tiny_llama(), tmp_path / "tiny.gguf"
    write_llama(path, model)
    data, parts = path.read_bytes(), []
    for index, piece in enumerate((data[:1000], data[1000:5000], data[5000:])):
        parts.append(tmp_path / f"whole.gguf.part{index}")
        parts[-1].write_bytes(piece)
    folder = convert(*parts, dtype=torch.bfloat16)
    found = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert found.dtype == torch.bfloat16
    assert torch.equal(found.model.embed_tokens.weight, model.model.embed_tokens.weight.bfloat16())
    assert AutoTokenizer.from_pretrained(folder).tokenize("the the") == ["t", "he", "Ġthe"]


@pytest.mark.parametrize("size", [0, 3, 40, 3000, -700])
def test_a_damaged_file_is_named(tmp_path, convert, size):
    path = tmp_path / "tiny.gguf"
    write_llama(path, tiny_llama())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"tiny\.gguf: .*get the file again"):
        convert(path)


def test_another_architecture_is_refused(tmp_path, convert):
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(
        DataError, match=r"other\.gguf: holds a model of the architecture 'mamba'; llama and gemma3 are"
    ):
        convert(path)


def test_without_the_gguf_package_the_extra_is_named(tmp_path, convert, monkeypatch):
    monkeypatch.setattr("transformers.utils.is_gguf_available", lambda: False)
    with pytest.raises(DataError, match=r"needs the gguf package; pip install gguf"):
        convert(tmp_path / "any.gguf")
