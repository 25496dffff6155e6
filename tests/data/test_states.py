from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from aista.data import states as states_module
from aista.data.batching import SequentialBatches
from aista.data.dataset import SpeechTextDataset
from aista.data.encoder_caches.disk import DiskCache, DiskConfig
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.data.loader import BatchLoader
from aista.data.manifest import Row
from aista.data.states import StoredStates, recording_keys
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import DataError
from tests.data.conftest import WriteAudio


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Recordings that are really read."""
    specs: list[str] = []
    original = states_module.hash_audio

    def spy(spec: str, base: Path) -> str:
        specs.append(spec)
        return original(spec, base)

    monkeypatch.setattr(states_module, "hash_audio", spy)
    return specs


def test_equal_bytes_have_one_key_wherever_they_lie(tmp_path: Path, write_audio: WriteAudio) -> None:
    content = write_audio("a.wav", seed=1).read_bytes()
    (tmp_path / "copy.wav").write_bytes(content)
    (tmp_path / "pack.zip").write_bytes(b"1234" + content + b"rest")
    write_audio("b.wav", seed=2)
    specs = ["a.wav", "copy.wav", f"pack.zip:4:{len(content)}", str(tmp_path / "a.wav"), "b.wav"]
    keys = recording_keys([Row(spec, spec, 8_000, "x") for spec in specs], tmp_path / "train.tsv")
    assert [keys[spec] == keys["a.wav"] for spec in specs] == [True, True, True, True, False]


def test_a_recording_is_hashed_again_only_if_size_or_time_changed(
    tmp_path: Path, corpus: tuple[Row, ...], write_audio: WriteAudio, hashed: list[str]
) -> None:
    manifest = tmp_path / "train.tsv"
    before = recording_keys(corpus, manifest)
    assert len(hashed) == 12
    hashed.clear()
    assert recording_keys(corpus, manifest) == before
    assert hashed == []
    write_audio("u3.wav", 0.35, seed=99)
    os.utime(tmp_path / "u4.wav")
    after = recording_keys(corpus, manifest)
    assert sorted(hashed) == ["u3.wav", "u4.wav"]
    assert {spec for spec in before if before[spec] != after[spec]} == {"u3.wav"}


def test_a_damaged_memory_is_rebuilt(tmp_path: Path, corpus: tuple[Row, ...], hashed: list[str]) -> None:
    keys = recording_keys(corpus, tmp_path / "train.tsv")
    memory = tmp_path / ".train.tsv.hashes.arrow"
    memory.write_bytes(memory.read_bytes()[:-40])
    hashed.clear()
    assert recording_keys(corpus, tmp_path / "train.tsv") == keys
    assert len(hashed) == 12


def test_an_interrupted_pass_goes_on_where_it_stopped(
    tmp_path: Path, corpus: tuple[Row, ...], hashed: list[str]
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recording_keys(corpus, tmp_path / "train.tsv", progress=stop)
    recording_keys(corpus, tmp_path / "train.tsv")
    assert len(hashed) == 12


def test_missing_recordings_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.wav: no such file \("):
        recording_keys([Row("a", "gone.wav", 8_000, "x")], tmp_path / "train.tsv")
    (tmp_path / "short.zip").write_bytes(b"123")
    with pytest.raises(DataError, match="the archive ends after 1 of 9 bytes"):
        recording_keys([Row("a", "short.zip:2:9", 8_000, "x")], tmp_path / "train.tsv")


@pytest.fixture
def served(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> SpeechTextDataset:
    """A dataset of states whose audio is gone: row k has k + 1 states, all k."""
    keys = recording_keys(corpus, tmp_path / "train.tsv")
    cache = DiskCache(DiskConfig(path=tmp_path / "cache"), identity={})
    cache.write({keys[row.audio]: torch.full((place + 1, 4), float(place)) for place, row in enumerate(corpus)})
    for row in corpus:
        (tmp_path / row.audio).unlink()
    plain = SpeechTextDataset(corpus, tmp_path, LogMel(LogMelConfig()), tokenizer, cache=True)
    return plain.with_states(StoredStates(cache, keys))


def test_a_batch_holds_states_at_their_own_lengths(served: SpeechTextDataset) -> None:
    batch = served.batch([2, 0, 5], epoch=3)
    assert batch.encoded
    assert batch.audio.shape == (3, 6, 4)
    assert batch.audio_lengths.tolist() == [3, 1, 6]
    assert [row[:length].unique().tolist() for row, length in zip(batch.audio, (3, 1, 6), strict=True)] == [
        [2.0],
        [0.0],
        [5.0],
    ]
    assert batch.audio[1, 1:].abs().sum() == 0
    assert batch.to("cpu").encoded
    assert served.with_rows(served.rows[6:]).batch([0], 0).audio_lengths.tolist() == [7]


def test_workers_read_the_same_batches(served: SpeechTextDataset) -> None:
    plan = SequentialBatches(served.lengths(), batch_size=4)
    with BatchLoader(served, plan, num_workers=2, train=False) as loader:
        ahead = list(loader)
    for one, other in zip(ahead, BatchLoader(served, plan, train=False), strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.audio, other.audio)
        assert one.encoded
        assert other.encoded
