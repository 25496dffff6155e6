"""Contracts of kind ``llm``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.testing.contracts import contract, dependencies
from aista.testing.tensors import assert_close, assert_trainable, content_sum, fill_padding, gradients, ramp
from aista.types import Hypothesis

GARBAGE = 50.0
VOCAB_SIZE = 20
EOS_ID, PAD_ID = 1, 2
dependencies("llm", {"vocab_size": VOCAB_SIZE})


@contract("llm")
def check_shapes(llm: LanguageModel) -> None:
    """Embeddings and states are ``[B, N, D]``, logits ``[B, N, V]`` with V at least the vocabulary."""
    embeddings, lengths = _batch(llm)
    expected = [3, 7, llm.model_dim]
    assert list(embeddings.shape) == expected, f"embed must give {expected}, got {list(embeddings.shape)}"
    states, captured = _forward(llm, embeddings, lengths)
    assert states is not None, "forward must return the final states unless it stops early"
    assert list(states.shape) == expected, f"the final states must be {expected}, got {list(states.shape)}"
    assert not captured, f"forward returned {len(captured)} captured layers, though none was asked for"
    logits = llm.project(states)
    fits = logits.shape[:2] == states.shape[:2] and logits.shape[2] >= VOCAB_SIZE
    assert fits, f"project must give [3, 7, V >= {VOCAB_SIZE}], got {list(logits.shape)}"
    message = f"num_layers is {llm.num_layers}, but layers holds {len(llm.layers)} blocks"
    assert len(llm.layers) == llm.num_layers, message


@contract("llm")
def check_capture_numbering(llm: LanguageModel) -> None:
    """State 0 is the input of the first block, state k the output of block k; the order is the caller's."""
    embeddings, lengths = _batch(llm)
    lengths = torch.full_like(
        lengths, embeddings.size(1)
    )  # ragged rows may go through the blocks without their padding
    everything = list(range(llm.num_layers + 1))
    with _watch(llm.layers) as seen:
        states, captured = _forward(llm, embeddings, lengths, capture=everything)
    assert len(captured) == len(everything), f"asked for {len(everything)} layers, got {len(captured)}"
    silent = [number for number, block in enumerate(seen, 1) if len(block) != 2]
    assert not silent, f"forward does not run blocks {silent} of layers (once, through their __call__)"
    truth = [seen[0][0], *(block[1] for block in seen)]
    for number, (actual, expected) in enumerate(zip(captured, truth, strict=True)):
        what = "what enters the first block" if number == 0 else f"the output of block {number}"
        _assert_rows(actual, expected, lengths, f"captured layer {number} is not {what}")
    plain, _ = _forward(llm, embeddings, lengths)
    assert states is not None, "forward must return the final states unless it stops early"
    assert plain is not None
    _assert_rows(states, plain, lengths, "capturing changes the final states")
    _, reverse = _forward(llm, embeddings, lengths, capture=everything[::-1])
    for number, state in zip(everything[::-1], reverse, strict=True):
        _assert_rows(state, captured[number], lengths, "captured layers do not come in the order asked for")


@contract("llm")
def check_normalize(llm: LanguageModel) -> None:
    """``normalize`` makes the final states of the last block's."""
    embeddings, lengths = _batch(llm)
    states, (last,) = _forward(llm, embeddings, lengths, capture=[llm.num_layers])
    assert states is not None, "forward must return the final states unless it stops early"
    with torch.no_grad():
        _assert_rows(
            llm.normalize(last), states, lengths, "normalize(output of the last block) is not the final states"
        )


@contract("llm")
def check_stop_at_capture(llm: LanguageModel) -> None:
    """Stopping early returns None and the same states, and runs no block beyond the deepest captured one."""
    embeddings, lengths = _batch(llm)
    for deepest in range(llm.num_layers + 1):
        _, expected = _forward(llm, embeddings, lengths, capture=[deepest])
        with _watch(llm.layers) as seen:
            states, captured = _forward(llm, embeddings, lengths, capture=[deepest], stop_at_capture=True)
        assert states is None, "forward must return None in place of the final states when it stops early"
        _assert_rows(captured[0], expected[0], lengths, f"layer {deepest} differs when the run stops there")
        ran = [number for number, block in enumerate(seen, 1) if block]
        assert ran == list(range(1, deepest + 1)), f"to capture layer {deepest} it ran the blocks {ran}"


