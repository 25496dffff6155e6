"""Rows without padding, and one position for a group of heads, against transformers' own attention."""

import pytest
import torch
import transformers
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from aista.errors import RunError
from aista.modules.llms.sdpa_attention import NAME, rows_without_padding
from aista.types import length_mask

from . import checks
from .families import CONFIGS
from .test_hf_causal_lm import build, folders  # noqa: F401

WINDOWED = ["mistral", "gemma2", "gemma3"]
"""They see 4 positions here."""
MASKS_ITSELF = ["opt"] if transformers.__version__.startswith("4.") else []
KEEPS_PADDING = [*WINDOWED, *MASKS_ITSELF]
JOINS = [name for name in CONFIGS if name not in KEEPS_PADDING]


def positions_of_block_0(llm, embeddings, lengths):
    seen = []
    handle = llm.layers[0].register_forward_pre_hook(
        lambda _module, args, kwargs: seen.append(args[0].shape[:2]), with_kwargs=True
    )
    llm(embeddings, lengths)
    handle.remove()
    return tuple(seen[0])


@pytest.mark.parametrize("name", [*JOINS, *KEEPS_PADDING])
def test_padding_is_left_out_where_that_changes_nothing(folders, name):  # noqa: F811
    llm = build(folders(name)).eval()
    embeddings, lengths = checks.prompts(llm, [7, 1, 4])
    joins = name in JOINS
    assert positions_of_block_0(llm, embeddings, lengths) == ((1, 12) if joins else (3, 7))
    assert positions_of_block_0(llm, embeddings[:2, :1], lengths[1:2].expand(2)) == (2, 1), "nothing is padded here"


def test_rows_within_a_window_are_joined(folders):  # noqa: F811
    llm = build(folders("mistral")).eval()
    assert positions_of_block_0(llm, *checks.prompts(llm, [4, 1, 2])) == (1, 7)
    checks.check_padding_is_invisible(llm, float("nan"))


@pytest.mark.parametrize("name", JOINS)
def test_joined_rows_have_the_states_and_gradients_of_padded_ones(folders, name):  # noqa: F811
    results = []
    for joins in (True, False):
        llm = build(folders(name)).eval()
        if not joins:
            llm._joins_up_to = 0
        embeddings, lengths = checks.prompts(llm, [7, 1, 4])
        embeddings.requires_grad_()
        final, states = llm(embeddings, lengths, capture=(0, 2))
        content = length_mask(lengths, 7)
        parts = [state[content] for state in (final, *states)]
        sum((part * torch.linspace(-1, 1, part.numel()).view(part.shape)).sum() for part in parts).backward()
        gradients = [p.grad for p in llm.layers.parameters()]
        results.append([*parts, embeddings.grad, *gradients])
        if joins:
            assert not final[~content].any()
    for joined, padded in zip(*results, strict=True):
        torch.testing.assert_close(joined, padded, rtol=1e-4, atol=1e-5)


def test_other_implementations_are_left_alone(folders):  # noqa: F811
    llm = build(folders("llama"), attention="eager").eval()
    assert llm.model.config._attn_implementation == "eager"
    assert positions_of_block_0(llm, *checks.prompts(llm, [7, 1, 4])) == (3, 7)


@pytest.mark.parametrize("masked", [False, True])
def test_heads_that_share_a_key_attend_as_repeated_keys_do(masked):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(5, 6, 1, 8, generator=generator)
    key, value = torch.randn(2, 5, 2, 9, 8, generator=generator)
    mask = length_mask(torch.tensor([9, 1, 4, 5, 8]), 9)[:, None, None] if masked else None
    module = nn.Module().eval()
    module.num_key_value_groups = 3
    found, _ = ALL_ATTENTION_FUNCTIONS[NAME](module, query, key, value, mask, scaling=0.3)
    expected, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(found, expected)
    assert found.shape == (5, 1, 6, 8)


def test_a_model_that_loses_the_rows_is_told_of():
    x = torch.zeros(1, 2, 5, 4)
    with (
        rows_without_padding([2, 3]),
        pytest.raises(RunError, match=r"Module of transformers .*write attention: eager"),
    ):
        ALL_ATTENTION_FUNCTIONS[NAME](nn.Module(), x, x, x, None)
