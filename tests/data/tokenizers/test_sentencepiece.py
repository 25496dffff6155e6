from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import sentencepiece

from aista import registry
from aista.data.tokenizers.model_proto import user_defined_symbols
from aista.data.tokenizers.sentencepiece import SentencePieceConfig, SentencePieceTokenizer
from aista.errors import ConfigError, DataError
from aista.schema import Component

SENTENCES = ["the cat sees a dog", "a dog sleeps here", "le chat voit un chien", "un chien dort ici", "¿qué?"]


def train(folder: Path, **options: object) -> Path:
    prefix = folder / "spm"
    arguments = {"vocab_size": 60, "pad_id": 3, "user_defined_symbols": ["<fr>", "<fr-x>", "<de>"], **options}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 5),
        model_prefix=str(prefix),
        model_type="bpe",
        minloglevel=2,
        **arguments,
    )
    return prefix.with_suffix(".model")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("spm"))


@pytest.fixture(scope="module")
def tokenizer(model: Path) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(SentencePieceConfig(path=model))


def test_special_ids(tokenizer: SentencePieceTokenizer) -> None:
    assert (tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (60, 1, 2, 3)


@pytest.mark.parametrize("text", SENTENCES)
def test_text_survives_without_specials(tokenizer: SentencePieceTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert not {0, 1, 2, 3} & set(ids)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode([1, *ids, 2, 3, 3]) == text
    assert "".join(tokenizer.piece(id) for id in ids).replace("▁", " ").strip() == text


def test_encoding_without_symbols_is_sentencepieces_own(tokenizer: SentencePieceTokenizer, model: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    for text in [*SENTENCES, "", " ", "unseen wörds"]:
        assert tokenizer.encode(text) == processor.encode(text)


@pytest.mark.parametrize("symbol", ["<fr>", "<fr-x>", "<de>"])
def test_a_user_defined_symbol_is_a_single_id_in_prompts_alone(tokenizer: SentencePieceTokenizer, symbol: str) -> None:
    (id,) = tokenizer.encode_prompt(symbol)
    prompt = f"the cat {symbol} a dog"
    assert tokenizer.piece(id) == symbol
    assert tokenizer.encode_prompt(prompt) == [*tokenizer.encode("the cat"), id, *tokenizer.encode("a dog")]
    assert tokenizer.decode(tokenizer.encode_prompt(f"the cat{symbol}")) == f"the cat{symbol}"
    assert id not in tokenizer.encode(prompt)
    assert tokenizer.control_tokens(prompt) == [symbol]
    assert tokenizer.control_tokens("the </s> cat") == []


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_text_is_encoded_as_by_a_model_without_symbols(tmp_path: Path, kind: str) -> None:
    """Its pieces are named alike, but for the symbols, which a model of the same corpus does not have."""
    options = {
        "vocab_size": 40,
        "hard_vocab_limit": False,
        "character_coverage": 1.0,
    }
    symbols = ["<fr>", "<de>"]
    processors = []
    for name, more in (("with", {"user_defined_symbols": symbols}), ("without", {})):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([*SENTENCES, "a<b>c", "<f r> d e"] * 5),
            model_prefix=str(tmp_path / name), model_type=kind, pad_id=3, minloglevel=2, **(options | more),
        )  # fmt: skip
        processors.append(SentencePieceTokenizer(SentencePieceConfig(path=tmp_path / f"{name}.model")))
    ours, oracle = processors
    for text in ("un <fr> chien", "<de>", "le<fr><fr> chat"):
        ids = ours.encode(text)
        assert not ours.control_ids & set(ids)
        assert ours.decode(ids) == text == oracle.decode(oracle.encode(text))
        assert "".join(text[begin:end] for begin, end in ours.offsets(text)).split() == "".join(text).split()
        assert len(ours.offsets(text)) == len(ids)


def test_user_defined_symbols_that_texts_need_stay_in_them(tmp_path: Path) -> None:
    path = train(tmp_path, vocab_size=70, user_defined_symbols=["<fr>", "__de__", "7", "(", "▁▁"])
    tokenizer = SentencePieceTokenizer(SentencePieceConfig(path=path))
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(path))
    text = "the cat (7 dogs)"
    assert tokenizer.control_tokens(text) == []
    assert tokenizer.encode(text) == oracle.encode(text)
    assert {oracle.piece_to_id("7"), oracle.piece_to_id("(")} < set(tokenizer.encode(text))
    assert tokenizer.control_tokens("<fr> the __de__ 7") == ["<fr>", "__de__"]


def test_control_symbols_in_a_text_are_plain_characters(tokenizer: SentencePieceTokenizer) -> None:
    assert not {1, 2, 3} & set(tokenizer.encode("the </s> cat <s> <pad>"))


def test_user_defined_symbols_are_found_in_the_proto(model: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    found = user_defined_symbols(processor.serialized_model_proto())
    assert found == {symbol: processor.piece_to_id(symbol) for symbol in ("<fr>", "<fr-x>", "<de>")}


def test_it_survives_pickling_without_its_file(tmp_path: Path) -> None:
    path = train(tmp_path)
    tokenizer = SentencePieceTokenizer(SentencePieceConfig(path=path))
    path.unlink()
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode_prompt("the cat <fr>") == tokenizer.encode_prompt("the cat <fr>")
    assert copy.encode("the cat <fr>") == tokenizer.encode("the cat <fr>")
    assert (copy.eos_id, copy.pad_id, copy.vocab_size) == (2, 3, 60)


def test_missing_and_corrupt_models_name_the_file_and_the_command(tmp_path: Path) -> None:
    path = tmp_path / "spm.model"
    with pytest.raises(DataError, match=r"spm\.model: no such SentencePiece model; `aista data NAME OUT`"):
        SentencePieceTokenizer(SentencePieceConfig(path=path))
    for content in (b"", b"rubbish" * 100):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"spm\.model: not a SentencePiece model .*; `aista data NAME OUT`"):
            SentencePieceTokenizer(SentencePieceConfig(path=path))


def test_a_model_without_padding_needs_pad_token(tmp_path: Path) -> None:
    path = train(tmp_path, pad_id=-1)
    with pytest.raises(DataError, match=r"need a padding piece .*train it again with --pad_id=3, or set"):
        SentencePieceTokenizer(SentencePieceConfig(path=path))
    with pytest.raises(ConfigError, match=r"tokenizer\.config: pad_token must be a piece of .*, got '<nope>'"):
        registry.build("tokenizer", Component("sentencepiece", SentencePieceConfig(path=path, pad_token="<nope>")))
    assert SentencePieceTokenizer(SentencePieceConfig(path=path, pad_token="<unk>")).pad_id == 0
    with pytest.raises(DataError, match="other than the end-of-sentence piece"):
        SentencePieceTokenizer(SentencePieceConfig(path=path, pad_token="</s>"))


def test_a_model_without_eos_is_refused_and_one_without_bos_is_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs an end-of-sentence piece, the model has none"):
        SentencePieceTokenizer(SentencePieceConfig(path=train(tmp_path, eos_id=-1)))
    assert SentencePieceTokenizer(SentencePieceConfig(path=train(tmp_path, bos_id=-1))).bos_id is None
