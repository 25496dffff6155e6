"""What a model's folder may not say, place by place; tests/modules/test_planted_code.py plants code in real ones."""

import json
import os

import pytest

from aista.model_folder import INDEX, check_folder, inside, read_json


def write(folder, **files):
    for name, content in files.items():
        (folder / {"config": "config.json", "tokenizer": "tokenizer_config.json", "index": INDEX}[name]).write_text(
            json.dumps(content)
        )


EVIL = "evil/repo"


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"_attn_implementation": EVIL}, "_attn_implementation"),
        ({"attn_implementation": "kernels-community/flash-attn"}, "attn_implementation"),
        ({"_attn_implementation_internal": f"flash_attention_2|{EVIL}:f"}, "_attn_implementation_internal"),
        ({"_attn_implementation": "flash_attention_2"}, "_attn_implementation"),  # a kernel without flash-attn
        ({"attn_implementation": {"": "sdpa", "text_config": EVIL}}, "attn_implementation"),
        ({"text_config": {"attn_implementation": EVIL}}, "text_config.attn_implementation"),
        ({"parts": [{}, {"a": {"_attn_implementation": EVIL}}]}, r"parts\.a\._attn_implementation"),
        ({"text_config": {"auto_map": {"AutoModel": "x.Y"}}}, "text_config.auto_map"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantization_config"),
        ({"configuration_files": ["config.4.0.0.json"]}, "configuration_files"),
        ({"transformers_weights": "../x.safetensors"}, "transformers_weights"),
        ({"vision_config": {"use_pretrained_backbone": True}}, r"vision_config\.use_pretrained_backbone"),
        ({"torch_dtype": "eval"}, "torch_dtype"),
        ({"dtype": "load"}, "dtype"),
        ({"architectures": "LlamaForCausalLM"}, "architectures"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"vocab_size": None}, "vocab_size"),
        ({"hidden_size": "16"}, "hidden_size"),
        ({"text_config": {"num_hidden_layers": -1}}, r"text_config\.num_hidden_layers"),
        ({"text_config": {"n_layer": 10**9}}, r"text_config\.n_layer"),
        ({"encoder_layers": 10**9}, "encoder_layers"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings"),
    ],
)
def test_a_config_that_asks_for_more_is_refused(tmp_path, config, place):
    write(tmp_path, config=config)
    with pytest.raises(ValueError, match=rf"config\.json: {place} is .*: "):
        check_folder(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"_attn_implementation": "sdpa", "attn_implementation": None, "text_config": {"_attn_implementation": "eager"}},
        {"attn_implementation": {"": "sdpa", "text_config": "eager"}},
        {"auto_map": {"AutoModel": "x.Y"}},  # never followed
        {"quantization_config": None, "torch_dtype": "bfloat16", "architectures": ["LlamaForCausalLM"]},
        {"num_hidden_layers": 126, "max_position_embeddings": 10_485_760, "rope_theta": 10**9},
    ],
)
def test_an_honest_config_passes(tmp_path, config):
    write(tmp_path, config=config)
    check_folder(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"tokenizer_file": "/etc/passwd"},
        {"vocab_file": "vocab.txt"},  # read from the working directory
        {"source_spm": "../x"},
        {"vocab": "../x"},
        {"init_inputs": ["/etc/passwd"]},
        {"fast_tokenizer_files": ["tokenizer.4.0.json"]},
    ],
)
def test_a_tokenizer_of_other_files_is_refused(tmp_path, config):
    write(tmp_path, tokenizer=config)
    with pytest.raises(ValueError, match=rf"tokenizer_config\.json: {next(iter(config))} is .*; remove it"):
        check_folder(tmp_path)
    write(
        tmp_path, tokenizer={"tokenizer_file": None, "special_tokens_map_file": "/elsewhere/x.json", "init_inputs": []}
    )
    check_folder(tmp_path)


@pytest.mark.parametrize("name", ["../x.safetensors", "/x.safetensors", "sub/../../x.safetensors", "a\0b.safetensors"])
def test_an_index_that_leads_elsewhere_is_refused(tmp_path, name):
    write(tmp_path, index={"weight_map": {"a": name}})
    with pytest.raises(ValueError, match="lies outside of the folder, where nothing is read"):
        check_folder(tmp_path)


def test_an_index_names_safetensors(tmp_path):
    write(tmp_path, index={"weight_map": {"a": "pytorch_model.bin"}})
    with pytest.raises(ValueError, match=r"names 'pytorch_model.bin'; weights are read only from \*\.safetensors"):
        check_folder(tmp_path)


def test_links_stay_inside(tmp_path):
    (tmp_path / "outside").write_text("secret")
    folder = tmp_path / "model"
    (folder / "additional_chat_templates").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").symlink_to("a.txt")
    check_folder(folder)
    (tmp_path / "linked").symlink_to(folder)  # a folder may lie behind a link
    check_folder(tmp_path / "linked")
    for place in ("vocab.txt", "additional_chat_templates/x.jinja"):
        (folder / place).symlink_to(tmp_path / "outside")
        with pytest.raises(ValueError, match=rf"{place}' lies outside of the folder, .*; copy the file into it"):
            check_folder(folder)
        (folder / place).unlink()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_is_no_file_of_a_model(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=f"'{name}' is a pipe, a socket or a device; remove it"):
        check_folder(tmp_path)


def test_a_snapshot_of_the_cache_links_to_its_blobs(tmp_path):
    """As huggingface_hub's snapshot_download leaves it."""
    model = tmp_path / "models--a--b"
    (model / "blobs").mkdir(parents=True)
    (model / "blobs" / "123").write_text("{}")
    snapshot = model / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/123")
    check_folder(snapshot)
    assert inside(snapshot, "config.json") == model / "blobs" / "123"
    (snapshot / "vocab.txt").symlink_to("../../refs")
    with pytest.raises(ValueError, match=r"vocab\.txt' lies outside"):
        check_folder(snapshot)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", "1", "\ud800", '{"a": ' + "9" * 5_000 + "}"])
def test_what_is_no_json_object_is_named(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"config\.json (is not valid JSON|must hold a JSON object)"):
        read_json(tmp_path / "config.json")
