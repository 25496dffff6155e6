from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from aista.data import dataset as dataset_module
from aista.data.augmentations.spec_augment import SpecAugment
from aista.data.dataset import SpeechTextDataset
from aista.data.examples import collate
from aista.data.features.log_mel import LogMel, LogMelConfig
from aista.data.features.waveform import Waveform, WaveformConfig
from aista.data.manifest import Row
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import DataError
from tests.data.conftest import WriteAudio

LOG_MEL = LogMel(LogMelConfig())
AUGMENT = SpecAugment()


def test_a_batch_is_padded_on_the_right(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> None:
    dataset = SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer)
    batch = dataset.batch([0, 11, 3], epoch=0)
    assert batch.ids == ("u0", "u11", "u3")
    assert batch.audio.shape == (3, LOG_MEL.num_frames(12_000), 80)
    assert batch.audio_lengths.tolist() == [
        LOG_MEL.num_frames(row.n_frames) for row in (corpus[0], corpus[11], corpus[3])
    ]
    assert batch.source.tolist() == [[97, 3, 3, 3], [3, 3, 3, 3], [97, 97, 97, 97]]
    assert batch.source_lengths.tolist() == [1, 0, 4]
    assert batch.target_lengths.tolist() == [2, 13, 5]
    assert batch.target[0].tolist() == [98, 98] + [3] * 11
    assert (batch.source_text, batch.target_text[0]) == (("a", "", "aaaa"), "bb")
    assert batch.num_targets == 2 + 13 + 5 + 3
    for row, length in zip(batch.audio, batch.audio_lengths.tolist(), strict=True):
        assert not bool(row[length:].any())
        assert bool(row[:length].any())


def test_waveforms(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> None:
    batch = SpeechTextDataset(corpus, tmp_path, Waveform(WaveformConfig()), tokenizer).batch([0, 1], 0)
    assert batch.audio.shape == (2, 4_000)
    assert batch.audio_lengths.tolist() == [3_200, 4_000]


def test_texts_alone(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    rows = [Row("a", "", 0, "xyz", src_text="ab"), Row("b", "gone.wav", 9, "x")]
    dataset = SpeechTextDataset(rows, tmp_path, None, tokenizer)
    batch = dataset.batch([0, 1], 0)
    assert batch.audio.shape == (2, 0)
    assert batch.audio_lengths.tolist() == [0, 0]
    assert batch.source.tolist() == [[97, 98], [3, 3]]
    assert dataset.lengths().tolist() == [5.0, 1.0]


def test_a_batch_without_any_transcript_has_an_empty_source(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    batch = SpeechTextDataset([Row("a", "", 0, "x")], tmp_path, None, tokenizer).batch([0], 0)
    assert batch.source.shape == (1, 0)
    assert batch.source.dtype == torch.int64


def test_lengths_of_speech_are_seconds(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> None:
    assert SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer).lengths().tolist() == [row.seconds for row in corpus]


def test_augmentation_is_a_function_of_seed_epoch_and_id(
    tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer
) -> None:
    def audio(rows: tuple[Row, ...], index: int, epoch: int, seed: int = 1, cache: bool = False) -> torch.Tensor:
        dataset = SpeechTextDataset(rows, tmp_path, LOG_MEL, tokenizer, AUGMENT, seed=seed, cache=cache)
        dataset.example(0, 0)
        return dataset.example(index, epoch).audio

    first = audio(corpus, 5, epoch=1)
    assert torch.equal(audio(corpus, 5, epoch=1), first)
    assert torch.equal(audio(corpus[3:], 2, epoch=1), first)  # whatever rows surround it
    assert torch.equal(audio(corpus, 5, epoch=1, cache=True), first)
    assert not torch.equal(audio(corpus, 5, epoch=2), first)
    assert not torch.equal(audio(corpus, 5, epoch=1, seed=2), first)
    plain = SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer).example(5, 1).audio
    assert not torch.equal(plain, first)


def test_the_cache_decodes_once_and_keeps_what_is_not_augmented(
    tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = dataset_module.read_audio

    def spy(spec: str, base: Path, rate: int, **limits: float) -> torch.Tensor:
        read.append(spec)
        return original(spec, base, rate, **limits)

    monkeypatch.setattr(dataset_module, "read_audio", spy)
    cached = SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer, AUGMENT, cache=True)
    fresh = SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer, AUGMENT)
    for epoch in range(3):
        assert torch.equal(cached.example(5, epoch).audio, fresh.example(5, epoch).audio)
    assert len(read) == 1 + 3


def test_the_number_of_threads_changes_nothing_and_is_restored(
    tmp_path: Path, write_audio: WriteAudio, tokenizer: TextTokenizer
) -> None:
    rows = [Row(f"r{i}", write_audio(f"r{i}.wav", 0.2 + 0.01 * i, rate=44_100, seed=i).name, 1, "x") for i in range(20)]
    dataset = SpeechTextDataset(rows, tmp_path, LOG_MEL, tokenizer)
    before = torch.get_num_threads()
    outcomes = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            outcomes.append([dataset.example(index, 0).audio for index in range(len(rows))])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for outcome in outcomes[1:]:
        assert all(torch.equal(a, b) for a, b in zip(outcome, outcomes[0], strict=True))


def test_it_survives_pickling(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> None:
    dataset = SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer, AUGMENT)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy.batch([1, 2], 3).audio, dataset.batch([1, 2], 3).audio)


def test_a_subset_keeps_the_options(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> None:
    dataset = SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer, AUGMENT, seed=4)
    subset = dataset.with_rows(corpus[5:7])
    assert len(subset) == 2
    assert torch.equal(subset.example(0, 2).audio, dataset.example(5, 2).audio)


class AtMostThirtySeconds(Waveform):
    max_seconds = 30.0

    def __call__(self, wave: torch.Tensor) -> torch.Tensor:
        seconds = len(wave) / self.sample_rate
        if seconds > self.max_seconds:
            raise ValueError(f"takes at most 30 seconds, got {seconds:.2f}")
        return super().__call__(wave)


def test_errors_name_the_row(tmp_path: Path, write_audio: WriteAudio, tokenizer: TextTokenizer) -> None:
    write_audio("long.wav", 30.5)
    rows = [Row("text", "", 0, "x"), Row("long", "long.wav", 488_000, "x"), Row("gone", "gone.wav", 1, "x")]
    dataset = SpeechTextDataset(rows, tmp_path, AtMostThirtySeconds(WaveformConfig()), tokenizer)
    with pytest.raises(DataError, match="row 'text': must name an audio file here, got a text-only row"):
        dataset.example(0, 0)
    with pytest.raises(DataError, match=r"row 'long': long\.wav: takes at most 30 seconds, got 30\.50"):
        dataset.example(1, 0)
    with pytest.raises(DataError, match=r"gone\.wav: no such file"):
        dataset.example(2, 0)


def test_frame_masks_need_frames(tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer) -> None:
    with pytest.raises(
        DataError, match=r"SpecAugment changes frames, got the feature Waveform, .* choose data\.feature"
    ):
        SpeechTextDataset(corpus, tmp_path, Waveform(WaveformConfig()), tokenizer, AUGMENT)


def test_collate_takes_examples_of_any_origin(
    tmp_path: Path, corpus: tuple[Row, ...], tokenizer: TextTokenizer
) -> None:
    dataset = SpeechTextDataset(corpus, tmp_path, LOG_MEL, tokenizer)
    batch = collate([dataset.example(0, 0), dataset.example(1, 0)], pad_id=77)
    assert batch.source.tolist() == [[97, 77], [97, 97]]
