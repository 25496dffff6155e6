"""fairseq2's Qwen and LLaMA from Hugging Face folders; test_families.py compares them with transformers."""

import json
import shutil

import pytest
import torch
import transformers

from aista import registry
from aista.errors import ConfigError
from aista.modules.llms.base import GenerationConfig
from aista.schema import resolve

from . import checks
from .families import FAMILIES, NATIVE

IDS = torch.randint(4, 11, (2, 6), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("native")
    return {name: FAMILIES[name].make(root / name) for name in NATIVE}


def options(name, folder, **more):
    return resolve("llm", {"name": FAMILIES[name].llm, "config": {"path": str(folder), **more}})


def build(name, folder, vocab_size=11, **more):
    return registry.build("llm", options(name, folder, **more), at="llm", vocab_size=vocab_size)


def logits(llm):
    with torch.no_grad():
        return llm.project(llm(llm.embed(IDS), torch.tensor([6, 6]))[0])


@pytest.mark.parametrize(("name", "epsilon"), [("native_qwen2", 1e-6), ("native_qwen3", 1e-6), ("native_llama", 1e-5)])
def test_it_is_the_model_that_fairseq2_puts_together(tmp_path, folders, name, epsilon):
    """With fairseq2's own factory and conversion of Hugging Face's weights."""
    from fairseq2.models.llama import LLaMAConfig, convert_llama_state_dict, create_llama_model
    from fairseq2.models.qwen import QwenConfig, convert_qwen_state_dict, create_qwen_model
    from fairseq2.nn import BatchLayout

    folder = shutil.copytree(folders[name], tmp_path / "model")
    edit(folder, rms_norm_eps=epsilon)  # fairseq2's factories know no other
    sizes = {"model_dim": 16, "max_seq_len": 32, "vocab_size": 11, "num_layers": 3, "num_attn_heads": 4}
    sizes |= {"num_key_value_heads": 2, "ffn_inner_dim": 24, "rope_theta": 10_000.0}
    state = transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict()
    if name == "native_llama":
        config = LLaMAConfig(**sizes, ffn_inner_dim_scale=1.0, ffn_inner_dim_multiple_of=1)
        model, weights = create_llama_model(config), convert_llama_state_dict(dict(state), config)
    else:
        later = {"qkv_proj_bias": False, "q_norm": True, "k_norm": True, "head_dim": 4}
        config = QwenConfig(**sizes, **(later if name == "native_qwen3" else {}))
        model, weights = create_qwen_model(config), convert_qwen_state_dict(dict(state), config)
    model.load_state_dict(weights)
    with torch.no_grad():
        expected = model.eval()(IDS, BatchLayout.of(IDS))
    torch.testing.assert_close(logits(build(name, folder)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NATIVE)
def test_interface(folders, name):
    llm = build(name, folders[name])
    checks.check_padding_is_invisible(llm, float("nan"))
    checks.check_stop_at_capture(llm)
    checks.check_gradient_through_stop(llm)
    checks.check_generation(llm, 4, max_new_tokens=6)


@pytest.mark.parametrize("name", NATIVE)
def test_greedy_search_is_hugging_faces(folders, name):
    other = FAMILIES[name].reference(folders[name])
    checks.check_greedy_search(build(name, folders[name]), other)


@pytest.mark.parametrize("name", NATIVE)
def test_skeletons_outlines_and_types(folders, tmp_path, name):
    llm = build(name, folders[name])
    bare = shutil.copytree(folders[name], tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    skeleton = options(name, bare).config.skeleton(vocab_size=11)
    skeleton.load_state_dict(llm.state_dict())
    assert torch.equal(logits(skeleton), logits(llm))
    outline = options(name, folders[name]).config.outline(vocab_size=11)
    assert {p.device.type for p in outline.parameters()} == {"meta"}
    assert {n: p.shape for n, p in outline.named_parameters()} == {n: p.shape for n, p in llm.named_parameters()}
    cast = build(name, folders[name], dtype="bfloat16")
    assert {p.dtype for p in cast.parameters()} == {torch.bfloat16}
    for table, other in zip(cast.positions.buffers(), llm.positions.buffers(), strict=True):
        torch.testing.assert_close(table, other, rtol=0, atol=0)
    with pytest.raises(ConfigError, match=r"llm\.config: path: .*bare holds no weights"):
        build(name, bare)


def test_ids_beyond_the_tokenizer_are_never_produced(folders):
    llm = build("native_qwen2", folders["native_qwen2"], vocab_size=6)
    rows = llm.generate(*checks.prompts(llm, [4, 2, 3]), GenerationConfig(max_new_tokens=8), eos_id=2, pad_id=3)
    ids = {token for row in rows for hypothesis in row for token in hypothesis.ids}
    assert ids
    assert max(ids) < 6


def edit(folder, **settings):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


YARN = {"rope_type": "yarn", "factor": 2.0}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "native_qwen2",
            {"rope_scaling": YARN},
            r"config\.json has rope_scaling \{.*yarn.*\}, which fairseq2's qwen2 does",
        ),
        ("native_llama", {"rope_scaling": YARN}, r"config\.json has rope_scaling .*use hf_causal_lm"),
        ("native_qwen2", {"use_sliding_window": True}, "has use_sliding_window True, which"),
        ("native_qwen3", {"attention_bias": True}, "has attention_bias True, which"),
        ("native_llama", {"mlp_bias": True}, "has mlp_bias True, which"),
        ("native_llama", {"attention_dropout": 0.1}, r"has attention_dropout 0\.1, which"),
        ("native_llama", {"hidden_act": "gelu"}, "has hidden_act 'gelu', which"),
        ("native_llama", {"intermediate_size": 32}, r"has shape \[\d+, \d+\], but config\.json describes \["),
        ("native_llama", {"num_hidden_layers": 4}, r"lack 9 tensors, e\.g\. model\.layers\.3\."),
        ("native_qwen2", {"vocab_size": 10}, "has 10 tokens, fewer than the tokenizer's 11"),
    ],
)
def test_variants_that_fairseq2_does_not_have(folders, tmp_path, name, settings, message):
    folder = shutil.copytree(folders[name], tmp_path / "model")
    edit(folder, **settings)
    with pytest.raises(ConfigError, match=message):
        build(name, folder)


def test_families_are_not_mixed_up(folders):
    with pytest.raises(ConfigError, match=r"holds a model of type 'llama', not 'qwen2' or 'qwen3'; hf_causal_lm runs"):
        build("native_qwen2", folders["native_llama"])
    with pytest.raises(ConfigError, match=r"holds a model of type 'qwen3', not 'llama'"):
        build("native_llama", folders["native_qwen3"])
