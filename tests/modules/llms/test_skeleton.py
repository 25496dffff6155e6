"""A skeleton is the language model of its config.json alone: with the weights filled in, it is the same model."""

import shutil

import pytest
import torch
import transformers

from aista.modules.llms.hf_causal_lm import HFCausalLMConfig, build_hf_causal_lm

from .families import CONFIGS

IDS = torch.randint(4, 11, (2, 6), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", CONFIGS)
def test_family(tmp_path, family):
    torch.manual_seed(1)
    transformers.AutoModelForCausalLM.from_config(CONFIGS[family]()).save_pretrained(tmp_path / "model")
    bare = tmp_path / "bare"
    shutil.copytree(tmp_path / "model", bare, ignore=shutil.ignore_patterns("*.safetensors"))
    expected = build_hf_causal_lm(HFCausalLMConfig(path=tmp_path / "model"), vocab_size=11).eval()
    skeleton = HFCausalLMConfig(path=bare).skeleton(vocab_size=11)
    skeleton.load_state_dict(expected.state_dict())
    lengths = torch.tensor([6, 4])
    final, _ = expected(expected.embed(IDS), lengths)
    other, _ = skeleton(skeleton.embed(IDS), lengths)
    assert torch.equal(final, other)
    assert torch.equal(expected.project(final), skeleton.project(other))
    with pytest.raises(ValueError, match="holds no weights"):
        build_hf_causal_lm(HFCausalLMConfig(path=bare), vocab_size=11)


def test_type_of_the_weights(tmp_path):
    transformers.LlamaForCausalLM(CONFIGS["llama"]()).to(torch.bfloat16).save_pretrained(tmp_path)
    for dtype, expected in (("auto", torch.bfloat16), ("float32", torch.float32)):
        llm = HFCausalLMConfig(path=tmp_path, dtype=dtype).skeleton(vocab_size=11)
        assert {p.dtype for p in llm.parameters()} == {expected}