@contract("llm")
def check_causality(llm: LanguageModel) -> None:
    """A position's state does not depend on later positions."""
    embeddings, lengths = _batch(llm)
    states = _final(llm, embeddings, lengths)
    changed = embeddings.clone()
    changed[:, 3:] = ramp(*changed[:, 3:].shape, seed=5)
    others = _final(llm, changed, lengths)
    assert_close(others[:, :3], states[:, :3], "a state depends on later positions; attention must be causal")
    assert not torch.allclose(others[0, 3], states[0, 3]), "the states do not depend on the embeddings"


@contract("llm")
def check_padding(llm: LanguageModel) -> None:
    """The content of the padding never changes a row's states."""
    embeddings, lengths = _batch(llm)
    states = _final(llm, embeddings, lengths)
    others = _final(llm, fill_padding(embeddings, lengths, GARBAGE), lengths)
    _assert_rows(others, states, lengths, "a row's states depend on its padding")


@contract("llm")
def check_batch_of_one(llm: LanguageModel) -> None:
    """A row run alone gives the states it has in a batch."""
    embeddings, lengths = _batch(llm)
    states = _final(llm, embeddings, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = _final(llm, embeddings[row : row + 1, :length], lengths[row : row + 1])
        assert_close(alone[0], states[row, :length], f"row {row} depends on the other rows")


@contract("llm")
def check_gradients(llm: LanguageModel) -> None:
    """Gradients reach every trainable parameter, and the embeddings even of a model that is frozen."""
    llm.eval()
    ids, lengths = _tokens()
    states, _ = llm(llm.embed(ids), lengths)
    assert_trainable(llm, content_sum(llm.project(states), lengths))
    embeddings = llm.embed(ids).detach().requires_grad_(True)
    states, (first,) = llm(embeddings, lengths, capture=[0])
    for value, name in ((states, "final states"), (first, "captured layer 0")):
        assert value.requires_grad, f"no gradient flows from the {name} to the embeddings"
        (grad,) = gradients(content_sum(value, lengths), embeddings)
        message = f"the gradient from the {name} to the embeddings must be finite and not zero"
        assert torch.isfinite(grad).all(), message
        assert grad.abs().sum() > 0, message


@contract("llm")
def check_generate(llm: LanguageModel) -> None:
    """One hypothesis or more, best first, the same in any batch; the mode is restored."""
    embeddings, lengths = _batch(llm)
    config = GenerationConfig(beam_size=3, max_new_tokens=6)
    for training in (True, False):
        llm.train(training)
        decoded = llm.generate(embeddings, lengths, config, eos_id=EOS_ID, pad_id=PAD_ID)
        assert llm.training == training, "generate must restore the model's train or eval mode"
    assert len(decoded) == len(lengths), f"expects one list per row, {len(lengths)}, got {len(decoded)}"
    for row, hypotheses in enumerate(decoded):
        assert hypotheses, f"row {row}: expects at least one hypothesis, got none"
        distinct = len({hypothesis.ids for hypothesis in hypotheses}) == len(hypotheses)
        assert distinct, f"row {row}: hypotheses must differ, got {[hypothesis.ids for hypothesis in hypotheses]}"
        scores = [hypothesis.score(config.length_penalty) for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True), f"row {row}: hypotheses must come best first, got {scores}"
        for ids in (hypothesis.ids for hypothesis in hypotheses):
            clean = EOS_ID not in ids and PAD_ID not in ids and all(0 <= i < VOCAB_SIZE for i in ids)
            assert clean, f"row {row}: ids must be in 0..{VOCAB_SIZE - 1} without EOS and padding, got {ids}"
            assert len(ids) < config.max_new_tokens, f"row {row}: {len(ids)} tokens and EOS exceed max_new_tokens"
        length = int(lengths[row])
        alone = llm.generate(
            embeddings[row : row + 1, :length], lengths[row : row + 1], config, eos_id=EOS_ID, pad_id=PAD_ID
        )
        same = [h.ids for h in alone[0]] == [h.ids for h in hypotheses]
        assert same, f"row {row} decodes to {hypotheses[0].ids} in a batch and to {alone[0][0].ids} alone"


@contract("llm")
def check_scores(llm: LanguageModel) -> None:
    """``log_probability`` is ``log p(ids, EOS | prompt)``, as ``forward`` and ``project`` give it."""
    embeddings, lengths = _batch(llm)
    config = GenerationConfig(beam_size=2, max_new_tokens=5)
    decoded = llm.generate(embeddings, lengths, config, eos_id=EOS_ID, pad_id=PAD_ID)
    for row, hypotheses in enumerate(decoded):
        for hypothesis in hypotheses:
            tokens = [*hypothesis.ids, EOS_ID]
            expected = _log_probability(llm, embeddings[row, : int(lengths[row])], tokens)
            found = hypothesis.log_probability
            close = abs(found - expected) <= 1e-3 * max(1.0, abs(expected))
            assert close, f"row {row}, {hypothesis.ids}: log_probability {found:.5f}, forward says {expected:.5f}"


@contract("llm")
def check_repetition_guard(llm: LanguageModel) -> None:
    """With ``no_repeat_ngram`` no hypothesis repeats one, and rows that it changes are marked ``guarded``."""
    embeddings, lengths = _batch(llm)

    def decode(size: int) -> list[list[Hypothesis]]:
        config = GenerationConfig(beam_size=2, max_new_tokens=8, no_repeat_ngram=size)
        return llm.generate(embeddings, lengths, config, eos_id=EOS_ID, pad_id=PAD_ID)

    free = decode(0)
    for row, hypotheses in enumerate(decode(1)):
        for ids in (hypothesis.ids for hypothesis in hypotheses):
            assert len(set(ids)) == len(ids), f"row {row}: a token is repeated in {ids} with no_repeat_ngram 1"
        changed = [h.ids for h in hypotheses] != [h.ids for h in free[row]]
        marked = all(hypothesis.guarded for hypothesis in hypotheses)
        assert marked or not changed, f"row {row}: no_repeat_ngram 1 changed it, but guarded is not set"
    for row, hypotheses in enumerate(decode(8)):
        same = [h.ids for h in hypotheses] == [h.ids for h in free[row]]
        assert same, f"row {row}: no_repeat_ngram 8 changed it, though no hypothesis has 8 tokens"
        assert not any(hypothesis.guarded for hypothesis in hypotheses), (
            f"row {row}: guarded is set, but nothing changed"
        )


def _tokens() -> tuple[Tensor, Tensor]:
    ids = torch.randint(3, VOCAB_SIZE, (3, 7), generator=torch.Generator().manual_seed(0))
    return ids, torch.tensor([7, 4, 5])


@torch.no_grad()
def _batch(llm: LanguageModel) -> tuple[Tensor, Tensor]:
    ids, lengths = _tokens()
    llm.eval()
    return fill_padding(llm.embed(ids), lengths, 0.0), lengths


@torch.no_grad()
def _forward(
    llm: LanguageModel,
    embeddings: Tensor,
    lengths: Tensor,
    *,
    capture: Sequence[int] = (),
    stop_at_capture: bool = False,
) -> tuple[Tensor | None, tuple[Tensor, ...]]:
    llm.eval()
    states, captured = llm(embeddings, lengths, capture=capture, stop_at_capture=stop_at_capture)
    return states, captured


def _final(llm: LanguageModel, embeddings: Tensor, lengths: Tensor) -> Tensor:
    states, _ = _forward(llm, embeddings, lengths)
    assert states is not None, "forward must return the final states unless it stops early"
    return states


@torch.no_grad()
def _log_probability(llm: LanguageModel, prompt: Tensor, tokens: list[int]) -> float:
    ids = torch.tensor([tokens])
    embeddings = torch.cat([prompt[None], llm.embed(ids)[:, :-1]], dim=1)
    states = _final(llm, embeddings, torch.tensor([embeddings.shape[1]]))
    logp = llm.project(states[:, -len(tokens) :]).float().log_softmax(-1)
    return float(logp.gather(2, ids[..., None]).sum())


def _assert_rows(actual: Tensor, expected: Tensor, lengths: Tensor, message: str) -> None:
    assert actual.shape == expected.shape, f"{message}: shapes {list(actual.shape)} and {list(expected.shape)} differ"
    for row, length in enumerate(lengths.tolist()):
        assert_close(actual[row, :length], expected[row, :length], message)


@contextmanager
def _watch(blocks: nn.ModuleList) -> Iterator[list[list[Tensor]]]:
    """Record input and output of each block: ``[input, output]``, or ``[]`` where it did not run."""
    seen: list[list[Tensor]] = [[] for _ in blocks]

    def before(number: int) -> Any:
        return lambda _, args, kwargs: seen[number].append(_states((*args, *kwargs.values())))

    def after(number: int) -> Any:
        return lambda _, args, output: seen[number].append(_states(output if isinstance(output, tuple) else (output,)))

    hooks = [block.register_forward_pre_hook(before(i), with_kwargs=True) for i, block in enumerate(blocks)]
    hooks += [block.register_forward_hook(after(i)) for i, block in enumerate(blocks)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _states(values: tuple[Any, ...]) -> Tensor:
    return next(v.detach().clone() for v in values if isinstance(v, Tensor) and v.dim() == 3 and v.is_floating_point())
