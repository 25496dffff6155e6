import pytest
import torch

from aista import registry
from aista.errors import ConfigError, DataError
from aista.modules.llms.base import GenerationConfig
from aista.modules.llms.transformer_lm import TransformerLMConfig, build_transformer_lm
from aista.schema import Component, structure

from . import checks

VARIANTS = {
    "default": {},
    "grouped": {"num_key_value_heads": 2},
    "plain": {"ffn": "gelu", "norm": "layer_norm", "tied_embeddings": False, "ffn_dim": 24},
}


def build(vocab_size=11, **options):
    torch.manual_seed(0)
    sizes = {"model_dim": 16, "num_layers": 3, "num_heads": 4, "max_positions": 32}
    return build_transformer_lm(TransformerLMConfig(**(sizes | options)), vocab_size=vocab_size)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def llm(request):
    return build(**request.param)


def test_states_are_those_of_a_naive_loop(llm):
    """An independent causal transformer from the same weights, one position at a time."""
    llm.eval()
    embeddings, lengths = checks.prompts(llm, [6])
    final, states = llm(embeddings, lengths, capture=(0, 1, 2, 3))
    expected = naive_states(llm, embeddings[0])
    for state, other in zip(states, expected, strict=True):
        torch.testing.assert_close(state[0], other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(final[0], llm.norm(expected[-1]), rtol=1e-4, atol=1e-5)


def naive_states(llm, x):
    states = [x]
    for block in llm.layers:
        attention = block.self_attn
        h = block.self_attn_layer_norm(x)
        heads, size = attention.num_heads, attention.head_dim
        q = rotate(attention.q_proj(h).view(len(x), heads, size))
        k = rotate(attention.k_proj(h).view(len(x), -1, size)).repeat_interleave(attention.num_query_groups, dim=1)
        v = attention.v_proj(h).view(len(x), -1, size).repeat_interleave(attention.num_query_groups, dim=1)
        rows = []
        for n in range(len(x)):
            weights = torch.einsum("hk,mhk->hm", q[n], k[: n + 1]).div(size**0.5).softmax(-1)
            rows.append(torch.einsum("hm,mhk->hk", weights, v[: n + 1]).flatten())
        x = x + attention.output_proj(torch.stack(rows))
        x = x + block.ffn(block.ffn_layer_norm(x))
        states.append(x)
    return states


def rotate(x, theta=10_000.0):
    size = x.size(-1)
    angle = torch.arange(len(x))[:, None] / theta ** (torch.arange(0, size, 2) / size)
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def test_capture_keeps_the_order_asked_for(llm):
    llm.eval()
    embeddings, lengths = checks.prompts(llm, [4, 2])
    _, (two, zero) = llm(embeddings, lengths, capture=(2, 0))
    _, (zero_again, two_again) = llm(embeddings, lengths, capture=(0, 2))
    torch.testing.assert_close(two, two_again, rtol=0, atol=0)
    torch.testing.assert_close(zero, zero_again, rtol=0, atol=0)


@pytest.mark.parametrize("garbage", [1e4, float("nan")])
def test_padding_is_invisible(llm, garbage):
    checks.check_padding_is_invisible(llm, garbage)


def test_stop_at_capture(llm):
    checks.check_stop_at_capture(llm)


def test_gradient_through_stop():
    checks.check_gradient_through_stop(build(dropout=0.0))


@pytest.mark.parametrize("beam_size", [1, 4])
def test_generation(llm, beam_size):
    checks.check_generation(llm, beam_size)


def test_tied_projection_gives_logits_of_unit_variance_without_a_weight_of_its_own():
    llm = build(vocab_size=500, model_dim=32)
    logits = llm.project(llm.norm(torch.randn(200, 32))).detach()
    assert logits.shape == (200, 500)
    assert 0.9 < logits.std().item() < 1.1
    assert not [name for name, _ in llm.named_parameters() if "projection" in name]


def test_checkpointed_blocks_give_the_same_gradients():
    from fairseq2.models.utils.ac import apply_layerwise_ac

    llm = build(dropout=0.0)
    embeddings, lengths = checks.prompts(llm, [5, 3])
    grads = []
    for _ in range(2):
        final, (state,) = llm(embeddings, lengths, capture=(1,))
        (final[0].square().sum() + state[0].square().sum()).backward()
        grads.append(torch.cat([p.grad.flatten() for p in llm.parameters() if p.grad is not None]))
        llm.zero_grad()
        apply_layerwise_ac(llm.layers, 1)
    torch.testing.assert_close(grads[0], grads[1])


def test_a_cast_keeps_the_positions_exact():
    llm, cast = build(max_positions=600).eval(), build(max_positions=600).eval().to(torch.bfloat16)
    torch.testing.assert_close(cast.positions.freqs, llm.positions.freqs, rtol=0, atol=0)
    assert cast.embed(torch.tensor([[1]])).dtype == torch.bfloat16


def test_too_many_positions_name_the_row_and_the_remedy():
    llm = build(max_positions=6)
    embeddings, lengths = checks.prompts(llm, [3, 7])
    with pytest.raises(DataError, match=r"row 1 of the batch has 7 positions.*holds 6.*larger stride"):
        llm(embeddings, lengths)
    with pytest.raises(DataError, match=r"has 3 positions.*and 4 tokens to generate.*lower max_new_tokens"):
        llm.generate(embeddings[:1, :3], lengths[:1], GenerationConfig(max_new_tokens=4), eos_id=2, pad_id=3)
    assert llm.generate(embeddings[:1, :3], lengths[:1], GenerationConfig(max_new_tokens=3), eos_id=2, pad_id=3)


def test_unknown_layers_are_named():
    with pytest.raises(ValueError, match=r"layer 4 does not exist.*0\.\.3"):
        build()(*checks.prompts(build(), [2]), capture=(4,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_dim": 10, "num_heads": 4}, "model_dim must be num_heads times an even width.*10.*4"),
        ({"model_dim": 12, "num_heads": 4}, "even width"),
        ({"num_key_value_heads": 3}, "num_key_value_heads must divide num_heads 4, got 3"),
        ({"ffn_dim": 0}, "ffn_dim must be at least 1, got 0"),
    ],
)
def test_wrong_sizes_are_faults_of_the_config(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(TransformerLMConfig, options)


def test_registry_builds_it_and_reports_an_empty_vocabulary():
    assert registry.build("llm", Component("transformer_lm"), vocab_size=7).num_layers == 4
    with pytest.raises(ConfigError, match=r"llm\.config: vocab_size must be at least 1, got 0"):
        registry.build("llm", Component("transformer_lm"), at="llm", vocab_size=0)
