from __future__ import annotations

import math

import pytest
import torch
from torch import multiprocessing

from aista.losses import wasserstein_contrastive
from aista.losses.base import AlignmentContext
from aista.losses.in_batch import max_sim
from aista.losses.infonce import InfoNCE
from aista.losses.wasserstein_contrastive import WassersteinContrastive, WassersteinContrastiveConfig
from aista.schema import structure
from aista.types import LayerStates
from tests.losses.layers import PRESENT, content, fold, layer_states

LEVELS = ("mean", "max", "token")
IDS = torch.tensor([[1, 2, 3, 4, 9, 9], [5, 6, 7, 8, 1, 9], [9, 9, 9, 9, 9, 9], [1, 2, 9, 9, 9, 9],
                    [1, 2, 3, 4, 5, 6], [1, 9, 9, 9, 9, 9]])  # fmt: skip


def _context(num_rows: int = 6) -> AlignmentContext:
    """Of one layer whose rows all say something else."""
    return AlignmentContext(transcripts=torch.arange(num_rows)[:, None].expand(-1, 6))


def _loss(level: str = "mean", tau: float = 0.5) -> InfoNCE:
    return InfoNCE(level=level, temperature=tau)


def _similarity(x: torch.Tensor, y: torch.Tensor, level: str) -> float:
    """Of one speech ``[P, D]`` and one text ``[T, D]``, without padding."""

    def cosine(u, v):
        return float(u @ v / (u.norm() * v.norm()))

    if level == "token":
        return sum(max(cosine(u, v) for u in x) for v in y) / len(y)
    return cosine(*(z.mean(0) if level == "mean" else z.amax(0) for z in (x, y)))


def _naive(states: LayerStates, level: str, tau: float, same: set[tuple[int, int]] = frozenset()) -> list[float]:
    """Both directions, row by row, over the rows that have both sides."""
    sims = {(i, j): _similarity(content(states, i)[0], content(states, j)[1], level) for i in PRESENT for j in PRESENT}
    values = []
    for i in range(6):
        others = [j for j in PRESENT if (i, j) not in same]
        if i not in PRESENT:
            values.append(0.0)
            continue
        forward = math.log(sum(math.exp((sims[i, j] - sims[i, i]) / tau) for j in others))
        backward = math.log(sum(math.exp((sims[j, i] - sims[i, i]) / tau) for j in others))
        values.append((forward + backward) / 2)
    return values


