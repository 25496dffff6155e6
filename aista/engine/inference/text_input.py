"""Transcripts as input in place of speech: text translation by a run's language model, and cascades."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from aista.data.id_table import read_id_table, some_of
from aista.engine.inputs import Split
from aista.errors import DataError
from aista.files import hash_file
from aista.run_folder.paths import cascade_label, transcript_label
from aista.scoring.hypotheses import read_hypotheses
from aista.tasks.base import Task

__all__ = ["TextInput", "read_transcripts"]

log = logging.getLogger("aista.evaluate")

_COLUMNS = ("text", "hyp", "hypothesis")


@dataclass(frozen=True)
class TextInput:
    """The text input: the manifest's transcripts, or those of a file."""

    file: Path | None = None

    def label(self, split: str) -> str:
        """Label of results on a split; ``split`` is the split's label."""
        return transcript_label(split) if self.file is None else cascade_label(split, self.file, hash_file(self.file))

    def __str__(self) -> str:
        return "transcripts" if self.file is None else str(self.file.resolve())

    def replace_speech(self, split: Split, task: Task) -> Split:
        """The split with these transcripts, and without its audio.

        Raises:
            DataError: a row has no transcript, the file lacks a row, or a transcript writes control tokens.
        """
        rows = split.dataset.rows
        if self.file is not None:
            texts, path = read_transcripts(self.file), self.file
            lacking = [row.id for row in rows if row.id not in texts]
            remedy = "recognise them too"
            rows = rows.with_texts(src_text=[texts.get(id, "") for id in rows.texts("id")])
        else:
            path = split.inspections[0].manifest
            lacking = [row.id for row in rows if not row.src_text]
            remedy = "fill the column src_text, or give recognised ones by --transcripts FILE"
        if lacking:
            raise DataError(
                f"{path}: must hold a transcript of each row of {split.name}, but lacks {len(lacking)} of {len(rows)}: "
                f"{some_of(lacking)}; {remedy}"
            )
        controlling = [row.id for row in rows if task.tokenizer.control_tokens(row.src_text)]
        if controlling:
            raise DataError(
                f"{path}: transcripts must not write tokens that control the model, got some in "
                f"{some_of(controlling)}; remove them"
            )
        empty = [row.id for row in rows if not row.src_text]
        if empty:
            log.warning("%s: %d of %d transcripts are empty: %s", path, len(empty), len(rows), some_of(empty, 5))
        return replace(split, dataset=split.dataset.with_rows(rows).texts_alone())


def read_transcripts(path: Path) -> dict[str, str]:
    """Id -> text of a tab-separated file with the columns ``id`` and ``text`` (or ``hyp``, or ``hypothesis``).

    The hypotheses that ``aista evaluate`` writes of a run that recognises speech are such a file. A text may be empty:
    then nothing was recognised.

    Raises:
        DataError: the file is none, or has several of these columns.
    """
    table = read_id_table(path)
    found = [name for name in _COLUMNS if name in table.columns]
    if len(found) != 1:
        raise DataError(
            f"{path}:1: the header must name the column id and one of {', '.join(_COLUMNS)}, got "
            f"{', '.join(table.columns)}; name the column of the transcripts text, and no other one so"
        )
    if found == ["hypothesis"]:  # written by aista, whose cells are escaped
        return {row.id: row.hypothesis for row in read_hypotheses(path)}
    return table.column(found[0])
