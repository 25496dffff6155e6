"""SLAM-LLM's JSONL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from aista.data.sources.json_layout import JsonLayout
from aista.registry import register
from aista.schema import Options

__all__ = ["SlamLlm"]

_CHAIN = re.compile(r"(.*?)<\|([A-Za-z-]{2,8})\|>(.*)", re.DOTALL)


@register("source", "slam_llm")
@dataclass(frozen=True, kw_only=True)
class SlamLlm(Options, JsonLayout):
    """SLAM-LLM JSONL: key, source (the audio) and target (imported as the translation).

    A ``target`` of the form ``transcript<|fr|>translation``, as its recipes of speech translation write it, gives both
    texts and the language. For corpora of recognition say ``--column src_text=target --column tgt_text=``. Prompts are
    not read: here they are the experiment's. Choose it for what a recipe of SLAM-LLM prepared.
    """

    @classmethod
    @override
    def holds(cls, fields: Mapping[str, Any]) -> bool:
        return {"key", "source", "target"} <= set(fields)

    @override
    def convert(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        target = fields.get("target")
        named = {"id": fields.get("key"), "audio": fields.get("source")}
        if isinstance(target, str) and (chain := _CHAIN.fullmatch(target)):
            return {**fields, **named, "src_text": chain[1], "tgt_lang": chain[2], "tgt_text": chain[3]}
        return {**fields, **named, "tgt_text": target}
