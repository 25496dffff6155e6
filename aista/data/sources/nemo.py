"""NVIDIA NeMo's manifests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from aista.data.sources.json_layout import JsonLayout
from aista.registry import register
from aista.schema import Options

__all__ = ["Nemo"]

_ABSENT = (None, "", "na")


@register("source", "nemo")
@dataclass(frozen=True, kw_only=True)
class Nemo(Options, JsonLayout):
    """NeMo manifest: audio_filepath and text; for Canary with source_lang and target_lang.

    Where the two languages differ, ``answer`` is the translation and ``text`` the transcript; without an ``answer``,
    ``text`` is the translation, as Canary reads it. Elsewhere ``text`` is the transcript. ``offset`` and ``duration``
    cut a segment out of a longer recording; a ``duration`` alone describes the file.
    """

    @classmethod
    @override
    def holds(cls, fields: Mapping[str, Any]) -> bool:
        return "audio_filepath" in fields

    @override
    def convert(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if "text_filepath" in fields and fields.get("text") in _ABSENT:
            raise ValueError("text_filepath: texts in files of their own are not read; put the text into the manifest")
        text, answer = (None if fields.get(name) in _ABSENT else fields[name] for name in ("text", "answer"))
        source, target = (fields.get(name) or "" for name in ("source_lang", "target_lang"))
        texts = {"src_text": text or answer, "tgt_text": None, "tgt_lang": None}
        if target and source != target:
            texts = {"src_text": text if answer else None, "tgt_text": answer or text, "tgt_lang": target}
        given = {name: fields[name] for name in ("src_text", "tgt_text", "tgt_lang") if name in fields}
        return {**fields, **texts, **given}
