from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aista import registry
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


def test_special_tokens_are_single_ids(tokenizer: HuggingFaceTokenizer) -> None:
    assert tokenizer.encode("<|fr|>") == [2]


def test_pieces_are_readable(tokenizer: HuggingFaceTokenizer) -> None:
    pieces = [tokenizer.piece(id) for id in tokenizer.encode("The cat")]
    assert "".join(pieces) == "The▁cat"
    assert all(tokenizer.piece(id) for id in range(tokenizer.vocab_size))


def test_it_survives_pickling(tokenizer: HuggingFaceTokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode(SENTENCES[2]) == tokenizer.encode(SENTENCES[2])


def test_a_missing_folder_and_one_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such folder; the tokenizer needs a model's local folder"):
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
