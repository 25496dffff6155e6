"""Conversations with audio, in the formats of frameworks that tune language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from aista.data.sources.json_layout import JsonLayout
from aista.errors import shown
from aista.registry import register
from aista.schema import Options

__all__ = ["Chat"]

_ANSWERS = ("response", "output")
_SPEAKS = ("assistant", "gpt")


@register("source", "chat")
@dataclass(frozen=True, kw_only=True)
class Chat(Options, JsonLayout):
    """Conversations with audio in the format of ms-swift and LLaMA-Factory: messages and audios.

    The turns are ``messages`` or ShareGPT's ``conversations``. The one answer, of the role ``assistant`` or ``gpt``, is
    taken for the translation; ``response`` (ms-swift) and ``output`` (Alpaca's form in LLaMA-Factory) are answers too.
    For corpora of recognition say ``--column src_text=answer --column tgt_text=``. Instructions are not read: here the
    prompt is the experiment's. A row must have one recording and one answer.

    Choose it for a corpus that was made to fine-tune an audio model with either of the two.
    """

    @classmethod
    @override
    def holds(cls, fields: Mapping[str, Any]) -> bool:
        return "audios" in fields and any(name in fields for name in ("messages", "conversations", *_ANSWERS))

    @override
    def convert(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        audios = fields.get("audios")
        audios = audios if isinstance(audios, list) else [audios]
        if len(audios) != 1 or not isinstance(audios[0], str):
            raise ValueError(f"audios must name one file, got {shown(fields.get('audios'))}")
        answers = [fields[name] for name in _ANSWERS if fields.get(name)] or _answers(fields)
        if len(answers) != 1 or not isinstance(answers[0], str):
            raise ValueError(f"must hold one answer in words, got {len(answers)}")
        answer = answers[0]
        return {**fields, "audio": audios[0], "answer": answer, "tgt_text": fields.get("tgt_text", answer)}


def _answers(fields: Mapping[str, Any]) -> list[Any]:
    """The assistant's answer, in either form of a turn: role and content, or from and value."""
    turns = fields.get("messages") or fields.get("conversations") or []
    turns = [turn for turn in turns if isinstance(turn, Mapping)] if isinstance(turns, list) else []
    return [
        turn.get("content", turn.get("value"))
        for turn in turns
        if turn.get("role", turn.get("from")) in _SPEAKS and not turn.get("tool_calls")
    ]
