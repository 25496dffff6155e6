import pytest
import torch
from torch import nn
from torch.testing import assert_close

from aista.modules.attention import Attention, AttentionBlock, rotate
from aista.types import length_mask
from tests.modules.checks import padded


def take_over(own: Attention, other: nn.MultiheadAttention) -> None:
    """Give PyTorch's attention the weights of ours."""
    with torch.no_grad():
        dim = own.query.in_features
        weights = [own.query.weight, own.key.weight, own.value.weight]
        if other.in_proj_weight is not None:
            other.in_proj_weight.copy_(torch.cat(weights))
        else:
            for weight, name in zip(weights, ("q", "k", "v"), strict=True):
                getattr(other, f"{name}_proj_weight").copy_(weight)
        other.in_proj_bias.copy_(torch.cat([own.query.bias, torch.zeros(dim), own.value.bias]))
        other.out_proj.load_state_dict(own.output.state_dict())


@pytest.mark.parametrize("memory_dim", [8, 5])
def test_attention_equals_pytorchs(memory_dim):
    torch.manual_seed(0)
    own = Attention(8, 2, memory_dim=memory_dim)
    other = nn.MultiheadAttention(8, 2, kdim=memory_dim, vdim=memory_dim, batch_first=True)
    take_over(own, other)
    memory, lengths = padded([7, 3], memory_dim)
    mask = length_mask(lengths, 7)
    x = torch.randn(2, 4, 8)
    expected, _ = other(x, memory, memory, key_padding_mask=~mask)
    assert_close(own(x, memory, mask), expected, rtol=1e-4, atol=1e-6)


def test_blocks_equal_pytorchs():
    torch.manual_seed(0)
    memory, lengths = padded([7, 3], 8)
    mask = length_mask(lengths, 7)
    x = torch.randn(2, 4, 8)
    decoder = AttentionBlock(8, num_heads=2, ffn_dim=12, memory_dim=8).eval()
    other = nn.TransformerDecoderLayer(8, 2, 12, activation="gelu", batch_first=True, norm_first=True).eval()
    take_over(decoder.self_attention, other.self_attn)
    take_over(decoder.cross_attention, other.multihead_attn)
    pairs = [(decoder.self_norm, other.norm1), (decoder.cross_norm, other.norm2), (decoder.ffn_norm, other.norm3)]
    pairs += [(decoder.ffn[0], other.linear1), (decoder.ffn[3], other.linear2)]
    for own, theirs in pairs:
        theirs.load_state_dict(own.state_dict())
    expected = other(x, memory, memory_key_padding_mask=~mask)
    assert_close(decoder(x, None, memory, mask), expected, rtol=1e-4, atol=1e-6)


def test_rotation_is_multiplication_by_a_unit_complex_number():
    x = torch.randn(2, 3, 9, 6)
    z = torch.complex(x[..., :3], x[..., 3:]).to(torch.complex128)
    angle = torch.arange(9).double()[:, None] * 10_000 ** (-torch.arange(3).double() / 3)
    expected = z * torch.polar(torch.ones_like(angle), angle)
    assert_close(rotate(x), torch.cat([expected.real, expected.imag], -1).float())
    assert rotate(x.bfloat16()).dtype == torch.bfloat16


def test_rotary_scores_depend_on_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 8)
    turned_q, turned_k = (rotate(x.expand(1, 1, 20, 8)) for x in (q, k))
    scores = turned_q[0, 0] @ turned_k[0, 0].T
    assert_close(scores[3, 1], scores[18, 16], rtol=1e-4, atol=1e-5)
    assert abs(float(scores[3, 1] - scores[3, 2])) > 1e-3


def test_dropout_acts_on_attention_in_training_only():
    attention = Attention(8, 2, dropout=0.5)
    x = torch.randn(1, 6, 8)
    assert not torch.equal(attention.train()(x, x, None), attention(x, x, None))
    assert torch.equal(attention.eval()(x, x, None), attention(x, x, None))


@pytest.mark.parametrize(
    ("dim", "rotary", "message"),
    [(9, False, "multiple of num_heads, got 9 with 2 heads"), (6, True, r"multiple of 2 \* num_heads .*got 6 with 2")],
)
def test_impossible_widths(dim, rotary, message):
    with pytest.raises(ValueError, match=message):
        Attention(dim, 2, rotary=rotary)
