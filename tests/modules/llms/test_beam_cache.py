"""The cache of the beam search against transformers' own, under random appending and reordering."""

import pytest
import torch
import transformers
from transformers import DynamicCache

from aista.modules.llms.beam_cache import BeamCache

from .families import CONFIGS


def random_orders(generator, prompts, beams, steps):
    """As a beam search has them: first the beams of each prompt, then some within prompts, some without a prompt."""
    prompt_of = torch.arange(prompts)
    for step in range(steps):
        alive = prompt_of.unique()
        if step % 3 == 2 and len(alive) > 1:
            alive = alive[torch.randperm(len(alive), generator=generator)[:-1].sort().values]
        order = []
        for prompt in alive.tolist():
            own = (prompt_of == prompt).nonzero().flatten()
            order.append(own[torch.randint(len(own), (beams,), generator=generator)])
        order = torch.cat(order)
        prompt_of = prompt_of[order]
        yield order


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_keys_and_values_are_those_of_transformers(name):
    config = CONFIGS[name]()
    generator = torch.Generator().manual_seed(0)
    caches = [BeamCache(config, 4, 6 + 7), DynamicCache(config=config)]

    def append(rows, positions):
        for layer in range(3):
            new = torch.randn(2, rows, 2, positions, 4, generator=generator)
            ours, theirs = (cache.update(*new, layer) for cache in caches)
            for mine, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(mine, other, rtol=0, atol=0)

    append(4, 6)
    for order in random_orders(generator, 4, 3, 7):
        for cache in caches:
            cache.reorder_cache(order)
        append(len(order), 1)
    assert caches[0].get_seq_length() == caches[1].get_seq_length() == 13
    assert len(order) < 12, "prompts must end for this test to bite"


def test_what_stays_is_not_copied():
    cache = BeamCache(transformers.LlamaConfig(num_hidden_layers=1), 2, 8)
    keys, _ = cache.update(torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4), 0)
    cache.reorder_cache(torch.tensor([0, 0, 1, 1]))
    buffer = cache.layers[0].keys.untyped_storage().data_ptr()
    for order in ([1, 0, 3, 2], [0, 0, 3, 3]):
        cache.update(torch.randn(4, 1, 1, 4), torch.randn(4, 1, 1, 4), 0)
        cache.reorder_cache(torch.tensor(order))
        assert cache.layers[0].keys.untyped_storage().data_ptr() == buffer
    cache.reorder_cache(torch.tensor([2, 3]))
    torch.testing.assert_close(cache.layers[0].keys[:, :, :3], keys[[1, 1]], rtol=0, atol=0)
