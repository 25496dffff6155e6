"""The prompts of a task: one for all rows, or one for each row task and language, in several wordings."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import langcodes
import pyarrow.compute as pc

from aista.data.examples import PromptPair
from aista.data.manifest_rows import Row, Rows
from aista.data.row_tasks import TASKS, is_text_row
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import DataError
from aista.registry import nearest
from aista.tasks.prompting import ChatPrompt, EncodedPrompt, encode_prompt

__all__ = ["Prompts", "check_prompts", "language_name"]

log = logging.getLogger("aista.train")

Template = str | ChatPrompt
_FIELDS = ("src_lang", "tgt_lang", "src_lang:name", "tgt_lang:name")
_FIELD = re.compile(r"\{([a-z_]+(?::[a-z_]*)?)\}")


def check_prompts(prompt: Template, prompts: Mapping[str, Template | Sequence[Template]]) -> None:
    """Refuse a table of prompts that names an unknown task, or a template with an unknown field.

    Raises:
        ValueError: with the rule and what was received.
    """
    for task in prompts:
        if task not in TASKS:
            raise ValueError(f"prompts: tasks are {', '.join(TASKS)}, got {task!r}{nearest(task, TASKS)}")
        if not _wordings(prompts[task]):
            raise ValueError(
                f"prompts.{task}: must hold at least one wording, got none; write one, or leave {task} out"
            )
    for template in (prompt, *(one for task in prompts for one in _wordings(prompts[task]))):
        for field in (field for text in _texts(template) for field in _FIELD.findall(text)):
            if field != "speech" and field not in _FIELDS:
                known = ", ".join(f"{{{name}}}" for name in ("speech", *_FIELDS))
                raise ValueError(f"fields of a prompt are {known}, got {{{field}}}{nearest(field, _FIELDS)}")


class Prompts:
    """The prompts of a task as token ids.

    Args:
        prompt: Prompt of all rows whose task is not in ``prompts``.
        prompts: Task of a row -> its prompt, or several wordings of it.
        tokenizer: Encodes them.
        usual: Task of rows without one.

    Attributes:
        vary: Whether rows have different prompts; otherwise all have the first.
        examples: All templates with the tokens that begin and end rows, for English and French.
        first: The first of them.
        tasks: Tasks of all rows passed to ``learn``.

    Raises:
        ValueError: a prompt is invalid, or prompts begin or end rows in different ways.
        DataError: the tokenizer has no chat template, or it refuses the turns.
    """

    def __init__(
        self,
        prompt: Template,
        prompts: Mapping[str, Template | Sequence[Template]],
        tokenizer: TextTokenizer,
        *,
        usual: str,
    ) -> None:
        self._tokenizer = tokenizer
        self._usual = usual
        self._templates = {task: _wordings(prompts.get(task, prompt)) for task in TASKS}
        self._languages = "", ""
        self.tasks: set[str] = set()
        self._unknown: set[str] = set()
        self._encoded: dict[tuple[str, str, str], list[PromptPair]] = {}
        templates = [template for wordings in self._templates.values() for template in wordings]
        self.vary = bool(prompts) or any(map(_fields, templates))
        different = [one for index, one in enumerate(templates) if one not in templates[:index]]  # chats have no hash
        self.examples = tuple(encode_prompt(_filled(template, "en", "fr"), tokenizer) for template in different)
        self.first: EncodedPrompt = self.examples[0]
        for other in self.examples[1:]:
            if (other.bos_id, other.eos_id) != (self.first.bos_id, self.first.eos_id):
                raise ValueError(
                    "prompts must all begin with the same token and end with the same one, got texts and chats, or "
                    "chats of different kinds; write all of them in one way"
                )

    @property
    def num_positions(self) -> int:
        """Positions of the longest prompt, BOS included; where prompts vary, of those encoded by ``learn``."""
        return max(len(head) + len(suffix) for head, suffix in self._pairs())

    @property
    def head_positions(self) -> int:
        """Positions before the speech, likewise."""
        return max(len(head) for head, _ in self._pairs())

    @property
    def longest(self) -> PromptPair:
        """The longest prompt; see ``num_positions``."""
        return max(self._pairs(), key=lambda pair: len(pair[0]) + len(pair[1]))

    def learn(self, rows: Rows, source_language: str, target_language: str) -> None:
        """Encode the prompts of all tasks and languages of the rows.

        Args:
            rows: The rows to be used.
            source_language: Language code of the speech for rows without one.
            target_language: Language code of the translation, likewise.

        Raises:
            DataError: a prompt names a language that rows do not, or rows of different tasks or target languages have
                the same one.
        """
        self._languages = source_language, target_language
        self.tasks.update(pc.unique(rows.column("task")).to_pylist())
        columns = (rows.texts(name) for name in ("task", "src_lang", "tgt_lang"))
        keys = sorted({self._key(*values) for values in set(zip(*columns, strict=True))})
        owners: dict[tuple[PromptPair, bool], tuple[str, str]] = {}  # rows of speech and of text differ anyway
        for task, source, target in keys:
            for prompt in self._of(task, source, target):
                goal = task, target.casefold()
                other = owners.setdefault((prompt, is_text_row(task)), goal)
                if other != goal:
                    raise DataError(
                        f"prompts: must distinguish tasks and languages, but rows of {_named(*other)} and of "
                        f"{_named(*goal)} have the same prompt; give the tasks prompts of their own, or put "
                        "{tgt_lang} into it"
                    )
        self._warn_of_unknown_characters(keys)

    def _warn_of_unknown_characters(self, keys: Sequence[tuple[str, str, str]]) -> None:
        """Warn once for a task that its prompts have characters unknown to the tokenizer."""
        unknown = {task for task, *languages in keys for pair in self._of(task, *languages) if self._lacks(pair)}
        if new := sorted(unknown - self._unknown):
            self._unknown |= unknown
            log.warning(
                "prompts of %s hold characters that the tokenizer does not know, so that they read as unknown; write "
                "the prompts otherwise, or train the tokenizer with a --symbol for each mark, such as '<asr>'",
                ", ".join(new),
            )

    def _lacks(self, pair: PromptPair) -> bool:
        tokenizer = self._tokenizer
        marks = tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id  # GPT-2's is all of these too
        return tokenizer.unk_id not in marks and any(tokenizer.unk_id in ids for ids in pair)

    def of_row(self, row: Row, draw: int) -> PromptPair:
        """The prompt of a row; ``draw``, any number from 0, chooses among its wordings."""
        return self.of(row.task, row.src_lang, row.tgt_lang, draw)

    def of(self, task: str, source_language: str, target_language: str, draw: int = 0) -> PromptPair:
        """The prompt of a task and of languages; "" for the usual ones."""
        wordings = self._of(*self._key(task, source_language, target_language))
        return wordings[draw % len(wordings)]

    def names(self, task: str, side: str) -> bool:
        """Whether a prompt of a task names the language of a side, ``src`` or ``tgt``."""
        return any(
            field.startswith(side) for template in self._templates[task or self._usual] for field in _fields(template)
        )

    def _key(self, task: str, source: str, target: str) -> tuple[str, str, str]:
        task = task or self._usual
        source = source or self._languages[0]
        return task, source, target or (source if TASKS[task].target == "src_text" else self._languages[1])

    def _of(self, task: str, source: str, target: str) -> list[PromptPair]:
        key = task, source, target
        if key not in self._encoded:
            for template in self._templates[task]:
                for field in sorted(_fields(template)):
                    if not (source if field.startswith("src") else target):
                        option = "data.source_language" if field.startswith("src") else "data.target_language"
                        raise DataError(
                            f"the prompt of the task {task} holds {{{field}}}, but rows have an empty "
                            f"{field.split(':')[0]}; fill the column, or set {option}"
                        )
            filled = [_filled(template, source, target) for template in self._templates[task]]
            self._encoded[key] = [_pair(encode_prompt(template, self._tokenizer)) for template in filled]
        return self._encoded[key]

    def _pairs(self) -> Iterator[PromptPair]:
        yield _pair(self.first)
        for pairs in self._encoded.values():
            yield from pairs


def language_name(code: str) -> str:
    """The English name of a language: ``fr`` is French, ``zh-CN`` is Chinese (China).

    Raises:
        DataError: it is not a language code.
    """
    try:
        language = langcodes.Language.get(code)
        if language.is_valid():
            return language.display_name()
    except ValueError:  # no tag of a language
        pass
    raise DataError(
        f"{{src_lang:name}} and {{tgt_lang:name}} need language codes such as fr or zh-CN, got {code!r}; correct "
        "it, or write {src_lang} or {tgt_lang} for the code itself"
    )


def _named(task: str, language: str) -> str:
    return f"{task} into {language!r}" if language else task


def _wordings(prompt: Template | Sequence[Template]) -> tuple[Template, ...]:
    return (prompt,) if isinstance(prompt, (str, ChatPrompt)) else tuple(prompt)


def _texts(template: Template) -> tuple[str, ...]:
    return (template.user, template.system) if isinstance(template, ChatPrompt) else (template,)


def _fields(template: Template) -> set[str]:
    return {field for text in _texts(template) for field in _FIELD.findall(text) if field != "speech"}


def _filled(template: Template, source: str, target: str) -> Template:
    values = {"src_lang": source, "tgt_lang": target}

    def value(match: re.Match[str]) -> str:
        name, _, form = match[1].partition(":")
        if name not in values:
            return match[0]
        return language_name(values[name]) if form else values[name]

    if isinstance(template, ChatPrompt):
        changes: dict[str, Any] = {name: _FIELD.sub(value, getattr(template, name)) for name in ("user", "system")}
        return replace(template, **changes)
    return _FIELD.sub(value, template)


def _pair(prompt: EncodedPrompt) -> PromptPair:
    head = (() if prompt.bos_id is None else (prompt.bos_id,)) + tuple(prompt.ids.prefix)
    return head, tuple(prompt.ids.suffix)
