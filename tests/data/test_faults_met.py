"""Rows that nothing checked before training: left out as they are met, named, counted; too many stop the run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from aista.data.batching import LengthBatches
from aista.data.data_config import DataConfig
from aista.data.dataset import SpeechTextDataset
from aista.data.fault_log import FaultLog
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.data.inspection import inspect
from aista.data.loader import BatchLoader
from aista.data.manifest import Row, read_manifest, write_manifest
from aista.data.row_checks import Limit, RowChecks
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import DataError
from aista.types import SpeechBatch


class Corpus:
    """A dataset of twelve rows and loaders that tolerate faults."""

    def __init__(self, folder: Path, rows: Sequence[Row], tokenizer: TextTokenizer) -> None:
        write_manifest(folder / "train.tsv", rows)
        found = inspect(read_manifest(folder / "train.tsv"), DataConfig(), policy="trust", tokenizer=tokenizer)
        assert found.checks is not None
        self.checks: RowChecks = found.checks
        self.dataset = SpeechTextDataset(found.kept, folder, LogMel(LogMelConfig()), tokenizer)
        self.manifest = found.manifest

    def loader(self, *, share: float = 1.0, on_bad_rows: Any = "drop", ranks: int = 1, **options: Any) -> BatchLoader:
        dataset = self.dataset.with_checks(self.checks)
        batches = LengthBatches(dataset.lengths(), batch_size=4, seed=5, world_size=ranks)
        faults = FaultLog([(self.manifest, len(dataset))], on_bad_rows, share)
        return BatchLoader(dataset, batches, world_size=ranks, train=True, faults=faults, **options)


@pytest.fixture
def corpus_of(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> Any:
    def make(**faults: Row) -> Corpus:
        return Corpus(tmp_path, [faults.get(row.id, row) for row in corpus], tokenizer)

    return make


def same(left: Sequence[SpeechBatch], right: Sequence[SpeechBatch]) -> None:
    for a, b in zip(left, right, strict=True):
        for field in fields(SpeechBatch):
            mine, theirs = getattr(a, field.name), getattr(b, field.name)
            assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs


def test_faulty_rows_are_left_out_named_once_and_counted(
    tmp_path: Path, corpus: tuple[Row, ...], corpus_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "u3.wav").write_bytes(b"no audio")
    made = corpus_of(
        u5=replace(corpus[5], audio="gone.wav"),
        u7=replace(corpus[7], n_frames=2 * corpus[7].n_frames),
    )
    loader = made.loader()
    with caplog.at_level(logging.WARNING, logger="aista.data"):
        first = list(loader)
        loader.next_epoch()
        list(loader)
    ids = [id for batch in first for id in batch.ids]
    assert sorted(ids) == sorted({row.id for row in corpus} - {"u3", "u5", "u7"})
    assert sum(batch.left_out for batch in first) == 3
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    path = tmp_path / "train.tsv"
    for start in (
        f"{path}:5: u3: ",
        f"{path}:7: u5: gone.wav: no such file",
        f"{path}:9: u7: n_frames must be within 5 %",
    ):
        assert sum(line.startswith(start) for line in lines) == 1


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_workers_and_a_resume_change_nothing(tmp_path: Path, corpus_of: Any, taken: int) -> None:
    (tmp_path / "u3.wav").unlink()
    (tmp_path / "u8.wav").unlink()
    made = corpus_of()
    expected = list(made.loader())
    with made.loader(num_workers=2) as ahead:
        same(list(ahead), expected)
    interrupted = made.loader()
    iterator = iter(interrupted)
    for _ in range(taken):
        next(iterator)
    resumed = made.loader()
    resumed.load_state_dict(interrupted.state_dict())
    same(list(resumed), expected[taken:])


def test_processes_leave_the_same_rows_out(tmp_path: Path, corpus_of: Any) -> None:
    (tmp_path / "u3.wav").unlink()
    made = corpus_of()
    whole = [set(batch.ids) for batch in made.loader()]
    shares = [list(made.loader(ranks=2, rank=rank)) for rank in range(2)]
    assert [set(a.ids) | set(b.ids) for a, b in zip(*shares, strict=True)] == whole


def test_a_share_without_a_good_row_takes_another_row(tmp_path: Path, corpus_of: Any) -> None:
    """Processes take their steps together: none of them may be without a batch."""
    made = corpus_of()
    batches = list(made.loader(ranks=4))
    assert [len(batch) for batch in batches] == [1, 1, 1]
    for batch in batches:
        (tmp_path / f"{batch.ids[0]}.wav").unlink()
    again = list(made.loader(ranks=4))
    assert [batch.left_out for batch in again] == [1, 1, 1]
    assert all(len(batch) == 1 and batch.ids != old.ids for batch, old in zip(again, batches, strict=True))


def test_no_fault_is_allowed_where_bad_rows_are_an_error(tmp_path: Path, corpus_of: Any) -> None:
    (tmp_path / "u3.wav").unlink()
    with pytest.raises(DataError, match=r"train\.tsv:5: u3: u3\.wav: no such file .*\ndata\.inspect left this"):
        list(corpus_of().loader(on_bad_rows="error"))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_too_many_faults_stop_the_run(tmp_path: Path, corpus_of: Any, num_workers: int) -> None:
    for name in ("u3", "u5", "u8"):
        (tmp_path / f"{name}.wav").unlink()
    made = corpus_of()
    list(made.loader(share=0.003))
    with (
        pytest.raises(DataError, match=r"3 of \d+ rows .* more than data\.max_bad_rows \(0\.002\) allows; .*train"),
        made.loader(share=0.002, num_workers=num_workers) as loader,
    ):
        list(loader)


def test_a_corpus_that_is_not_there_stops_the_run_at_once(tmp_path: Path, corpus_of: Any) -> None:
    made = corpus_of()
    for file in tmp_path.glob("*.wav"):
        file.unlink()
    with pytest.raises(DataError, match=r"no row of a batch can be read, nor one of 4 others: .*are the audio"):
        list(made.loader())


def test_bounds_of_the_model_are_checked_as_rows_are_read(tmp_path: Path, corpus_of: Any) -> None:
    made = corpus_of()
    limit = Limit("target tokens", 11, lambda rows, seconds: [len(row.tgt_text) for row in rows], "shorten it")
    made.checks = replace(made.checks, limits=(limit,))
    ids = {id for batch in made.loader() for id in batch.ids}
    assert ids == {f"u{index}" for index in range(10)}


def test_text_tasks_check_their_texts(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> None:
    limit = Limit("target tokens", 11, lambda rows, seconds: [len(row.tgt_text) for row in rows], "shorten it")
    checks = RowChecks(DataConfig(), with_audio=False, limits=(limit,))
    dataset = SpeechTextDataset(corpus, tmp_path, None, tokenizer).with_checks(checks)
    assert dataset.example(3, 0).id == "u3"
    with pytest.raises(DataError, match="must take at most 11 target tokens, got 13; shorten it"):
        dataset.example(11, 0)
