"""What every language model must do; called by the tests of each."""

import torch

from aista.modules.llms.base import GenerationConfig
from aista.types import length_mask

EOS, PAD = 2, 3


def prompts(llm, lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(len(lengths), max(lengths), llm.model_dim, generator=generator)
    return embeddings, torch.tensor(lengths)


def check_padding_is_invisible(llm, garbage):
    llm.eval()
    embeddings, lengths = prompts(llm, [7, 1, 4])
    mask = length_mask(lengths, 7)
    capture = tuple(range(llm.num_layers + 1))
    spoiled = torch.where(mask[..., None], embeddings, torch.full_like(embeddings, garbage))
    final, states = llm(embeddings, lengths, capture=capture)
    final_spoiled, states_spoiled = llm(spoiled, lengths, capture=capture)
    for clean, dirty in zip((final, *states), (final_spoiled, *states_spoiled), strict=True):
        torch.testing.assert_close(clean[mask], dirty[mask], rtol=0, atol=0)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = llm(embeddings[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(final[row, :length], alone[0], rtol=1e-4, atol=1e-5)


def check_stop_at_capture(llm):
    """Same states as without a stop, and no block beyond the deepest captured layer is called."""
    llm.eval()
    embeddings, lengths = prompts(llm, [5, 3])
    for capture in ((0,), (1,), (2, 0), (1, 3)):
        _, expected = llm(embeddings, lengths, capture=capture)
        (final, states), ran = run_and_count(llm, embeddings, lengths, capture)
        assert final is None
        assert ran == list(range(max(capture)))
        for state, other in zip(states, expected, strict=True):
            torch.testing.assert_close(state, other, rtol=0, atol=0)


def run_and_count(llm, embeddings, lengths, capture):
    """A stopped forward, and the numbers of the blocks whose feed-forward or attention has computed."""
    ran = set()
    handles = [
        leaf.register_forward_hook(lambda *_, index=index: ran.add(index))
        for index, block in enumerate(llm.layers)
        for leaf in block.modules()
        if list(leaf.parameters(recurse=False))
    ]
    output = llm(embeddings, lengths, capture=capture, stop_at_capture=True)
    for handle in handles:
        handle.remove()
    return output, sorted(ran)


def check_gradient_through_stop(llm):
    embeddings, lengths = prompts(llm, [5, 3])
    grads = []
    for stop in (False, True):
        leaf = embeddings.clone().requires_grad_()
        _, (state,) = llm(leaf, lengths, capture=(1,), stop_at_capture=stop)
        state[0, :5].square().sum().backward()
        grads.append(leaf.grad)
        llm.zero_grad()
    torch.testing.assert_close(grads[0], grads[1])
    assert grads[0][0].abs().sum() > 0


def check_generation(llm, beam_size, max_new_tokens=8):
    """A batch decodes as its rows do alone, scores are those of a forward pass, modes are restored."""
    config = GenerationConfig(beam_size=beam_size, max_new_tokens=max_new_tokens, length_penalty=0.8)
    embeddings, lengths = prompts(llm, [9, 1, 5, 5, 3, 8, 2, 6], seed=1)
    llm.train()
    llm.layers[0].eval()
    together = llm.generate(
        embeddings.masked_fill(~length_mask(lengths, 9)[..., None], torch.nan), lengths, config, eos_id=EOS, pad_id=PAD
    )
    assert llm.training
    assert not llm.layers[0].training
    llm.eval()
    for row, length in enumerate(lengths.tolist()):
        prompt = embeddings[row : row + 1, :length]
        (alone,) = llm.generate(prompt, lengths[row : row + 1], config, eos_id=EOS, pad_id=PAD)
        assert [h.ids for h in together[row]] == [h.ids for h in alone]
        assert [h.score(0.8) for h in together[row]] == sorted((h.score(0.8) for h in together[row]), reverse=True)
        assert len(alone) >= beam_size
        for hypothesis, other in zip(together[row], alone, strict=True):
            assert abs(hypothesis.score(0.8) - other.score(0.8)) < 1e-4
            assert abs(hypothesis.score(0.8) - score_by_forward(llm, prompt, hypothesis.ids, 0.8)) < 1e-4
            assert PAD not in hypothesis.ids


def check_greedy_search(llm, other):
    """The tokens are those that Hugging Face's ``other`` generates; our last one is always EOS."""
    embeddings, lengths = prompts(llm, [6, 6, 6])
    ours = llm.generate(embeddings, lengths, GenerationConfig(beam_size=1, max_new_tokens=12), eos_id=EOS, pad_id=PAD)
    theirs = other.generate(
        inputs_embeds=embeddings,
        attention_mask=torch.ones(3, 6),
        max_new_tokens=11,
        do_sample=False,
        suppress_tokens=[PAD],
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    for row, ids in zip(ours, theirs.tolist(), strict=True):
        assert list(row[0].ids) == (ids[: ids.index(EOS)] if EOS in ids else ids)


def score_by_forward(llm, prompt, ids, length_penalty):
    with torch.no_grad():
        tokens = torch.tensor([[*ids, EOS]])
        rows = torch.cat([prompt, llm.embed(tokens[:, :-1])], dim=1)
        final, _ = llm(rows, torch.tensor([rows.size(1)]))
        logp = llm.project(final[0, prompt.size(1) - 1 :]).log_softmax(-1)
    return float(logp.gather(1, tokens[0, :, None]).sum()) / tokens.size(1) ** length_penalty
