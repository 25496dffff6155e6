"""The manifests of the Hearing-to-Translate test suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from aista.data.sources.json_layout import JsonLayout
from aista.registry import register
from aista.schema import Options, option

__all__ = ["Hearing2Translate"]


@register("source", "hearing2translate")
@dataclass(frozen=True, kw_only=True)
class Hearing2Translate(Options, JsonLayout):
    """Manifest of the Hearing-to-Translate suite (arXiv 2512.16378): src_audio, src_ref, tgt_ref.

    Its audio paths start at the folder that holds the corpora's folders. Where ``tgt_ref`` holds references in several
    languages, that of ``language`` is taken, else that of the row. Choose it to score a system on the suite: it is test
    data alone.
    """

    language: str = option("", "Language of the references, if a row has several; empty: the row's tgt_lang.")

    @classmethod
    @override
    def holds(cls, fields: Mapping[str, Any]) -> bool:
        return {"src_audio", "dataset_id"} <= set(fields)

    @override
    def folders(self, file: Path) -> tuple[Path, ...]:
        return file.parent.parent, file.parent

    @override
    def convert(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        target = self.language or fields.get("tgt_lang") or fields.get("ref_lang")
        reference = fields.get(f"tgt_ref.{target}", fields.get("tgt_ref"))
        others = sorted(name.removeprefix("tgt_ref.") for name in fields if name.startswith("tgt_ref."))
        if reference is None and others:
            raise ValueError(f"has references in {', '.join(others)}, not in {target!r}; choose one by language=CODE")
        transcript = fields.get("src_ref", fields.get("src_ref_text"))
        named = {"id": fields.get("sample_id"), "audio": fields.get("src_audio")}
        return {**fields, **named, "src_text": transcript, "tgt_text": reference, "tgt_lang": target}
