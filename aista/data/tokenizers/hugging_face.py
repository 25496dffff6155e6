"""Tokenizers of Hugging Face models, from a local folder or the hub."""

from __future__ import annotations

import copy
import datetime
import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from aista.data.tokenizers.base import Chat, TextTokenizer, is_markup
from aista.data.tokenizers.plain_text import without_tokens
from aista.errors import DataError
from aista.hub import local_folder
from aista.model_folder import check_folder, is_tokenizer_file
from aista.registry import register
from aista.schema import Options, option, required

__all__ = ["HuggingFaceConfig", "HuggingFaceTokenizer"]

_ANSWER = "aista-answer"
"""Placeholder of an answer, to find the text that follows it."""


@dataclass(frozen=True, kw_only=True)
class HuggingFaceConfig(Options):
    """Options of ``hugging_face``."""

    path: Path = required("The model's folder or name on the hub, for its tokenizer files.", pretrained="tokenizer")
    pad_token: str = option("", "Padding token; empty takes the tokenizer's own. Must differ from its EOS token.")


@register("tokenizer", "hugging_face", config=HuggingFaceConfig)
class HuggingFaceTokenizer(TextTokenizer):
    """The tokenizer that belongs to a pretrained language model.

    No code from the folder is run.

    Choose it together with a Hugging Face language model, with the same ``path``.
    """

    def __init__(self, config: HuggingFaceConfig) -> None:
        self._config = config
        self._path = local_folder(config.path, "tokenizer")
        self._tokenizer = _load(self._path)
        self.vocab_size = len(self._tokenizer)
        self.bos_id = self._tokenizer.bos_token_id
        if self._tokenizer.eos_token_id is None:
            raise DataError(f"{config.path}: a translation model needs an EOS token; name one in tokenizer_config.json")
        self.eos_id = int(self._tokenizer.eos_token_id)
        self.unk_id = self._tokenizer.unk_token_id
        self.pad_id = self._find_pad(config)
        self._control_ids = super().control_ids | self._reserved()

    @property
    @override
    def control_ids(self) -> frozenset[int]:
        return self._control_ids

    @override
    def encode(self, text: str) -> list[int]:
        ids = self.encode_prompt(text)
        return ids if self._control_ids.isdisjoint(ids) else list(self._plain.encode(text, add_special_tokens=False))

    @override
    def encode_prompt(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids``; special tokens are left out."""
        left_out = {self.pad_id, self.eos_id, self.bos_id}
        shown = [int(id) for id in ids if int(id) not in left_out]
        return str(self._tokenizer.decode(shown, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def piece(self, id: int) -> str:
        raw = str(self._tokenizer.convert_ids_to_tokens(int(id)))
        text = str(self._tokenizer.decode([int(id)], clean_up_tokenization_spaces=False))
        if raw.startswith("▁") or not text or "\N{REPLACEMENT CHARACTER}" in text:
            return raw  # SentencePiece's own mark, or bytes that are not a character by themselves
        return "▁" + text[1:] if text.startswith(" ") else text

    @override
    def offsets(self, text: str) -> list[tuple[int, int]]:
        if not self._tokenizer.is_fast:
            raise DataError(
                f"{self._path}: its tokenizer ({type(self._tokenizer).__name__}) does not say where tokens lie in a "
                "text; a folder with tokenizer.json has one that does"
            )
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if not self._control_ids.isdisjoint(encoded["input_ids"]):
            encoded = self._plain(text, add_special_tokens=False, return_offsets_mapping=True)
        return [(int(begin), int(end)) for begin, end in encoded["offset_mapping"]]

    def chat(self, turns: Sequence[tuple[str, str]], *, date: str = "", variables: Mapping[str, Any]) -> Chat:
        """Render the folder's chat template, which transformers runs in a sandbox.

        The answer ends with the token that the template writes behind an assistant's turn, or with the
        tokenizer's EOS where the template writes none.
        """
        if self._tokenizer.chat_template is None:
            raise DataError(
                f"{self._path}: its tokenizer has no chat template; write the prompt as a text, or use the folder of "
                "an instruction-tuned model"
            )
        text = self._render(turns, date, variables)
        answered = self._render([*turns, ("assistant", _ANSWER)], date, variables)
        behind = answered.partition(_ANSWER)[2].lstrip()
        first = next(iter(self.encode_prompt(behind)), self.eos_id)
        return Chat(text, first if first in self._tokenizer.added_tokens_decoder else self.eos_id)

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Copy the tokenizer's files.

        Where only the model's config.json said which tokenizer it is, tokenizer_config.json says so afterwards.
        """
        settings: dict[str, Any] = {}
        for file in sorted(self._path.iterdir()):
            if file.is_file() and is_tokenizer_file(file.name):
                shutil.copyfile(file, folder / file.name)
        file = folder / "tokenizer_config.json"
        if file.is_file():
            settings = json.loads(file.read_text(encoding="utf-8"))
        if "tokenizer_class" not in settings:
            settings["tokenizer_class"] = type(self._tokenizer).__name__
            file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return {"path": ".", "pad_token": self._config.pad_token}

    def _render(self, turns: Sequence[tuple[str, str]], date: str, variables: Mapping[str, Any]) -> str:
        def today(pattern: str) -> str:
            if not date:
                raise ValueError("it prints the day, and a prompt must not change from day to day; set prompt.date")
            return datetime.date.fromisoformat(date).strftime(pattern)

        messages = [{"role": role, "content": text} for role, text in turns]
        asks = turns[-1][0] != "assistant"
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=asks, **{"strftime_now": today, **variables}
            )
        except Exception as error:  # a template may fail in any way
            roles = ", ".join(role for role, _ in turns)
            raise DataError(
                f"{self._path}: its chat template does not take this prompt ({error}); the turns were {roles}; where "
                "it refuses a role, write that text into another turn"
            ) from error
        return str(rendered)

    def _reserved(self) -> frozenset[int]:
        """Special tokens, and other added tokens that look like markup, except the unknown token."""
        tokens = self._tokenizer.added_tokens_decoder.items()
        ids = {id for id, token in tokens if token.special or is_markup(str(token))}
        return frozenset(ids | set(self._tokenizer.all_special_ids)) - {self._tokenizer.unk_token_id}

    @functools.cached_property
    def _plain(self) -> Any:
        """The tokenizer as if it had no control tokens."""
        plain = copy.deepcopy(self._tokenizer)
        if plain.is_fast:
            plain._tokenizer = without_tokens(plain.backend_tokenizer, self._control_ids)
        else:
            plain.split_special_tokens = True
        return plain

    def _find_pad(self, config: HuggingFaceConfig) -> int:
        pad_id: int | None = self._tokenizer.pad_token_id
        if config.pad_token:
            pad_id = self._tokenizer.get_vocab().get(config.pad_token)
            if pad_id is None:
                raise ValueError(f"pad_token must be a token of {config.path}, got {config.pad_token!r}")
        if pad_id is None or pad_id == self.eos_id:
            added = [str(token) for token in self._tokenizer.added_tokens_decoder.values()]
            fitting = [token for token in added if token not in (self._tokenizer.eos_token, self._tokenizer.bos_token)]
            raise DataError(
                f"{config.path}: batches need a padding token other than EOS ({self._tokenizer.eos_token!r}), got "
                f"{None if pad_id is None else self._tokenizer.eos_token!r}; set the tokenizer's pad_token to one that "
                f"no translation holds, for example {', '.join(map(repr, fitting[:5])) or 'an unused one'}"
            )
        return int(pad_id)


def _load(path: Path) -> Any:
    if not path.is_dir():
        raise DataError(
            f"{path}: no such folder; name that of a model with its tokenizer, or one on the hub (ORG/NAME)"
        )
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    try:
        check_folder(path)
    except ValueError as error:
        raise DataError(str(error)) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            raise ValueError("its model file is damaged")  # transformers returns False
        tokenizer.decode(tokenizer.encode("a", add_special_tokens=False))  # some options are looked at no earlier
        return tokenizer
    except Exception as error:  # transformers raises whatever its parsers meet
        summary = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"{path}: holds no tokenizer that transformers can read ({summary[0]}); copy tokenizer.json and "
            "tokenizer_config.json from the model, for example with `save_pretrained`"
        ) from error
