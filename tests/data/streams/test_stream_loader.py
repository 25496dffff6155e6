"""The same batches for any number of workers and processes, from any place, and those of the manifest."""

from __future__ import annotations

import gc
import gzip
import json
import multiprocessing
from collections.abc import Iterable
from dataclasses import fields

import pytest
import torch

from aista.data.augmentations.spec_augment import SpecAugment
from aista.data.batching import LengthBatches
from aista.data.dataset import SpeechTextDataset
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.data.loader import BatchLoader
from aista.data.streams.shard_windows import shard_order
from aista.errors import DataError
from aista.types import SpeechBatch


def assert_same(left: Iterable[SpeechBatch], right: Iterable[SpeechBatch]) -> None:
    for a, b in zip(left, right, strict=True):
        for field in fields(SpeechBatch):
            mine, theirs = getattr(a, field.name), getattr(b, field.name)
            assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs


def epochs(loader, number):
    batches = []
    for _ in range(number):
        batches += list(loader)
        assert loader.is_at_end
        loader.next_epoch()
    return batches


def halves(batches):
    return batches[: len(batches) // 2], batches[len(batches) // 2 :]


def ids(batches):
    return [id for batch in batches for id in batch.ids]


def test_an_epoch_is_every_row_once_in_another_order(shar, open_loader):
    first, second = (ids(part) for part in halves(epochs(open_loader(shar), 2)))
    assert sorted(first) == sorted(second) == sorted(f"u{index}" for index in range(12))
    assert first != second


def test_one_window_gives_the_batches_of_the_manifest(tmp_path, manifest, shar, tokenizer, open_loader):
    dataset = SpeechTextDataset(manifest.rows, tmp_path, LogMel(LogMelConfig()), tokenizer, SpecAugment(), seed=5)
    batches = LengthBatches(dataset.lengths(), batch_size=4, seed=5)
    expected = epochs(BatchLoader(dataset, batches, train=True), 2)
    assert_same(epochs(open_loader(shar, shards_at_once=4, augmentation=SpecAugment()), 2), expected)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_loader_goes_on_with_the_same_batches(shar, open_loader, num_workers):
    whole = epochs(open_loader(shar), 2)
    for stop in range(len(whole) + 1):
        with open_loader(shar, num_workers=num_workers if stop in (1, 3, 5) else 0) as first:
            before, count = [], 0
            while count < stop:
                for batch in first:
                    before.append(batch)
                    count += 1
                    if count == stop:
                        break
                else:
                    first.next_epoch()
            state = first.state_dict()
        second = open_loader(shar)
        second.load_state_dict(state)
        assert second.state_dict() == state
        after = list(second)
        while len(before) + len(after) < len(whole):
            second.next_epoch()
            after += list(second)
        assert_same(before + after, whole)
    gc.collect()
    assert multiprocessing.active_children() == []


def test_processes_share_the_batches_of_one(shar, open_loader):
    whole = list(open_loader(shar))
    parts = [list(open_loader(shar, rank=rank, world_size=2)) for rank in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        for rank, share in enumerate(shares):
            assert share.ids == batch.ids[rank::2]


def test_another_number_of_processes_resumes(shar, open_loader):
    whole = epochs(open_loader(shar, world_size=2, rank=0), 1)
    one = open_loader(shar)
    taken = next(iter(one))
    two = open_loader(shar, world_size=2, rank=0)
    two.load_state_dict(one.state_dict())
    assert taken.ids[::2] == whole[0].ids
    assert [batch.ids for batch in two] == [batch.ids for batch in whole[1:]]


def test_other_shards_or_batches_are_refused(tmp_path, shar, open_loader):
    state = open_loader(shar).state_dict()
    with pytest.raises(DataError, match="names or sizes have changed"):
        open_loader(shar).load_state_dict(state | {"shards": "other"})
    with pytest.raises(DataError, match="rows kept, the seed or the batch sizes"):
        open_loader(shar).load_state_dict(state | {"fingerprint": "other"})
    with pytest.raises(DataError, match="cannot be resumed"):  # that of a manifest's loader
        open_loader(shar).load_state_dict({"epoch": 0, "position": 0, "world_size": 1, "fingerprint": ""})


def change_cut(shar, shard, line, **changes):
    file = shar / f"cuts.{shard:06d}.jsonl.gz"
    cuts = [json.loads(text) for text in gzip.decompress(file.read_bytes()).splitlines()]
    cuts[line] |= changes
    with gzip.open(file, "wt") as stream:
        stream.writelines(json.dumps(cut) + "\n" for cut in cuts)


def break_audio(shar, shard, id):
    """Overwrite the recording within its archive."""
    import tarfile

    file = shar / f"recording.{shard:06d}.tar"
    with tarfile.open(file) as archive:
        member = archive.getmember(f"{id}.wav")
    with file.open("r+b") as stream:
        stream.seek(member.offset_data)
        stream.write(b"\0" * member.size)


def test_bad_rows_are_named_with_shard_and_id(shar, open_loader):
    break_audio(shar, 1, "u4")
    with pytest.raises(DataError, match=r"shar/recording.000001.tar: u4: .*must be audio(.|\n)*on_bad_rows: drop"):
        list(open_loader(shar))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_bad_rows_are_left_out_and_counted(shar, open_loader, num_workers, caplog):
    break_audio(shar, 1, "u4")
    change_cut(shar, 2, 0, id="u0")  # repeats an id, and its recording is not found
    change_cut(shar, 3, 1, duration=9.0)
    with open_loader(shar, on_bad_rows="drop", num_workers=num_workers) as loader:
        got = ids(loader)
        assert set(got) == {f"u{index}" for index in range(12)} - {"u4", "u6", "u10"}
        assert loader.state_dict()["counts"] == {"num_met": 12, "num_bad": 3}
    text = caplog.text
    assert "recording.000001.tar: u4" in text
    assert "cuts.000002.jsonl.gz:1: u0: no audio" in text
    assert "u10: mislabelled" in text
    assert text.count("(left out)") == 3


def test_too_many_bad_rows_stop_the_run(shar, open_loader):
    break_audio(shar, 0, "u1")
    break_audio(shar, 3, "u9")
    with pytest.raises(DataError, match=r"2 of 12 rows met are bad, more than data.max_bad_rows"):
        list(open_loader(shar, on_bad_rows="drop", max_share=0.001))


def test_a_share_without_a_good_row_reads_another(shar, open_loader):
    for index in range(12):
        if index % 2:
            break_audio(shar, index // 3, f"u{index}")
    shares = [list(open_loader(shar, on_bad_rows="drop", rank=rank, world_size=2)) for rank in range(2)]
    assert len(shares[0]) == len(shares[1])
    assert all(len(batch) for share in shares for batch in share)


def test_more_processes_than_rows(shar, open_loader):
    with pytest.raises(DataError, match=r"every process needs a row(.|\n)*shards_at_once"):
        list(open_loader(shar, world_size=4, shards_at_once=1))


def test_windows_hold_each_shard_once():
    for count, at_once in ((1, 16), (16, 16), (17, 16), (100, 7)):
        order = shard_order(count, at_once, seed=1, epoch=0)
        assert sorted(shard for window in order for shard in window) == list(range(count))
        assert max(map(len, order)) <= at_once
        assert max(map(len, order)) - min(map(len, order)) <= 1
    assert shard_order(100, 7, seed=1, epoch=0) != shard_order(100, 7, seed=1, epoch=1)
