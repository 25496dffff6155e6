import io

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from aista.errors import DataError
from tools.pretrained.gguf_tokenizer import build_tokenizer

TEXT = ["the cat sat on the mat", "a cat and a hat, that is all", "été à Paris, the café", "hello hello world 2025"] * 5
NORMAL, CONTROL, BYTE = 1, 3, 6


@pytest.fixture(scope="module")
def reference():
    """SentencePiece's BPE with bytes for unknown characters: what Gemma's tokenizer is."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_writer=model,
        model_type="bpe",
        vocab_size=330,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def sentencepiece_metadata(processor):
    ids = range(processor.vocab_size())
    return {
        "general.architecture": "gemma3",
        "gemma3.context_length": 64,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [processor.id_to_piece(id) for id in ids],
        "tokenizer.ggml.scores": [processor.get_score(id) for id in ids],
        "tokenizer.ggml.token_type": [BYTE if processor.is_byte(id) else CONTROL if id < 4 else NORMAL for id in ids],
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 3,
        "tokenizer.ggml.padding_token_id": 0,
    }


@pytest.fixture(scope="module")
def built(reference):
    return build_tokenizer(sentencepiece_metadata(reference))


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="the cat sonmdhilr,é à2😀\n", max_size=40))
def test_agrees_with_sentencepiece_on_any_text(built, reference, text):
    assert built.encode(text) == reference.encode(text)
    assert built.decode(built.encode(text)) == text


def test_special_tokens_are_the_files_own(built):
    assert (built.bos_token_id, built.eos_token_id, built.pad_token_id, built.unk_token_id) == (2, 1, 0, 3)
    assert built.encode("</s>the") == [1, *built.encode("the")]
    assert built.model_max_length == 64
    assert built.chat_template is None
    assert set(built("hello")) == {"input_ids", "attention_mask"}


def test_user_defined_tokens_are_found_anywhere_and_are_no_special_ones(reference):
    metadata = sentencepiece_metadata(reference)
    metadata["tokenizer.ggml.tokens"] = [*metadata["tokenizer.ggml.tokens"], "\n\n"]
    metadata["tokenizer.ggml.scores"] = [*metadata["tokenizer.ggml.scores"], -1000.0]
    metadata["tokenizer.ggml.token_type"] = [*metadata["tokenizer.ggml.token_type"], 4]
    tokenizer = build_tokenizer(metadata)
    assert "\n\n" in tokenizer.tokenize("the\n\ncat")
    assert tokenizer.decode(tokenizer.encode("the\n\ncat"), skip_special_tokens=True) == "the\n\ncat"


def byte_level():
    from tests.tools.pretrained.gguf_file import byte_level_metadata

    return byte_level_metadata()


def test_byte_level_tokens_digits_apart_and_nothing_in_front():
    pytest.importorskip("gguf")
    tokenizer = build_tokenizer(byte_level())
    assert tokenizer.tokenize("the the 12é") == ["t", "he", "Ġthe", "Ġ", "1", "2", "Ã", "©"]
    assert tokenizer.tokenize("<|im_start|>he<|im_end|>") == ["<|im_start|>", "he", "<|im_end|>"]
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert tokenizer.encode("he")[0] != tokenizer.bos_token_id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer.ggml.pre": "qwen2"}, r"kind \('gpt2', 'qwen2'\); known are \('gpt2', 'smollm'\)"),
        ({"tokenizer.ggml.model": "llama", "tokenizer.ggml.pre": "default", "tokenizer.ggml.add_space_prefix": True},
         "it puts a space in front of texts"),
    ],
)  # fmt: skip
def test_another_kind_of_tokenizer_is_refused(change, message):
    pytest.importorskip("gguf")
    with pytest.raises(DataError, match=message):
        build_tokenizer(byte_level() | change)


def test_a_vocabulary_that_loses_text_is_refused():
    pytest.importorskip("gguf")
    metadata = byte_level()
    metadata["tokenizer.ggml.tokens"] = [f"x{index}" for index in range(len(metadata["tokenizer.ggml.tokens"]))]
    metadata["tokenizer.ggml.merges"] = []
    with pytest.raises(DataError, match="its vocabulary turns 'Hello world' into ''; it lacks tokens for single bytes"):
        build_tokenizer(metadata)


def test_a_token_that_is_there_twice_is_refused(reference):
    metadata = sentencepiece_metadata(reference)
    metadata["tokenizer.ggml.tokens"] = [*metadata["tokenizer.ggml.tokens"][:-1], "e"]
    with pytest.raises(DataError, match="its vocabulary holds a token twice"):
        build_tokenizer(metadata)
