"""CTC models in local Hugging Face folders: encoder (as ``hf_speech``), CTC head and letters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from aista.errors import shown
from aista.model_folder import read_json
from aista.modules.ctc_model import CtcModel
from aista.modules.encoders.hf_speech import FBANK_DIM, FBANK_MODELS, HFSpeechConfig, hf_speech
from aista.modules.folder_weights import fill_from_folder
from aista.modules.hf_folder import read_config

__all__ = ["LetterModel", "read_hf_ctc"]

_VOCABULARY, _SETTINGS = "vocab.json", "tokenizer_config.json"
_PHONEMES = "Phoneme"


class LetterModel(NamedTuple):
    """A CTC model over letters.

    Attributes:
        model: The encoder and its head.
        letters: Letter -> class, only of classes written as one character.
        delimiter: Class of the token between words; None where the vocabulary has none.
    """

    model: CtcModel
    letters: dict[str, int]
    delimiter: int | None


def read_hf_ctc(folder: Path) -> LetterModel:
    r"""A CTC model of the wav2vec 2.0 family or w2v-BERT 2.0, as transformers' ``AutoModelForCTC`` saves it.

    No code of the folder runs, and weights are read from safetensors alone. The blank, which
    is the padding token there, becomes the last class, and the classes behind its place move up by one.

    Args:
        folder: With config.json, preprocessor_config.json, vocab.json and \*.safetensors.

    Raises:
        ValueError: a file is missing or damaged, the model is of another kind, or its vocabulary is not of letters.
    """
    config = read_config(folder)
    architectures = config.architectures or []
    if not any(name.endswith("ForCTC") for name in architectures):
        raise ValueError(
            f"path: {folder} holds {', '.join(architectures) or config.model_type}, not a CTC model (...ForCTC); "
            "choose one that was fine-tuned for recognition"
        )
    size, blank = config.vocab_size, config.pad_token_id
    if not isinstance(blank, int) or not 0 <= blank < size:
        raise ValueError(
            f"path: {folder / 'config.json'}: pad_token_id, CTC's blank, must be from 0 to {size - 1}, got "
            f"{shown(blank)}; copy the file again"
        )
    letters, delimiter = _read_letters(folder, size, blank)
    feature_dim = FBANK_DIM if config.model_type in FBANK_MODELS else 0
    encoder = hf_speech(HFSpeechConfig(path=folder), feature_dim=feature_dim)
    model = CtcModel(encoder, size - 1)
    _fill_head(model, folder, blank)
    return LetterModel(model.eval(), letters, delimiter)


def _fill_head(model: CtcModel, folder: Path, blank: int) -> None:
    saved = nn.Linear(model.encoder.output_dim, model.vocab_size + 1)
    fill_from_folder(saved, folder, lambda name: f"lm_head.{name}")
    order = [row for row in range(model.vocab_size + 1) if row != blank] + [blank]
    with torch.no_grad():
        model.head.weight.copy_(saved.weight[order])
        model.head.bias.copy_(saved.bias[order])


def _read_letters(folder: Path, size: int, blank: int) -> tuple[dict[str, int], int | None]:
    file = folder / _VOCABULARY
    if not file.is_file():
        raise ValueError(f"path: {folder} lacks {_VOCABULARY}, which says what the model's classes write; copy it")
    vocabulary = read_json(file)
    settings = read_json(folder / _SETTINGS) if (folder / _SETTINGS).is_file() else {}
    if _PHONEMES in str(settings.get("tokenizer_class", "")):
        raise ValueError(f"path: {folder} writes phonemes, which do not spell a transcript; choose a model of letters")
    if any(isinstance(value, dict) for value in vocabulary.values()):
        raise ValueError(
            f"path: {file} holds vocabularies of several languages ({', '.join(sorted(vocabulary)[:5])} ...); save the "
            "model with the vocabulary and the head of one"
        )
    delimiter = settings.get("word_delimiter_token", "|")
    return _classes(vocabulary, delimiter, size, blank, file)


def _classes(
    vocabulary: dict[str, Any], delimiter: object, size: int, blank: int, file: Path
) -> tuple[dict[str, int], int | None]:
    letters: dict[str, int] = {}
    for token, id in vocabulary.items():
        if not isinstance(id, int) or id < 0:
            raise ValueError(
                f"path: {file}: classes must be whole numbers of at least 0, got {shown(id)}; copy it again"
            )
        if id < size and id != blank and (len(token) == 1 or token == delimiter):
            letters[token] = id - (id > blank)
    between = letters.pop(delimiter, None) if isinstance(delimiter, str) else None
    if not any(letter.isalpha() for letter in letters):
        raise ValueError(f"path: {file} holds no single letter; choose a model whose classes are letters")
    return letters, between
