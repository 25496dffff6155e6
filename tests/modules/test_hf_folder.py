"""What the components' own tests do not show of the loader: shards, ties, types and damaged folders."""

import json

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from aista.modules.folder_weights import check_weights, fill_from_folder
from aista.modules.hf_folder import build_skeleton, read_config, saved_dtype

from .llms.families import CONFIGS


class Tied(nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3, dtype=dtype), nn.Linear(2, 3, bias=False, dtype=dtype)
        self.b.weight = self.a.weight


WEIGHT, BIAS = torch.arange(6.0).view(3, 2), torch.tensor([7.0, 8.0, 9.0])


def saved(name):
    return f"inner.{name}"


@pytest.mark.parametrize("name", ["a.weight", "b.weight"])
def test_shards_without_an_index_and_one_of_two_tied_names_are_enough(tmp_path, name):
    save_file({f"inner.{name}": WEIGHT}, tmp_path / "one.safetensors")
    save_file({"inner.a.bias": BIAS, "other": torch.zeros(1)}, tmp_path / "two.safetensors")
    module = Tied(torch.bfloat16)
    fill_from_folder(module, tmp_path, saved)
    assert module.a.weight is module.b.weight
    assert torch.equal(module.a.weight, WEIGHT.to(torch.bfloat16))
    assert torch.equal(module.a.bias, BIAS.to(torch.bfloat16))


def test_tensors_are_converted_by_name(tmp_path):
    save_file({"inner.a.weight": WEIGHT, "inner.a.bias": BIAS}, tmp_path / "model.safetensors")
    module = Tied()
    fill_from_folder(module, tmp_path, saved, lambda name, x: -x if name == "inner.a.bias" else x)
    assert torch.equal(module.a.bias, -BIAS)
    assert torch.equal(module.a.weight, WEIGHT)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, r"index\.json has no weight_map; copy the file again"),
        (
            {"weight_map": {"inner.a.weight": "model.safetensors", "inner.a.bias": "gone.safetensors"}},
            "is missing, but",
        ),
        (
            {"weight_map": {"inner.a.weight": "model.safetensors", "inner.a.bias": "model.safetensors"}},
            r"model\.safetensors lacks inner\.a\.bias, which model\.safetensors\.index\.json says it holds",
        ),
    ],
)
def test_an_index_that_does_not_fit_is_named(tmp_path, index, message):
    save_file({"inner.a.weight": WEIGHT}, tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=message):
        fill_from_folder(Tied(), tmp_path, saved)


def test_files_outside_of_the_folder_are_not_read(tmp_path):
    """An index is somebody else's text."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"inner.a.weight": WEIGHT, "inner.a.bias": BIAS}, tmp_path / "outside.safetensors")
    save_file({"other": BIAS}, folder / "model.safetensors")
    places = dict.fromkeys(("inner.a.weight", "inner.a.bias"), "../outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(ValueError, match=r"outside\.safetensors. lies outside of the folder"):
        fill_from_folder(Tied(), folder, saved)


def test_a_skeleton_draws_no_random_numbers_and_follows_the_device(tmp_path):
    CONFIGS["smollm"]().save_pretrained(tmp_path)
    config = read_config(tmp_path, ("llama",))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    model = build_skeleton(transformers.AutoModelForCausalLM, tmp_path, config, dtype=torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    with torch.device("meta"):
        model = build_skeleton(transformers.AutoModelForCausalLM, tmp_path, config, dtype=torch.float32)
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_types_and_changed_values(tmp_path):
    config = CONFIGS["llama"]()
    config.dtype = torch.bfloat16
    config.save_pretrained(tmp_path)
    found = read_config(tmp_path, rms_norm_eps=0.5)
    assert found.rms_norm_eps == 0.5
    assert saved_dtype(found, "auto") == torch.bfloat16
    assert saved_dtype(found, "float32") == torch.float32


def test_a_model_of_another_type_is_refused_with_a_remedy(tmp_path):
    CONFIGS["gpt2"]().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"holds a model of type 'gpt2', not 'llama' or 'qwen2'; take another$"):
        read_config(tmp_path, ("llama", "qwen2"), remedy="take another")
    with pytest.raises(ValueError, match="holds no weights"):
        check_weights(tmp_path)
