from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aista.data.augmentations.spec_augment import SpecAugment
from aista.data.batching import LengthBatches, SequentialBatches
from aista.data.dataset import SpeechTextDataset
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.data.loader import BatchLoader
from aista.data.manifest import Row
from aista.data.mixture import Mixture
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import DataError, RunError
from aista.types import SpeechBatch


@pytest.fixture
def dataset(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> SpeechTextDataset:
    augment = SpecAugment()
    return SpeechTextDataset(corpus, tmp_path, LogMel(LogMelConfig()), tokenizer, augment, seed=5)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    gc.collect()
    assert multiprocessing.active_children() == []


def loader(dataset: SpeechTextDataset, *, seed: int = 5, num_workers: int = 0, train: bool = True) -> BatchLoader:
    batches = LengthBatches(dataset.lengths(), batch_size=4, seed=seed)
    return BatchLoader(dataset, batches, num_workers=num_workers, train=train)


def assert_same(left: Iterable[SpeechBatch], right: Iterable[SpeechBatch]) -> None:
    for a, b in zip(left, right, strict=True):
        for field in fields(SpeechBatch):
            mine, theirs = getattr(a, field.name), getattr(b, field.name)
            assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs


def epochs(loader: BatchLoader, number: int) -> list[SpeechBatch]:
    batches = []
    for _ in range(number):
        batches += list(loader)
        loader.next_epoch()
    return batches


def test_an_epoch_serves_every_row_once(dataset: SpeechTextDataset) -> None:
    batches = list(loader(dataset))
    assert len(batches) == len(loader(dataset)) == 3
    assert sorted(id for batch in batches for id in batch.ids) == sorted(row.id for row in dataset.rows)


def test_epochs_differ_in_order_and_in_augmentation(dataset: SpeechTextDataset) -> None:
    batches = epochs(loader(dataset), 2)
    first, second = batches[:3], batches[3:]
    assert [batch.ids for batch in first] != [batch.ids for batch in second]
    audio = [
        {id: row for batch in part for id, row in zip(batch.ids, batch.audio, strict=True)} for part in (first, second)
    ]
    assert not torch.equal(audio[0]["u7"][:40], audio[1]["u7"][:40])


def test_an_epoch_that_is_over_stays_over_until_the_next_is_asked_for(dataset: SpeechTextDataset) -> None:
    one = loader(dataset)
    assert len(list(one)) == 3
    assert list(one) == []
    one.next_epoch()
    assert (one.epoch, len(list(one))) == (1, 3)


@pytest.mark.parametrize(
    ("taken", "num_workers"), [*((taken, 0) for taken in range(9)), (0, 2), (2, 2), (3, 2), (4, 2)]
)
def test_a_restored_loader_goes_on_with_the_very_next_batch(
    dataset: SpeechTextDataset, taken: int, num_workers: int
) -> None:
    expected = epochs(loader(dataset), 3)
    with loader(dataset, num_workers=num_workers) as interrupted:
        for _ in range(taken // 3):
            assert len(list(interrupted)) == 3
            interrupted.next_epoch()
        if taken % 3:
            iterator = iter(interrupted)
            for _ in range(taken % 3):
                next(iterator)
        state = interrupted.state_dict()
    assert (state["epoch"], state["position"]) == (taken // 3, taken % 3)
    with loader(dataset, num_workers=num_workers) as resumed:
        resumed.load_state_dict(state)
        assert_same(epochs(resumed, 3 - taken // 3), expected[taken:])


def test_a_state_at_the_end_of_an_epoch_goes_on_with_the_next(dataset: SpeechTextDataset) -> None:
    one = loader(dataset)
    list(one)
    other = loader(dataset)
    other.load_state_dict(one.state_dict())
    assert list(other) == []


def test_workers_change_no_bit_nor_the_global_random_state(dataset: SpeechTextDataset) -> None:
    expected = epochs(loader(dataset), 3)
    state = torch.get_rng_state()
    with loader(dataset, num_workers=2) as ahead:
        assert_same(epochs(ahead, 3), expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_workers_are_kept_between_epochs_and_ended_by_close(dataset: SpeechTextDataset) -> None:
    ahead = loader(dataset, num_workers=2)
    list(ahead)
    workers = {process.pid for process in multiprocessing.active_children()}
    assert len(workers) == 2
    ahead.next_epoch()
    list(ahead)
    assert {process.pid for process in multiprocessing.active_children()} == workers
    ahead.close()
    assert multiprocessing.active_children() == []
    ahead.next_epoch()
    assert len(list(ahead)) == 3  # starts new ones
    ahead.close()


def test_an_abandoned_iteration_leaves_no_stale_batches(dataset: SpeechTextDataset) -> None:
    expected = list(loader(dataset))
    with loader(dataset, num_workers=2) as ahead:
        first = [batch for _, batch in zip(range(1), ahead, strict=False)]
        assert_same([*first, *ahead], expected)


def test_a_loader_that_is_dropped_takes_its_workers_along(dataset: SpeechTextDataset) -> None:
    ahead = loader(dataset, num_workers=1)
    next(iter(ahead))
    assert len(multiprocessing.active_children()) == 1
    del ahead  # the fixture finds what is left


def test_ranks_share_every_global_batch(dataset: SpeechTextDataset) -> None:
    whole = list(loader(dataset))
    parts = []
    for rank in range(3):
        batches = LengthBatches(dataset.lengths(), batch_size=4, seed=5, world_size=3)
        parts.append(list(BatchLoader(dataset, batches, rank=rank, world_size=3, train=True)))
    assert [len(part) for part in parts] == [3, 3, 3]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [share.ids for share in shares] == [batch.ids[rank::3] for rank in range(3)]


def test_evaluation_is_a_whole_pass_every_time(dataset: SpeechTextDataset) -> None:
    batches = SequentialBatches(dataset.lengths(), batch_size=5)
    one = BatchLoader(dataset, batches, train=False)
    first = next(iter(one))
    assert first.ids == ("u0", "u1", "u2", "u3", "u4")
    assert len(list(one)) == 3
    one.next_epoch()
    assert one.epoch == 0
    assert_same(one, list(one))


def test_a_state_of_other_data_is_refused(dataset: SpeechTextDataset) -> None:
    one = loader(dataset)
    next(iter(one))
    state = one.state_dict()
    message = "training cannot be resumed: .* restore them, or start a new run"
    for other in (loader(dataset, seed=6), loader(dataset.with_rows(dataset.rows[:-1]))):
        with pytest.raises(DataError, match=message):
            other.load_state_dict(state)
        assert other.state_dict()["position"] == 0


def test_fewer_processes_keep_the_batches_of_more(dataset: SpeechTextDataset) -> None:
    """13 rows in batches of 4: one process has a last batch of one row, which joins another where there are two."""
    rows = dataset.with_rows((*dataset.rows, replace(dataset.rows[0], id="u12"))[:13])

    def shares(world_size: int) -> list[BatchLoader]:
        batches = LengthBatches(rows.lengths(), batch_size=4, seed=5, world_size=world_size)
        return [BatchLoader(rows, batches, rank=n, world_size=world_size, train=True) for n in range(world_size)]

    expected, _ = shares(2)
    plan = [set(batch) for batch in LengthBatches(rows.lengths(), batch_size=4, seed=5, world_size=2).plan(0)]
    next(iter(expected))
    (one,) = shares(1)
    one.load_state_dict(expected.state_dict())
    assert [{int(name[1:]) for name in batch.ids} for batch in one] == plan[1:]
    again, _ = shares(2)
    again.load_state_dict(one.state_dict())
    (alone,) = shares(1)
    next(iter(alone))
    with pytest.raises(DataError, match=r"its smallest batch has fewer rows than there are processes now \(2\)"):
        shares(2)[0].load_state_dict(alone.state_dict())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_file_that_vanished_is_a_readable_error(dataset: SpeechTextDataset, tmp_path: Path, num_workers: int) -> None:
    (tmp_path / "u7.wav").unlink()
    with loader(dataset, num_workers=num_workers) as one, pytest.raises(DataError) as caught:
        list(one)
    assert str(caught.value).startswith("u7.wav: no such file")
    assert "Traceback" not in str(caught.value)


def test_a_worker_that_dies_is_a_readable_error(dataset: SpeechTextDataset) -> None:
    with loader(dataset, num_workers=1) as ahead:
        list(ahead)
        ahead.next_epoch()
        (worker,) = multiprocessing.active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(RunError, match=r"a data worker process died .* lower data\.num_workers, or set it to 0"):
            list(ahead)


def mixed_loader(
    dataset: SpeechTextDataset, *, rank: int = 0, world_size: int = 1, num_workers: int = 0
) -> BatchLoader:
    """Two parts, of the first nine rows and of the others, each half of an epoch."""
    part = np.array([0] * 9 + [1] * (len(dataset) - 9))
    mixture = Mixture(("large", "small"), part, (0.5, 0.5), seed=5)
    batches = LengthBatches(dataset.lengths(), batch_size=4, seed=5, world_size=world_size, mixture=mixture)
    return BatchLoader(
        dataset.with_parts(mixture), batches, rank=rank, world_size=world_size, num_workers=num_workers, train=True
    )


@pytest.mark.parametrize(("taken", "num_workers"), [*((taken, 0) for taken in range(1, 6)), (1, 2), (4, 2)])
def test_a_mixture_resumes_at_any_batch(dataset: SpeechTextDataset, taken: int, num_workers: int) -> None:
    expected = epochs(mixed_loader(dataset), 3)
    with mixed_loader(dataset, num_workers=num_workers) as interrupted:
        ahead = interrupted
        for _ in range(taken):
            if ahead.is_at_end:
                ahead.next_epoch()
            next(iter(ahead))
        state, read = interrupted.state_dict(), interrupted.rows_read()
    assert read == {name: sum(batch.part_rows[name] for batch in expected[:taken]) for name in ("large", "small")}
    with mixed_loader(dataset, num_workers=num_workers) as resumed:
        resumed.load_state_dict(state)
        assert resumed.rows_read() == read
        rest = epochs(resumed, 3 - state["epoch"])
        assert_same(rest, expected[taken:])


def test_processes_share_the_batches_of_a_mixture(dataset: SpeechTextDataset) -> None:
    whole = epochs(mixed_loader(dataset, world_size=1), 2)
    shares = [epochs(mixed_loader(dataset, rank=rank, world_size=2), 2) for rank in range(2)]
    assert len(whole) == len(shares[0]) == len(shares[1])
    for batch, first, second in zip(whole, *shares, strict=True):
        assert (batch.ids[0::2], batch.ids[1::2]) == (first.ids, second.ids)
        assert batch.part_rows == {name: n + second.part_rows[name] for name, n in first.part_rows.items()}


def test_readings_of_a_row_within_an_epoch_are_augmented_apart(dataset: SpeechTextDataset) -> None:
    part = np.array([0] + [1] * (len(dataset) - 1))
    mixture = Mixture(("one", "others"), part, (0.5, 0.5), seed=5)
    batches = LengthBatches(dataset.lengths(), batch_size=4, seed=5, mixture=mixture)
    read = [
        audio[:length]
        for batch in BatchLoader(dataset, batches, train=True)
        for id, audio, length in zip(batch.ids, batch.audio, batch.audio_lengths, strict=True)
        if id == dataset.rows[0].id
    ]
    assert len(read) >= 5
    assert all(len(one) == len(read[0]) for one in read)
    assert not any(torch.equal(one, other) for n, one in enumerate(read) for other in read[:n])


def test_other_shares_are_no_resume(dataset: SpeechTextDataset) -> None:
    state = mixed_loader(dataset).state_dict()
    with pytest.raises(DataError, match="training cannot be resumed"):
        loader(dataset).load_state_dict(state)
