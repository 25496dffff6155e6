from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from aista.data.batching import LengthBatches
from aista.data.data_config import DataConfig
from aista.data.dataset import SpeechTextDataset
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.data.manifest import Manifest, Row, read_manifest, write_manifest
from aista.data.row_checks import RowChecks
from aista.data.streams.shar import Shar
from aista.data.streams.shar_writer import write_shar
from aista.data.streams.shard_windows import WindowReader
from aista.data.streams.stream_loader import StreamLoader
from aista.data.streams.tally import Tally
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import DataError

OpenLoader = Callable[..., StreamLoader]


@pytest.fixture
def manifest(tmp_path: Path, corpus: tuple[Row, ...]) -> Manifest:
    write_manifest(tmp_path / "train.tsv", corpus)
    return read_manifest(tmp_path / "train.tsv")


@pytest.fixture
def shar(tmp_path: Path, manifest: Manifest) -> Path:
    """Twelve rows in four shards."""
    write_shar(manifest, tmp_path / "shar", shard_rows=3)
    return tmp_path / "shar"


def batches(rows: Sequence[Row], world_size: int) -> LengthBatches:
    try:
        return LengthBatches([row.seconds for row in rows], batch_size=4, seed=5, world_size=world_size)
    except ValueError as error:
        raise DataError(str(error)) from error


@pytest.fixture
def open_loader(tokenizer: TextTokenizer) -> OpenLoader:
    def open_loader(
        folder: Path, *, shards_at_once: int = 2, augmentation=None, on_bad_rows="error", max_share=0.5, **options
    ) -> StreamLoader:
        stream = Shar(path=folder, shards_at_once=shards_at_once)
        dataset = SpeechTextDataset((), folder, LogMel(LogMelConfig()), tokenizer, augmentation, seed=5)
        dataset = dataset.with_checks(RowChecks(DataConfig()))
        reader = WindowReader(
            stream,
            stream.shards(with_audio=True),
            check=lambda rows: [""] * len(rows),
            reject=lambda row: "",
            batches=batches,
            seed=5,
        )
        tally = Tally(folder, on_bad_rows, max_share, names=True)
        return StreamLoader(reader, dataset, tally, **options)

    return open_loader
