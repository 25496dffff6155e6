"""SentencePiece models."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor
from typing_extensions import override

from aista.data.tokenizers.base import TextTokenizer, is_markup
from aista.data.tokenizers.model_proto import unused, user_defined_symbols
from aista.errors import DataError
from aista.registry import register
from aista.schema import Options, option, required

__all__ = ["SentencePieceConfig", "SentencePieceTokenizer"]


@dataclass(frozen=True, kw_only=True)
class SentencePieceConfig(Options):
    """Options of ``sentencepiece``."""

    path: Path = required("The model file, as `spm_train` and `aista data` write it.")
    pad_token: str = option("", "Padding piece; empty takes the model's own.")


@register("tokenizer", "sentencepiece", config=SentencePieceConfig)
class SentencePieceTokenizer(TextTokenizer):
    """A trained SentencePiece model (BPE or unigram).

    In a prompt, user-defined symbols such as ``<fr>`` are one token, without the word-boundary piece that
    SentencePiece itself puts before one at the start of a text; in texts those that are written like markup are plain
    characters, as control symbols (``<s>``, ``</s>``) are everywhere.

    Choose it for language models trained by aista; pretrained ones need ``hugging_face``.
    """

    def __init__(self, config: SentencePieceConfig) -> None:
        self._config = config
        self._processor = _load(config.path)
        model = self._processor.serialized_model_proto()
        self._symbols = user_defined_symbols(model)
        self._control_ids = frozenset(id for symbol, id in self._symbols.items() if is_markup(symbol))
        self._plain = SentencePieceProcessor(model_proto=unused(model, self._control_ids))
        by_length = sorted(self._symbols, key=len, reverse=True)
        self._splitter = re.compile(f"({'|'.join(map(re.escape, by_length))})") if by_length else None
        self.vocab_size = self._processor.get_piece_size()
        bos_id = self._processor.bos_id()
        self.bos_id = bos_id if bos_id >= 0 else None
        self.eos_id = self._processor.eos_id()
        self.unk_id = int(self._processor.unk_id())
        if self.eos_id < 0:
            raise DataError(
                f"{config.path}: a translation model needs an end-of-sentence piece, the model has none; "
                "train it again without --eos_id=-1"
            )
        self.pad_id = self._find_pad(config)

    @property
    @override
    def control_ids(self) -> frozenset[int]:
        return super().control_ids | self._control_ids

    @override
    def encode(self, text: str) -> list[int]:
        return list(self._plain.encode(text))

    @override
    def encode_prompt(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._splitter.split(text) if self._splitter is not None else [text]:
            ids += [self._symbols[part]] if part in self._symbols else self._processor.encode(part)
        return ids

    @override
    def offsets(self, text: str) -> list[tuple[int, int]]:
        found = self._plain.encode(text, out_type="offset_mapping")["offsets"]
        return [(int(begin), int(end)) for begin, end in found]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids``; BOS, EOS and padding are left out."""
        left_out = {self.pad_id, self.eos_id, self.bos_id}
        return str(self._processor.decode([int(id) for id in ids if int(id) not in left_out]))

    def piece(self, id: int) -> str:
        return str(self._processor.id_to_piece(int(id)))

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Copy the model as tokenizer.model."""
        shutil.copyfile(self._config.path, folder / "tokenizer.model")
        return {"path": "tokenizer.model", "pad_token": self._config.pad_token}

    def _find_pad(self, config: SentencePieceConfig) -> int:
        pad_id = int(self._processor.pad_id())
        if config.pad_token:
            pad_id = int(self._processor.piece_to_id(config.pad_token))
            if self.piece(pad_id) != config.pad_token:
                raise ValueError(f"pad_token must be a piece of {config.path}, got {config.pad_token!r}")
        if pad_id < 0 or pad_id == self.eos_id:
            raise DataError(
                f"{config.path}: batches need a padding piece other than the end-of-sentence piece, this has none; "
                "train it again with --pad_id=3, or set the tokenizer's pad_token to a piece that no translation holds"
            )
        return pad_id


def _load(path: Path) -> SentencePieceProcessor:
    remedy = "`aista data NAME OUT` prepares a corpus and trains one on it"
    if not path.is_file():
        raise DataError(f"{path}: no such SentencePiece model; {remedy}")
    try:
        return SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError) as error:
        raise DataError(f"{path}: not a SentencePiece model ({str(error).splitlines()[0]}); {remedy}") from error