@pytest.mark.parametrize("level", LEVELS)
def test_the_definition(level):
    states = layer_states()
    values = _loss(level)(states, _context()).per_utterance_B
    assert values.tolist() == pytest.approx(_naive(states, level, 0.5), rel=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_layers_are_apart(level):
    first, second = layer_states(), layer_states(seed=1)
    context = AlignmentContext(num_layers=2, transcripts=IDS)
    values = _loss(level)(fold(first, second), context=context).per_utterance_B
    assert values.tolist() == pytest.approx(_naive(first, level, 0.5) + _naive(second, level, 0.5), rel=1e-5)


@pytest.mark.parametrize("garbage", [0, 7])
def test_rows_with_the_same_transcript_are_no_negatives(garbage):
    states = layer_states()
    ids = IDS.clone()
    lengths = states.text_lengths.tolist()
    # Rows 0 and 4 now say the same: equal lengths and ids up to there, whatever lies behind.
    states = states._replace(text_lengths=torch.tensor([4, 5, 0, 2, 4, 1]))
    ids[4, :4], ids[4, 4:] = ids[0, :4], garbage
    result = _loss()(states, context=AlignmentContext(1, ids))
    same = {(0, 4), (4, 0)}
    assert result.per_utterance_B.tolist() == pytest.approx(_naive(states, "mean", 0.5, same), rel=1e-5)
    assert float(result.diagnostics["candidates"]) == pytest.approx((3 + 4 + 3 + 4) / 4)
    assert lengths[4] == 6  # with its own length row 4 says more than row 0
    apart = _loss()(layer_states(), context=AlignmentContext(1, ids)).diagnostics["candidates"]
    assert float(apart) == 4


@pytest.mark.parametrize("level", LEVELS)
def test_gradients_agree_with_finite_differences(level):
    states = layer_states([3, 0, 2, 4], [2, 3, 4, 1])
    clean = [states.speech.detach().nan_to_num(0.0), states.text.detach().nan_to_num(posinf=0.0)]

    def loss(x, y):
        from aista.losses.sides import sides

        both = sides(states._replace(speech=x, text=y), detach_text=False)
        return _loss(level)._solve(both, _context(4))[0][[0, 2, 3]]

    inputs = tuple(z.clone().requires_grad_() for z in clean)
    assert torch.autograd.gradcheck(loss, inputs)


def test_chance_is_the_logarithm_of_the_candidates():
    x = torch.ones(5, 3, 4)
    states = LayerStates(x, torch.full((5,), 3), x, torch.full((5,), 3))
    values = _loss()(states, _context(5)).per_utterance_B
    torch.testing.assert_close(values, torch.full((5,), math.log(5)))


def test_accuracy_counts_both_directions():
    x = torch.eye(4)[:, None]
    lengths = torch.ones(4, dtype=torch.long)
    result = _loss()(LayerStates(x, lengths, x, lengths), _context(4))
    assert float(result.diagnostics["accuracy"]) == 1
    result = _loss()(LayerStates(x, lengths, x.roll(1, 0), lengths), _context(4))
    assert float(result.diagnostics["accuracy"]) == 0


def test_a_single_row_has_nothing_to_be_told_from():
    states = layer_states([3], [4])
    values = _loss()(states, _context(1)).per_utterance_B
    values.sum().backward()
    assert values.tolist() == [0]
    assert not states.speech.grad[0, :3].any()


def test_rows_that_do_not_fill_the_layers_are_named():
    states = layer_states()
    with pytest.raises(ValueError, match="got 6 rows and L = 4 layers"):
        _loss()(states, context=AlignmentContext(num_layers=4))
    with pytest.raises(ValueError, match="one row per utterance, 3, got 6"):
        _loss()(states, context=AlignmentContext(2, IDS))


def test_max_sim_is_no_further_than_any_single_match():
    g = torch.Generator().manual_seed(0)
    x, y = (torch.nn.functional.normalize(torch.randn(3, n, 5, generator=g), dim=-1) for n in (6, 4))
    lengths = torch.tensor([6, 2, 0]), torch.tensor([4, 1, 3])
    out = max_sim(x, y, *lengths)
    for i in range(2):
        for j, t in enumerate([4, 1, 3]):
            expected = (y[j, :t] @ x[i, : lengths[0][i]].T).amax(1).mean()
            torch.testing.assert_close(out[i, j], expected)
    assert (out[2] == -1).all()


# Transport in place of the cosine.


def _transport(**options: object) -> WassersteinContrastive:
    return WassersteinContrastive(structure(WassersteinContrastiveConfig, {"temperature": 0.5, **options}))


def _naive_transport(states: LayerStates, most: int, same: set[tuple[int, int]] = frozenset()) -> list[float]:
    import ot

    def distance(i: int, j: int) -> float:
        x, y = content(states, i)[0], content(states, j)[1]
        x, y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
        return float(ot.emd2([], [], (1 - x @ y.T).numpy()))

    values, n = [0.0] * 6, len(PRESENT)
    for place, i in enumerate(PRESENT):
        for sign in (1, -1):
            others = [PRESENT[(place + sign * k) % n] for k in range(min(most, n))]
            ds = [distance(*((i, j) if sign == 1 else (j, i))) for j in others if (i, j) not in same]
            values[i] += 0.5 * math.log(sum(math.exp((ds[0] - d) / 0.5) for d in ds))
    return values


@pytest.mark.parametrize("most", [2, 3, 8])
def test_contrastive_transport_is_its_definition(most):
    states = layer_states()
    result = _transport(solver="exact", max_candidates=most)(states, _context())
    assert result.per_utterance_B.tolist() == pytest.approx(_naive_transport(states, most), rel=1e-4)
    assert float(result.diagnostics["candidates"]) == min(most, 4)


@pytest.mark.parametrize("most", [2, 3, 8])
@pytest.mark.parametrize("num_rows", [0, 1, 6])
def test_contrastive_transport_is_the_same_where_the_number_of_rows_cannot_be_read(monkeypatch, most, num_rows):
    layers, results = [layer_states(seed=seed) for seed in (0, 1)], []
    states = fold(*(LayerStates(*(field[:num_rows] for field in layer)) for layer in layers))
    for at_most in (lambda value, limit: int(value), lambda value, limit: limit):
        monkeypatch.setattr(wasserstein_contrastive, "at_most", at_most)
        result = _transport(solver="exact", max_candidates=most)(states, AlignmentContext(2, IDS[:num_rows]))
        total = (result.per_utterance_B * torch.arange(2 * num_rows)).sum()
        grads = torch.autograd.grad(total, layers[0].speech, allow_unused=True)
        results.append((result.per_utterance_B, result.diagnostics, *grads))
    torch.testing.assert_close(*results)


def test_contrastive_transport_keeps_layers_and_equal_transcripts_apart():
    first, second = (layer_states(seed=n)._replace(text_lengths=torch.tensor([4, 5, 0, 2, 4, 1])) for n in (0, 1))
    ids = IDS.clone()
    ids[4] = ids[0]
    values = _transport(solver="exact")(fold(first, second), context=AlignmentContext(2, ids)).per_utterance_B
    same = {(0, 4), (4, 0)}
    expected = _naive_transport(first, 8, same) + _naive_transport(second, 8, same)
    assert values.tolist() == pytest.approx(expected, rel=1e-4)


def test_contrastive_transport_solves_all_pairs_in_one_call():
    loss = _transport(solver="relaxed", max_candidates=3)
    solver, calls = loss.solver, []

    def count(*arguments, **geometry):
        calls.append(len(arguments[0]))
        return solver(*arguments, **geometry)

    loss.solver = count
    loss(fold(layer_states(), layer_states()), context=AlignmentContext(2, IDS))
    assert calls == [2 * 4 * 3]


def test_contrastive_transport_of_nobody():
    states = layer_states([3, 0], [0, 2])
    values = _transport()(states, _context(2)).per_utterance_B
    assert values.tolist() == [0, 0]


@pytest.mark.parametrize("level", LEVELS)
def test_nobody_is_compared_with_nobody(level):
    lengths = torch.zeros(0, dtype=torch.long)
    states = LayerStates(torch.zeros(0, 3, 2), lengths, torch.zeros(0, 2, 2), lengths)
    context = AlignmentContext(1, torch.zeros(0, 2, dtype=torch.long))
    assert _loss(level)(states, context).per_utterance_B.shape == (0,)


# Two processes.


def _worker(rank: int, port: int, level: str, queue) -> None:
    torch.set_num_threads(1)
    store = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    states, ids = _all_rows()
    rows = [0, 1, 4, 6] if rank == 0 else [2, 3, 5]  # unequal numbers, and rank 1's padding is cut
    longest = [int(z[rows].max()) for z in (states.speech_lengths, states.text_lengths)]
    own = LayerStates(
        states.speech.detach()[rows, : longest[0]].requires_grad_(),
        states.speech_lengths[rows],
        states.text.detach()[rows, : longest[1]].requires_grad_(),
        states.text_lengths[rows],
    )
    # Two layers, the second the first's double.
    folded = fold(own, own._replace(speech=own.speech.flip(2), text=2 * own.text.roll(1, 2)))
    context = AlignmentContext(2, ids[rows, : longest[1]])
    values = _loss(level)(folded, detach_text=False, context=context).per_utterance_B
    (values.view(2, -1) * _weights()[rows]).sum().backward()
    queue.put((rank, values.detach().view(2, -1).tolist(), own.speech.grad.tolist(), own.text.grad.tolist()))
    torch.distributed.destroy_process_group()


def _all_rows() -> tuple[LayerStates, torch.Tensor]:
    states = layer_states([7, 3, 5, 0, 6, 1, 4], [4, 5, 0, 2, 6, 1, 4], seed=3)
    ids = torch.cat([IDS, IDS[:1]])  # rows 0 and 6 say the same
    clean = states._replace(
        speech=states.speech.detach().nan_to_num(0.0).requires_grad_(),
        text=states.text.detach().nan_to_num(posinf=0.0).requires_grad_(),
    )
    return clean, ids


def _weights() -> torch.Tensor:
    return torch.arange(1.0, 8.0)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["mean", "token"])
def test_two_processes_have_the_values_and_gradients_of_one(level):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_worker, args=(rank, port, level, queue)) for rank in range(2)]
    for worker in workers:
        worker.start()
    parts = {rank: rest for rank, *rest in (queue.get(timeout=120) for _ in workers)}
    for worker in workers:
        worker.join()
    states, ids = _all_rows()
    folded = fold(states, states._replace(speech=states.speech.flip(2), text=2 * states.text.roll(1, 2)))
    values = _loss(level)(folded, detach_text=False, context=AlignmentContext(2, ids)).per_utterance_B.view(2, -1)
    (values * _weights()).sum().backward()
    for rank, rows in ((0, [0, 1, 4, 6]), (1, [2, 3, 5])):
        own, *grads = (torch.tensor(z) for z in parts[rank])
        torch.testing.assert_close(own, values.detach()[:, rows], rtol=1e-5, atol=1e-6)
        for grad, full in zip(grads, (states.speech.grad, states.text.grad), strict=True):
            expected = full[rows, : grad.shape[1]].float()
            torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-6)
    assert parts[0][1] != parts[1][1]
