"""Exports hypotheses in the file formats of evaluation suites."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import langcodes

from aista.data.id_table import some_of
from aista.data.sources.corpus_files import read_objects
from aista.errors import DataError
from aista.files import refusals, write_text
from aista.scoring.hypotheses import HypothesisRow

__all__ = ["Hearing2TranslateSamples"]


@dataclass(frozen=True)
class Hearing2TranslateSamples:
    """The samples of a manifest of the Hearing-to-Translate suite (arXiv 2512.16378), in its order.

    The suite's evaluation pairs the lines of a manifest and of a system's outputs by number, so outputs are written for
    every sample, in the manifest's order. Source: ``OutputJson`` in evaluation/util.py of
    github.com/sarapapi/hearing2translate: dataset_id, sample_id, src_lang, tgt_lang, output.
    """

    path: Path
    samples: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Hearing2TranslateSamples:
        """Read the samples of a manifest, by the ids that ``aista data import`` gives them.

        Raises:
            DataError: the file cannot be read, is empty, or a sample lacks a field or repeats an id; the message names
                line and rule.
        """
        samples: dict[str, dict[str, Any]] = {}
        for entry in read_objects(path):
            fields = dict(entry.fields)
            fields.setdefault("tgt_lang", fields.get("ref_lang"))  # as older manifests call it
            wanted = ("dataset_id", "sample_id", "src_lang", "tgt_lang")
            lacking = [name for name in wanted if fields.get(name) in (None, "")]
            id = str(fields.get("sample_id"))
            if entry.fault or lacking or id in samples:
                fault = entry.fault or (f"lacks {', '.join(lacking)}" if lacking else f"has the sample_id {id} again")
                raise DataError(f"{entry.place}: {fault}; name a manifest of the Hearing-to-Translate suite")
            samples[id] = {name: fields[name] for name in wanted}
        if not samples:
            raise DataError(f"{path}: holds no sample; name a manifest of the Hearing-to-Translate suite")
        return cls(path, samples)

    def write(self, rows: Sequence[HypothesisRow], out: Path) -> int:
        """Write the output of every sample; returns the number of hypotheses of other rows, which are not written.

        Raises:
            DataError: a sample has no hypothesis, or one in another language.
            RunError: the file cannot be written.
        """
        hypotheses = {row.id: row.hypothesis for row in rows}
        missing = [id for id in self.samples if id not in hypotheses]
        if missing:
            some = f"{len(missing)} of {len(self.samples)} samples have no hypothesis ({some_of(missing, 5)})"
            raise DataError(
                f"{self.path}: {some}; the suite pairs lines by their order; evaluate all of its rows, imported by "
                f"`aista data import OUT --from test={self.path}`"
            )
        languages = {row.id: row.tgt_lang for row in rows}
        foreign = [
            f"{id}: {languages[id]}, not {fields['tgt_lang']}"
            for id, fields in self.samples.items()
            if _differ(languages[id], fields["tgt_lang"])
        ]
        if foreign:
            some = f"{len(foreign)} of {len(self.samples)} hypotheses are in another language ({some_of(foreign, 3)})"
            raise DataError(f"{self.path}: {some}; evaluate the rows that were imported from this manifest")
        lines = [
            json.dumps({**fields, "output": hypotheses[id]}, ensure_ascii=False) for id, fields in self.samples.items()
        ]
        with refusals("written", out):
            write_text(out, "\n".join(lines) + "\n")
        return len(hypotheses) - len(lines)


def _differ(language: str, other: str) -> bool:
    """Whether two codes are known and of different languages; ``zh``, ``zh-CN`` and ``cmn_Hans`` are the same."""
    return bool(language) and bool(other) and _primary(language) != _primary(other)


def _primary(code: str) -> str:
    try:
        return langcodes.standardize_tag(code, macro=True).partition("-")[0]
    except ValueError:  # no tag of a language
        return code
