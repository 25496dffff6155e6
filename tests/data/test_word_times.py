"""Word times: their format, the faults that are named, and the spans of tokens that become of them."""

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from aista.data.dataset import SpeechTextDataset
from aista.data.features.whisper_log_mel import WhisperLogMel, WhisperLogMelConfig
from aista.data.manifest import Row, read_manifest, write_manifest
from aista.data.shuffling import shuffle_transcripts
from aista.data.tokenizers.base import TextTokenizer
from aista.data.tokenizers.hugging_face import HuggingFaceConfig, HuggingFaceTokenizer
from aista.data.tokenizers.sentencepiece import SentencePieceConfig, SentencePieceTokenizer
from aista.data.word_times import check_word_times, format_word_times, parse_word_times, word_spans
from aista.errors import DataError
from aista.registry import build
from aista.schema import Component
from tests.tiny import make_corpus

TIMES = "0.000-0.400 - 0.500-1.000"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus", num_train=8)


@pytest.fixture(scope="module")
def sentencepiece(corpus):
    return SentencePieceTokenizer(SentencePieceConfig(path=corpus / "spm.model"))


@given(st.lists(st.none() | st.tuples(st.integers(0, 9000), st.integers(1, 900)), min_size=1, max_size=6))
def test_what_is_written_is_read(spans):
    times = [None if span is None else (span[0] / 1000, (span[0] + span[1]) / 1000) for span in spans]
    text = format_word_times(times)
    assert parse_word_times(text) == (times if any(times) else [])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ("0.1-0.2", "must have one entry for each of the 3 words of src_text, got 1"),
        ("0.1-0.2 0.2:0.3 -", r"must hold START-END in seconds, or - where unknown, for each word, got '0.2:0.3'"),
        ("0.1-0.2 0.3-0.3 -", r"'cat' must end after it starts and within the audio's 1.000 s, got 0.3-0.3"),
        ("0.1-0.2 0.3-1.2 -", r"'cat' must end after it starts and within the audio's 1.000 s, got 0.3-1.2"),
    ],
)
def test_faults_are_named_with_line_and_remedy(times, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        check_word_times(times, "the cat sat", 1.0)
    columns = ("id", "audio", "n_frames", "tgt_text", "src_text", "word_times")
    lines = ["\t".join(columns), "\t".join(("u1", "a.wav", "16000", "le chat", "the cat sat", times))]
    (tmp_path / "m.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=rf"m.tsv:2: word_times: .*{message}"):
        read_manifest(tmp_path / "m.tsv")


def test_the_column_is_written_only_where_there_is_something(tmp_path):
    row = Row("u1", "a.wav", 16000, "le chat", src_text="the cat sat")
    write_manifest(tmp_path / "m.tsv", [row])
    assert "word_times" not in (tmp_path / "m.tsv").read_text()
    timed = Row("u2", "b.wav", 16000, "le chat", src_text="the cat sat", word_times=TIMES)
    write_manifest(tmp_path / "m.tsv", [row, timed])
    assert [row.word_times for row in read_manifest(tmp_path / "m.tsv").rows] == ["", TIMES]


def test_shuffled_transcripts_have_no_times():
    rows = [Row(f"u{i}", "a.wav", 16000, "x", src_text=f"the cat {i}", word_times=TIMES) for i in range(3)]
    assert not any(row.word_times for row in shuffle_transcripts(rows, 1))


@pytest.mark.parametrize("text", ["red cat dog", "  red   cat", "redcat <fr> dog", "<fr>red", "zebra!", ""])
def test_offsets_of_sentencepiece_cover_the_text(sentencepiece, text):
    """One pair a token, in order, and every character but spaces is in one."""
    offsets = sentencepiece.offsets(text)
    assert len(offsets) == len(sentencepiece.encode(text))
    assert offsets == sorted(offsets)
    covered = {place for begin, end in offsets for place in range(begin, end)}
    assert {place for place, character in enumerate(text) if not character.isspace()} <= covered


def test_spans_of_sentencepiece_decode_to_the_words(sentencepiece):
    ids = sentencepiece.encode("one red dog")
    spans = word_spans("one red dog", "0-0.4 0.4-0.6 0.6-1.5", sentencepiece, 2.0)
    assert [sentencepiece.decode(ids[span.first_token : span.end_token]) for span in spans] == ["one", "red", "dog"]
    assert [(span.start, span.end) for span in spans] == [(0.0, 0.2), (0.2, 0.3), (0.3, 0.75)]
    assert spans[0].first_token == 0
    assert spans[-1].end_token == len(ids)


def hugging_face(folder):
    tokenizer = Tokenizer(models.WordLevel({"the": 2, "cat": 3, "sat": 4, "<unk>": 5}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    return HuggingFaceTokenizer(HuggingFaceConfig(path=folder))


def test_spans_of_hugging_face(tmp_path):
    tokenizer = hugging_face(tmp_path)
    spans = word_spans("the cat sat", TIMES, tokenizer, 1.0)
    assert [tuple(span) for span in spans] == [(0, 1, 0.0, 0.4), (2, 3, 0.5, 1.0)]
    spans = word_spans("the cat's", "0-0.4 0.4-1", tokenizer, 1.0)  # "cat", "'", "s": one word of three tokens
    assert [tuple(span)[:2] for span in spans] == [(0, 1), (1, 4)]


def test_a_tokenizer_that_cannot_say_is_named():
    class Silent(TextTokenizer):
        def encode(self, text):
            return [1] * len(text.split())

        def decode(self, ids):
            return ""

        def piece(self, id):
            return ""

    with pytest.raises(DataError, match=r"Silent does not say where tokens lie in a text; give its class a method"):
        word_spans("the cat sat", TIMES, Silent(), 1.0)


def test_batches_hold_the_words_where_they_are_asked_for(corpus, sentencepiece):
    rows = read_manifest(corpus / "train.tsv").rows
    feature = build("feature", Component("log_mel"))
    assert SpeechTextDataset(rows, corpus, feature, sentencepiece).batch([0, 1], 0).words is None
    batch = SpeechTextDataset(rows, corpus, feature, sentencepiece, words=True).batch([0, 1, 2], 0).to("cpu")
    for row, words, ids in zip(rows, batch.words, batch.source, strict=False):
        found = [span.tolist() for span in words if span.any()]
        texts = [sentencepiece.decode(ids[int(first) : int(end)].tolist()) for first, end, *_ in found]
        assert texts == row.src_text.split()
        assert [start for *_, start, _ in found] == pytest.approx([i / len(texts) for i in range(len(texts))], abs=1e-4)


def test_silence_that_the_feature_appends_counts(corpus, sentencepiece):
    for pads, seconds in ((False, 0.48), (True, 30.0)):
        feature = WhisperLogMel(WhisperLogMelConfig(pad_to_30s=pads))
        assert feature.covered_seconds(0.48) == seconds
        spans = word_spans("red dog", "0-0.24 0.24-0.48", sentencepiece, feature.covered_seconds(0.48))
        assert spans[1].start == pytest.approx(0.24 / seconds)
    assert feature.covered_seconds(30.5) == 60
