"""NVIDIA NeMo's manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from aista.data.sources.base import Entry
from aista.data.sources.json_layout import JsonLayout
from aista.data.streams.archive import Member, read_members
from aista.registry import register
from aista.schema import Options

__all__ = ["Nemo"]

_ABSENT = (None, "", "na")
_REPEATED = re.compile(r"-sub[0-9]+$")  # behind the name of a recording that several rows have


@register("source", "nemo")
@dataclass(frozen=True, kw_only=True)
class Nemo(Options, JsonLayout):
    """NeMo manifest: audio_filepath and text; for Canary with source_lang and target_lang.

    Where the two languages differ, ``answer`` is the translation and ``text`` the transcript; without an ``answer``,
    ``text`` is the translation, as Canary reads it. Elsewhere ``text`` is the transcript. ``offset`` and ``duration``
    cut a segment out of a longer recording; a ``duration`` alone describes the file. Of a tarred dataset the recordings
    stay in ``audio_0.tar`` and so on. Choose it for manifests of NeMo's recipes.
    """

    @classmethod
    @override
    def holds(cls, fields: Mapping[str, Any]) -> bool:
        return "audio_filepath" in fields

    @override
    def entries(self, file: Path) -> Iterator[Entry]:
        return map(_Shards((file.parent, file.parent.parent)).placed, super().entries(file))

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
        if (shard := fields.get("shard_id")) is not None and "id" not in fields:
            given["id"] = f"{Path(str(fields.get('audio_filepath'))).stem}-{shard}"  # one in its shard alone
        return {**fields, **texts, **given}


class _Shards:
    """Places of the recordings in a tarred dataset, one archive after the other, in the order of rows.

    Args:
        folders: Possible folders of the archives: beside the manifest, or above ``sharded_manifests``.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._shard: object = None
        self._members: dict[str, Member] | None = None
        self._tar = Path()

    def placed(self, entry: Entry) -> Entry:
        """A row with its recording's place in its archive; as it is where there is no archive, as after unpacking."""
        shard, name = entry.fields.get("shard_id"), entry.fields.get("audio_filepath")
        if entry.fault or shard is None or not isinstance(name, str):
            return entry
        if shard != self._shard:
            self._open(shard)
        if self._members is None:
            return entry
        stem = Path(name).stem
        member = self._members.get(stem) or self._members.get(_REPEATED.sub("", stem))
        if member is None:
            return replace(entry, fault=f"{self._tar.name} does not hold its recording")
        return replace(entry, fields={**entry.fields, "audio_filepath": f"{self._tar}:{member.offset}:{member.size}"})

    def _open(self, shard: object) -> None:
        tars = [folder.absolute() / f"audio_{shard}.tar" for folder in self._folders]
        self._shard, self._tar = shard, next((tar for tar in tars if tar.is_file()), tars[0])
        members = read_members(self._tar) if self._tar.is_file() else None
        self._members = None if members is None else {member.key: member for member in members}
