import torch

from aista.engine.inference.shuffled_speech import ShuffledSpeech, with_shuffled_speech
from aista.types import SpeechBatch


def _batch(rows):
    lengths = torch.arange(1, rows + 1)
    return SpeechBatch(
        ids=tuple(map(str, range(rows))),
        audio=lengths[:, None].float().expand(rows, rows),
        audio_lengths=lengths,
        source=torch.zeros(rows, 1, dtype=torch.long),
        source_lengths=torch.ones(rows, dtype=torch.long),
        target=lengths[:, None],
        target_lengths=torch.ones(rows, dtype=torch.long),
    )


def test_no_row_keeps_its_speech_and_each_speech_keeps_its_length():
    for rows in (2, 3, 8):
        batch = _batch(rows)
        other = with_shuffled_speech(batch)
        assert (other.audio[:, 0] != batch.audio[:, 0]).all()
        assert other.audio[:, 0].tolist() == other.audio_lengths.tolist()
        assert sorted(other.audio_lengths.tolist()) == batch.audio_lengths.tolist()
        assert torch.equal(other.target, batch.target)


def test_the_gain_is_what_the_right_speech_saves():
    assert ShuffledSpeech(2.0, 3.5, 10, 2).to_json()["gain"] == 1.5
