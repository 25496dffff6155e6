"""Folders in which code is planted: it never runs, nothing is fetched, and nothing outside of the folder is read."""

import builtins
import json
import shutil
import socket

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from aista.data.tokenizers.hugging_face import HuggingFaceConfig, HuggingFaceTokenizer
from aista.modules.encoders.hf_speech import HFSpeechConfig, hf_speech
from aista.modules.encoders.whisper import WhisperConfig, whisper
from aista.modules.folder_weights import bounded_by
from aista.modules.llms.hf_causal_lm import HFCausalLMConfig, build_hf_causal_lm
from aista.modules.llms.llama import LlamaConfig, build_llama
from tests.data.tokenizers.test_hugging_face import save as save_tokenizer
from tests.modules.encoders import folders as speech
from tests.modules.llms.families import CONFIGS

LOADERS = {
    "hf_causal_lm": lambda path: build_hf_causal_lm(HFCausalLMConfig(path=path), vocab_size=11),
    "hf_causal_lm without weights": lambda path: HFCausalLMConfig(path=path).skeleton(vocab_size=11),
    "llama": lambda path: build_llama(LlamaConfig(path=path), vocab_size=11),
    "hf_speech": lambda path: hf_speech(HFSpeechConfig(path=path), feature_dim=0),
    "whisper": lambda path: whisper(WhisperConfig(path=path), feature_dim=6),
    "tokenizer": lambda path: HuggingFaceTokenizer(HuggingFaceConfig(path=path)),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("originals")
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(CONFIGS["llama"]()).save_pretrained(root / "llm")
    save_tokenizer(root / "llm", eos_token="<|end|>", pad_token="<|pad|>")
    sizes = {"d_model": 8, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 8, "num_mel_bins": 6}
    decoder = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "vocab_size": 9}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = transformers.WhisperConfig(**sizes, **decoder, **ids, max_source_positions=10)
    transformers.WhisperModel(config).save_pretrained(root / "whisper")
    speech.make_folder(root / "hf_speech", "wav2vec2-base")
    return root


@pytest.fixture(params=LOADERS)
def loader(request):
    return request.param


@pytest.fixture
def folder(tmp_path, originals, loader):
    name = loader if loader in ("whisper", "hf_speech") else "llm"
    return shutil.copytree(originals / name, tmp_path / "model")


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """What was asked of the network, of hub kernels and of the user; nothing of it is done."""
    made = []

    def trap(name):
        def record(*args, **_options):
            made.append((name, args))
            raise OSError(f"{name} is trapped")

        return record

    monkeypatch.setattr(socket, "getaddrinfo", trap("getaddrinfo"))
    monkeypatch.setattr(socket.socket, "connect", trap("connect"))
    monkeypatch.setattr(transformers.modeling_utils, "load_and_register_kernel", trap("kernel"))
    monkeypatch.setattr(builtins, "input", trap("input"))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    return made


def edit(file, **changes):
    settings = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(settings | changes))


def test_code_beside_the_weights_never_runs(folder, loader, calls, tmp_path):
    marker = tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w').write('ran')\n"
    (folder / "custom_generate").mkdir()
    for name in ("custom_generate/generate.py", "custom_generate/__init__.py", "modeling_evil.py", "__init__.py"):
        (folder / name).write_text(code)
    kinds = ("AutoConfig", "AutoModel", "AutoModelForCausalLM")
    edit(folder / "config.json", auto_map=dict.fromkeys(kinds, "modeling_evil.Evil"))
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "modeling_evil.Evil"]})
    edit(folder / "generation_config.json", custom_generate="modeling_evil")
    LOADERS[loader](folder)
    assert not marker.exists()
    assert calls == []


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_attn_implementation_internal"])
def test_hub_kernels_are_refused(folder, loader, calls, key):
    edit(folder / "config.json", **{key: "evil/repo"})
    with pytest.raises(Exception, match=rf"config\.json: {key} is 'evil/repo': a folder may ask for 'eager' or 'sdpa'"):
        LOADERS[loader](folder)
    assert calls == []


def test_an_adapter_does_not_redirect_the_base(folder, loader, calls, originals):
    edit(folder / "adapter_config.json", base_model_name_or_path=str(originals / "llm"), peft_type="LORA")
    if loader == "tokenizer":  # transformers looks for adapters of models alone
        LOADERS[loader](folder)
    else:
        with pytest.raises(ValueError, match=r"holds adapter_config\.json, .*merge_and_unload.*, or remove the file"):
            LOADERS[loader](folder)
    assert calls == []


def test_flash_attention_fetches_no_kernel(originals, calls):
    config = HFCausalLMConfig(path=originals / "llm", attention="flash_attention_2")
    with pytest.raises(ValueError, match="flash_attention_2 needs the package flash-attn; install it, or choose sdpa"):
        config.build(11, with_weights=True)
    assert calls == []


@pytest.mark.parametrize("loader", ["hf_causal_lm", "llama"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 10**9}, "describes a model of over|can't allocate memory"),
        ({"vocab_size": 10**9}, "describes a model of over|can't allocate memory"),
        ({"intermediate_size": 10**10}, "describes a model of over|can't allocate memory"),
        ({"num_hidden_layers": 10**6}, "the config describes a model of over"),
        ({"num_hidden_layers": 10**9}, "no model has more than"),
        ({"num_labels": 10**9}, "no model has more than"),
        ({"num_hidden_layers": 2}, "hold 9 tensors of layers that its config.json does not describe"),
        ({"num_attention_heads": "4"}, "cannot be (loaded|built): "),
        ({"intermediate_size": None}, "cannot be (loaded|built): "),
        ({"torch_dtype": 3}, "must be one of float16"),
        ({"model_type": []}, "names no model that transformers knows|holds a model of type"),
    ],
)
def test_impossible_sizes_are_refused_at_once(folder, loader, changes, message):
    edit(folder / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        LOADERS[loader](folder)


@pytest.mark.parametrize("loader", ["hf_causal_lm"])
@pytest.mark.parametrize("decoder", ["evil/repo", {"a": 1}, [1], -1])
def test_a_part_that_is_no_config_is_refused(folder, loader, decoder):
    edit(folder / "config.json", decoder=decoder)
    with pytest.raises(ValueError, match=r"config\.json in .* gives the language model no vocab_size"):
        LOADERS[loader](folder)


@pytest.mark.parametrize("loader", ["hf_causal_lm", "llama"])
def test_integers_are_no_weights(folder, loader):
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].long()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"model\.norm\.weight .*int64|Only Tensors of floating point"):
        LOADERS[loader](folder)


def test_a_bound_is_lifted_behind_its_block(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    message = r"over 0 tensors and 1,000,000,000,000 numbers, but .* holds 1 and 2"
    with pytest.raises(ValueError, match=message), bounded_by([tmp_path / "a.safetensors"]):
        torch.nn.Linear(10**6, 10**6, device="meta")
    torch.nn.Linear(10**6, 10**6, device="meta")
    with bounded_by([]):
        torch.nn.Linear(10**6, 10**6, device="meta")
