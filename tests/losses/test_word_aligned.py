from __future__ import annotations

import itertools
import math
import socket

import pytest
import torch
from torch import multiprocessing

from aista.losses.base import AlignmentContext
from aista.losses.word_aligned import WordAligned, _keys
from aista.losses.words import WordPlaces
from aista.types import LayerStates
from tests.losses.layers import content, fold, layer_states

IDS = torch.tensor([[1, 2, 3, 4, 9, 9], [5, 6, 7, 8, 1, 9], [9, 9, 9, 9, 9, 9], [1, 2, 9, 9, 9, 9],
                    [1, 2, 3, 4, 5, 6], [1, 9, 9, 9, 9, 9]])  # fmt: skip


def spans(states: LayerStates) -> torch.Tensor:
    """Two words per row, the first of one token, and a third without anything."""
    words = torch.zeros(len(states.text_lengths), 3, 4)
    for row, length in enumerate(states.text_lengths.tolist()):
        if length:
            words[row, 0] = torch.tensor([0, 1, 0.05, 0.37])
        if length > 1:
            words[row, 1] = torch.tensor([1, length, 0.37, 0.95])
    return words


def _context(states: LayerStates, **changes: object) -> AlignmentContext:
    return AlignmentContext(1, IDS, words=spans(states))._replace(**changes)


def _loss(tau: float = 0.5) -> WordAligned:
    return WordAligned(temperature=tau)


def _covered(x: torch.Tensor, start: float, end: float) -> torch.Tensor:
    """Mean of the states between two shares of the utterance, by very fine steps."""
    steps = 20_000
    places = torch.arange(steps) / steps
    inside = (places >= start) & (places < end)
    return x[(places[inside] * len(x)).long()].mean(0)


def _naive(states: LayerStates, tau: float) -> list[float]:
    items = []
    for row, words in enumerate(spans(states)):
        if not states.speech_lengths[row] or not states.text_lengths[row]:
            continue
        x, y = content(states, row)
        for first, end, start, stop in words.tolist():
            if end > first:
                key = tuple(IDS[row, int(first) : int(end)].tolist())
                items.append((row, key, _covered(x, start, stop), y[int(first) : int(end)].mean(0)))
    values = [[] for _ in states.text_lengths]
    for row, key, x, y in items:
        others = [(v, w) for _, other, v, w in items if other != key]

        def cosine(a, b):
            return float(torch.cosine_similarity(a, b, dim=0)) / tau

        forward = math.log(1 + sum(math.exp(cosine(x, w) - cosine(x, y)) for _, w in others))
        backward = math.log(1 + sum(math.exp(cosine(v, y) - cosine(x, y)) for v, _ in others))
        values[row].append((forward + backward) / 2)
    return [sum(row) / len(row) if row else 0.0 for row in values]


def test_the_definition():
    states = layer_states()
    assert _loss()(states, context=_context(states)).per_utterance_B.tolist() == pytest.approx(
        _naive(states, 0.5), rel=2e-3, abs=2e-3
    )


def test_layers_are_apart():
    first, second = layer_states(), layer_states(seed=1)
    folded = _loss()(fold(first, second), context=_context(first, num_layers=2)).per_utterance_B
    alone = [_loss()(states, context=_context(states)).per_utterance_B for states in (first, second)]
    torch.testing.assert_close(folded, torch.cat(alone))


def test_words_that_say_the_same_are_no_rivals():
    """Rows 0 and 3 begin with the same token: what the other's speech is like does not matter to that word."""
    states = layer_states()
    only_first = spans(states)
    only_first[:, 1:] = 0
    only_first[[1, 4, 5]] = 0
    result = _loss()(states, context=_context(states, words=only_first))
    assert result.per_utterance_B.tolist() == pytest.approx([0.0] * 6, abs=1e-6)
    assert float(result.diagnostics["candidates"]) == 1
    assert float(result.diagnostics["words"]) == 1


def test_rows_without_words_have_no_part():
    states = layer_states()
    some = spans(states)
    some[0] = 0
    speech = states.speech.detach().clone().requires_grad_(True)
    values = _loss()(states._replace(speech=speech), context=_context(states, words=some)).per_utterance_B
    assert values[0] == 0
    values.sum().backward()
    assert not speech.grad[0].any()
    assert speech.grad[1].any()
    nothing = _loss()(states, context=_context(states, words=None)).per_utterance_B
    assert not nothing.any()


def test_nobody_has_no_words():
    lengths = torch.zeros(0, dtype=torch.long)
    states = LayerStates(torch.zeros(0, 0, 2), lengths, torch.zeros(0, 0, 2), lengths)
    assert _loss()(states, AlignmentContext(1, torch.zeros(0, 0, dtype=torch.long))).per_utterance_B.shape == (0,)


def test_words_beyond_the_transcript_are_left_out():
    states = layer_states()
    words = spans(states)
    words[0, 2] = torch.tensor([3, 99, 0.9, 1.0])
    given = _loss()(states, context=_context(states, words=words)).per_utterance_B
    torch.testing.assert_close(given, _loss()(states, context=_context(states)).per_utterance_B)


def test_words_that_cannot_be_are_named():
    context = AlignmentContext(transcripts=torch.ones(6, 6, dtype=torch.long), words=torch.zeros(2, 1, 4))
    with pytest.raises(ValueError, match=r"words must be a tensor \[6, N, 4\], got torch.float32 \[2, 1, 4\]"):
        _loss()(layer_states(), context)
    with pytest.raises(ValueError, match="words must hold token numbers of at least 0, got -1"):
        _loss()(layer_states(), context._replace(words=torch.full((6, 1, 4), -1.0)))


def _process(rank: int, port: int, queue) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    states = layer_states()
    rows = slice(0, 4) if rank == 0 else slice(4, 6)
    speech = states.speech.detach()[rows].requires_grad_(True)
    part = LayerStates(speech, *(field[rows] for field in states[1:]))
    context = AlignmentContext(1, IDS[rows], words=spans(states)[rows])
    values = _loss()(part, context=context).per_utterance_B
    values.sum().backward()
    queue.put((rank, values.tolist(), speech.grad.tolist()))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one():
    states = layer_states()
    speech = states.speech.detach().clone().requires_grad_(True)
    whole = _loss()(states._replace(speech=speech), context=_context(states)).per_utterance_B
    whole.sum().backward()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_process, args=(rank, port, queue)) for rank in range(2)]
    for worker in workers:
        worker.start()
    parts = sorted(queue.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
    values, grads = (torch.tensor([row for part in parts for row in part[field]]) for field in (1, 2))
    torch.testing.assert_close(values, whole.detach())
    torch.testing.assert_close(grads, speech.grad.float(), rtol=1e-5, atol=1e-6)


def test_words_with_the_same_tokens_have_the_same_key_and_no_others():
    ids = torch.randint(0, 3, (8, 6), generator=torch.Generator().manual_seed(0))
    spans = list(itertools.combinations(range(7), 2))
    first, end = (torch.tensor(places).expand(8, -1) for places in zip(*spans, strict=True))
    places = WordPlaces(first >= 0, first, end, first.float(), end.float())
    keys = _keys(places, ids).flatten().tolist()
    words = [tuple(row[start:stop]) for row in ids.tolist() for start, stop in spans]
    assert len(set(keys)) == len(set(words)) == len(set(zip(keys, words, strict=True)))
