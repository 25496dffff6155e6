from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from aista import registry
from aista.data.tokenizers import hugging_face
from aista.data.tokenizers.hugging_face import HuggingFaceConfig, HuggingFaceTokenizer
from aista.errors import ConfigError, DataError
from aista.schema import Component

SENTENCES = ["The cat sees a dog.", "Le chien dort ici.", "Un café, s'il vous plaît."]


def save(folder: Path, **special: str) -> Path:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokens = ["<|end|>", "<|pad|>", "<|fr|>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(SENTENCES, trainer)
    PreTrainedTokenizerFast(tokenizer_object=core, **special).save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("hf"), eos_token="<|end|>", pad_token="<|pad|>")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer(HuggingFaceConfig(path=folder))


def test_special_ids(tokenizer: HuggingFaceTokenizer) -> None:
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (None, 0, 1)
    assert tokenizer.vocab_size == 300 or max(tokenizer.encode("".join(SENTENCES))) < tokenizer.vocab_size


@pytest.mark.parametrize("text", [*SENTENCES, "Hello , world .", "日本語", ""])
def test_text_survives_without_specials(tokenizer: HuggingFaceTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert not {0, 1} & set(ids)
    assert tokenizer.decode([*ids, 0, 1, 1]) == text


def test_special_tokens_are_single_ids_in_prompts_alone(tokenizer: HuggingFaceTokenizer) -> None:
    assert tokenizer.encode_prompt("<|fr|>") == [2]
    assert tokenizer.encode_prompt("a <|end|>")[-1] == 0
    assert not {0, 1, 2} & set(tokenizer.encode("a <|fr|> b <|end|>"))
    assert tokenizer.control_tokens("a <|fr|> b <|end|>") == ["<|fr|>", "<|end|>"]
    assert tokenizer.control_tokens("The cat < a | b >") == []


def _bpe() -> Tokenizer:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=CONTROLS)
    )
    return core


def _unigram() -> Tokenizer:
    """As T5: the special tokens are pieces of the vocabulary with the best of scores."""
    characters = sorted({*"".join(SENTENCES), *"".join(CONTROLS), "▁"} - {" "})
    core = Tokenizer(models.Unigram([*((token, 0.0) for token in CONTROLS), *((c, -5.0) for c in characters)], 0))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    core.add_special_tokens(CONTROLS)
    return core


def _word_piece() -> Tokenizer:
    core = Tokenizer(models.WordPiece(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.decoder = decoders.WordPiece()
    core.train_from_iterator(
        [*SENTENCES, *CONTROLS], trainers.WordPieceTrainer(vocab_size=300, special_tokens=CONTROLS)
    )
    return core


CONTROLS = ["<unk>", "<pad>", "</s>", "<b>"]


@pytest.mark.parametrize("build", [_bpe, _unigram, _word_piece])
def test_no_text_becomes_a_control_token(tmp_path: Path, build: Callable[[], Tokenizer]) -> None:
    core = build()
    core.add_tokens([AddedToken("<tool>", special=False), AddedToken("  ", special=False)])
    options = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=core, **options).save_pretrained(str(tmp_path))
    tokenizer = HuggingFaceTokenizer(HuggingFaceConfig(path=tmp_path))
    controls = {core.token_to_id(name) for name in ("<pad>", "</s>", "<b>", "<tool>")}
    assert tokenizer.control_ids >= controls
    for name in ("<pad>", "</s>", "<b>", "<tool>"):
        text = f"The cat {name} dort ici."
        assert core.token_to_id(name) in tokenizer.encode_prompt(text)
        assert tokenizer.control_tokens(text) == [name]
        ids = tokenizer.encode(text)
        assert not controls & set(ids)
        assert len(tokenizer.offsets(text)) == len(ids)
        assert pickle.loads(pickle.dumps(tokenizer)).encode(text) == ids
        if build is not _word_piece:
            assert tokenizer.decode(ids) == text
            covered = {place for begin, end in tokenizer.offsets(text) for place in range(begin, end)}
            assert covered >= {place for place, character in enumerate(text) if character != " "}
    for text in SENTENCES:  # and what writes none is encoded as ever, runs of spaces too
        assert tokenizer.encode(f"  {text}") == core.encode(f"  {text}", add_special_tokens=False).ids


def test_a_slow_tokenizer_knows_the_difference_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES, "<", ">", "/"] * 5),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    slow = LlamaTokenizer(str(tmp_path / "tokenizer.model"), pad_token="<unk>", legacy=False)
    monkeypatch.setattr(hugging_face, "_load", lambda path: slow)
    tokenizer = HuggingFaceTokenizer(HuggingFaceConfig(path=tmp_path))
    text = "The cat </s> dort ici."
    assert tokenizer.eos_id in tokenizer.encode_prompt(text)
    assert tokenizer.eos_id not in tokenizer.encode(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_pieces_are_readable(tokenizer: HuggingFaceTokenizer) -> None:
    pieces = [tokenizer.piece(id) for id in tokenizer.encode("The cat")]
    assert "".join(pieces) == "The▁cat"
    assert all(tokenizer.piece(id) for id in range(tokenizer.vocab_size))


def test_it_survives_pickling(tokenizer: HuggingFaceTokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode(SENTENCES[2]) == tokenizer.encode(SENTENCES[2])


def test_a_missing_folder_and_one_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such folder; name that of a model with its tokenizer"):
        HuggingFaceTokenizer(HuggingFaceConfig(path=tmp_path / "gone"))
    with pytest.raises(DataError, match=r"holds no tokenizer that transformers can read \(.*\); copy tokenizer\.json"):
        HuggingFaceTokenizer(HuggingFaceConfig(path=tmp_path))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match="holds no tokenizer that transformers can read"):
        HuggingFaceTokenizer(HuggingFaceConfig(path=tmp_path))


def test_padding_with_eos_is_refused_and_another_token_suggested(tmp_path: Path) -> None:
    save(tmp_path, eos_token="<|end|>", pad_token="<|end|>")
    with pytest.raises(DataError, match=r"other than EOS \('<\|end\|>'\), got '<\|end\|>'; .* example '<\|pad\|>'"):
        HuggingFaceTokenizer(HuggingFaceConfig(path=tmp_path))
    assert HuggingFaceTokenizer(HuggingFaceConfig(path=tmp_path, pad_token="<|pad|>")).pad_id == 1
    with pytest.raises(ConfigError, match=r"tokenizer\.config: pad_token must be a token of .*, got '<nope>'"):
        registry.build("tokenizer", Component("hugging_face", HuggingFaceConfig(path=tmp_path, pad_token="<nope>")))


def test_a_tokenizer_without_eos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs an EOS token"):
        HuggingFaceTokenizer(HuggingFaceConfig(path=save(tmp_path)))
