import pytest
import torch
import transformers
from torch import nn

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.generation import left_pad
from aista.modules.llms.base import GenerationConfig
from aista.modules.llms.hf_causal_lm import HFCausalLMConfig, build_hf_causal_lm
from aista.schema import Component

from . import checks
from .families import CONFIGS, GATED


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    made = {}

    def get(name):
        if name not in made:
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]())
            model.save_pretrained(root / name)
            made[name] = root / name
        return made[name]

    return get


@pytest.fixture(params=CONFIGS)
def llm(request, folders):
    return build(folders(request.param))


def build(folder, vocab_size=11, **options):
    return build_hf_causal_lm(HFCausalLMConfig(path=folder, **options), vocab_size=vocab_size)


def test_states_and_logits_are_those_of_hugging_face(llm):
    llm.eval()
    ids = torch.randint(0, 11, (2, 6), generator=torch.Generator().manual_seed(0))
    expected = llm.model(input_ids=ids, output_hidden_states=True)
    capture = tuple(range(llm.num_layers + 1))
    final, states = llm(llm.embed(ids), torch.tensor([6, 6]), capture=capture)
    torch.testing.assert_close(llm.project(final), expected.logits, rtol=1e-4, atol=1e-5)
    for state, other in zip(states[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(state, other, rtol=1e-4, atol=1e-5)
    # Hugging Face's last entry is behind the final norm, ours in front of it.
    torch.testing.assert_close(final, expected.hidden_states[-1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(states[-1], expected.hidden_states[-1], atol=1e-3)
    assert llm.max_positions == 32


def test_padding_is_invisible(llm):
    checks.check_padding_is_invisible(llm, float("nan"))


def test_stop_at_capture(llm):
    checks.check_stop_at_capture(llm)


@pytest.mark.parametrize(
    ("name", "beam_size"), [("qwen2", 1), ("qwen2", 4), ("gpt2", 4), ("gemma2", 4), ("gemma3", 4), ("opt", 4)]
)
def test_generation(folders, name, beam_size):
    checks.check_generation(build(folders(name)), beam_size, max_new_tokens=6)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_greedy_search_is_hugging_faces(folders, name):
    llm = build(folders(name))
    checks.check_greedy_search(llm, llm.model)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize(("max_new_tokens", "no_repeat_ngram"), [(3, 0), (12, 0), (12, 1), (12, 2)])
def test_search_is_hugging_faces_with_the_same_conventions(folders, name, beam_size, max_new_tokens, no_repeat_ngram):
    llm = build(folders(name))
    embeddings, lengths = checks.prompts(llm, [6, 1, 4, 6, 3])
    config = GenerationConfig(beam_size=beam_size, max_new_tokens=max_new_tokens, no_repeat_ngram=no_repeat_ngram)
    ours = llm.generate(embeddings, lengths, config, eos_id=2, pad_id=3)
    padded, content = left_pad(embeddings, lengths)
    theirs = llm.model.generate(
        inputs_embeds=padded,
        attention_mask=content.long(),
        max_new_tokens=max_new_tokens,
        num_beams=beam_size,
        do_sample=False,
        early_stopping=beam_size > 1,
        length_penalty=1.0,
        no_repeat_ngram_size=no_repeat_ngram,
        eos_token_id=2,
        pad_token_id=3,
        logits_processor=[lambda ids, scores: without_pad_and_ended_at(max_new_tokens, ids, scores)],
    )
    expected = [ids[: ids.index(2)] for ids in theirs.tolist()]
    assert [list(row[0].ids) for row in ours] == expected
    if max_new_tokens > 3 and name != "gpt2":
        assert len({len(ids) for ids in expected}) > 1, "rows must end at different steps for this test to bite"


def without_pad_and_ended_at(limit, ids, scores):
    """aista never produces padding, and ends hypotheses at the limit by EOS at its true probability."""
    allowed = torch.zeros_like(scores, dtype=torch.bool)
    allowed[:, [2] if ids.size(1) == limit - 1 else [token for token in range(11) if token != 3]] = True
    return scores.masked_fill(~allowed, -torch.inf)


def test_gradient_through_stop_and_no_hook_left(folders):
    llm = build(folders("llama"))
    checks.check_gradient_through_stop(llm)
    assert not any(block._forward_hooks or block._forward_pre_hooks for block in llm.layers)


def test_checkpointed_blocks_give_the_same_states_and_gradients(folders):
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointImpl, CheckpointWrapper

    llm = build(folders("qwen2")).train()
    embeddings, lengths = checks.prompts(llm, [5, 3])
    results = []
    for _ in range(2):
        final, (state,) = llm(embeddings, lengths, capture=(1,))
        _, (stopped,) = llm(embeddings, lengths, capture=(2,), stop_at_capture=True)
        (final[0].square().sum() + state[0].square().sum() + stopped[0].square().sum()).backward()
        results.append((state, stopped, torch.cat([p.grad.flatten() for p in llm.layers.parameters()])))
        llm.zero_grad()
        for index, block in enumerate(list(llm.layers)):
            llm.layers[index] = CheckpointWrapper(block, CheckpointImpl.NO_REENTRANT)
    for plain, wrapped in zip(*results, strict=True):
        torch.testing.assert_close(plain, wrapped)
    assert llm.generate(embeddings, lengths, GenerationConfig(max_new_tokens=4), eos_id=2, pad_id=3)


def test_ids_beyond_the_tokenizer_are_never_produced(folders):
    llm = build(folders("llama"), vocab_size=6)
    embeddings, lengths = checks.prompts(llm, [4, 2, 3])
    rows = llm.generate(embeddings, lengths, GenerationConfig(max_new_tokens=8), eos_id=2, pad_id=3)
    ids = {token for row in rows for hypothesis in row for token in hypothesis.ids}
    assert ids
    assert max(ids) < 6


def test_dtype_and_attention_options(folders):
    assert build(folders("llama"), dtype="bfloat16").embed(torch.tensor([[1]])).dtype == torch.bfloat16
    assert build(folders("llama"), attention="eager").model.config._attn_implementation == "eager"


def test_too_many_positions_are_a_data_error(folders):
    llm = build(folders("llama"))
    with pytest.raises(DataError, match=r"has 33 positions.*holds 32"):
        llm(*checks.prompts(llm, [33]))


def test_missing_folder_and_missing_config(tmp_path):
    with pytest.raises(
        ConfigError, match=r"llm\.config: path: .*nowhere is not the folder of a Hugging Face model \(no such folder\)"
    ):
        registry.build(
            "llm", Component("hf_causal_lm", HFCausalLMConfig(path=tmp_path / "nowhere")), at="llm", vocab_size=11
        )
    with pytest.raises(ValueError, match=r"no config\.json in it"):
        build(tmp_path)


def test_a_model_that_is_not_causal_is_refused(tmp_path):
    config = transformers.BertConfig(
        vocab_size=11, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"holds BertForMaskedLM, not a causal language model.*decoder-only"):
        build(tmp_path)


def test_an_unknown_model_type_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no_such_model"}')
    with pytest.raises(ValueError, match="names no model that transformers knows"):
        build(tmp_path)


def test_a_smaller_vocabulary_is_refused(folders):
    with pytest.raises(
        ValueError, match="has 11 tokens, fewer than the tokenizer's 12; use the tokenizer of this model"
    ):
        build(folders("llama"), vocab_size=12)


def test_pickled_weights_are_not_read(folders, tmp_path):
    model = transformers.AutoModelForCausalLM.from_pretrained(folders("llama"))
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"holds only pytorch_model\.bin, which can run code .*read only from \*\.safetensors"
    ):
        build(tmp_path)


def test_incomplete_checkpoints_are_refused(folders, tmp_path):
    model = transformers.AutoModelForCausalLM.from_pretrained(folders("llama"))
    state = {key: value for key, value in model.state_dict().items() if "layers.2." not in key}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"lack 9 tensors, e\.g\. model\.layers\.2"):
        build(tmp_path)


def test_recurrent_models_are_refused(tmp_path):
    config = transformers.MambaConfig(vocab_size=11, hidden_size=16, num_hidden_layers=2, state_size=4)
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="recurrent state"):
        build(tmp_path)


def test_blocks_inside_blocks_are_not_taken_for_the_stack(tmp_path):
    """A mixture of 3 experts in each of 3 blocks: the outer list is the stack."""
    config = transformers.MixtralConfig(**GATED, num_local_experts=3)
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path)
    llm = build(tmp_path)
    assert [type(block).__name__ for block in llm.layers] == ["MixtralDecoderLayer"] * 3
    assert isinstance(llm.layers, nn.ModuleList)


def test_an_outline_is_the_model_without_its_weights(folders):
    outline = HFCausalLMConfig(path=folders("gemma3")).outline(vocab_size=11)
    assert {parameter.device.type for parameter in outline.parameters()} == {"meta"}
    shapes = [{name: p.shape for name, p in llm.named_parameters()} for llm in (outline, build(folders("gemma3")))]
    assert shapes[0] == shapes[1]
    with pytest.raises(ValueError, match=r"cannot be built: .*[Ff]lash"):
        HFCausalLMConfig(path=folders("llama"), attention="flash_attention_2").outline(vocab_size=11)
