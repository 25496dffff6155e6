"""The rows of all the sources of an import, with cleaned texts, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aista.corpora.preparation import one_line
from aista.data.row_tasks import TASKS, is_text_row
from aista.data.sources.base import Languages, Part, Recording, Source, primary, split_of
from aista.data.sources.columns import match_columns, read_entry
from aista.data.sources.opening import open_source, recognise
from aista.errors import DataError
from aista.text import is_blank

__all__ = ["ImportOptions", "OpenedPart", "RawRow", "open_parts"]


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Attributes:
        layout: Name of the sources' layout; "" recognises it.
        overrides: Its options, ``key=value``.
        columns: Column of a manifest -> column of the sources; "" takes none.
        shares: Split -> share of the rows to take for it; None: 5 % each for dev and test where no source names splits.
        source_language: Language of rows whose source does not state it.
        target_languages: Of rows whose source does not state it. With several, each source is read for each language,
            and the ids of its rows end with the language.
        overwrite: Import anew into a folder with a finished import.
    """

    layout: str = ""
    overrides: tuple[str, ...] = ()
    columns: Mapping[str, str] | None = None
    shares: Mapping[str, float] | None = None
    source_language: str = ""
    target_languages: tuple[str, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True)
class RawRow:
    """A row of a source: its texts by column of a manifest, and its audio; ``fault`` is why it cannot be used.

    ``suffix`` ends its id where several target languages are imported.
    """

    place: str
    texts: Mapping[str, str]
    recording: Recording | None = None
    fault: str = ""
    note: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class OpenedPart:
    """A part of a source, its layout's name, its split ("" if unknown), and the mapping of its columns.

    ``suffix`` ends the ids of its rows; ``elsewhere`` are the columns that its other target languages take.
    """

    part: Part
    layout: str
    split: str
    columns: Mapping[str, str]
    languages: Languages
    suffix: str = ""
    elsewhere: frozenset[str] = frozenset()

    def __str__(self) -> str:
        taken = ", ".join(name if target == name else f"{target}={name}" for target, name in self.columns.items())
        used = self.elsewhere.union(self.columns.values())
        unused = [name for name in self.part.columns if name not in used]
        more = f"; not used: {', '.join(unused[:12])}{', ...' * (len(unused) > 12)}" if unused else ""
        note = f"; {self.part.note}" if self.part.note else ""
        into = f" into {self.split}" if self.split else ""
        return f"{self.part.name} ({self.layout}){into}: {taken}{more}{note}"

    def rows(self) -> Iterator[RawRow]:
        """Yield each row, with its fault."""
        for entry in self.part.entries():
            if entry.fault:
                yield RawRow(entry.place, {}, fault=entry.fault)
                continue
            try:
                row = read_entry(entry, self.columns)
                texts = {name: _clean(name, text) for name, text in row.texts.items()}
            except ValueError as error:
                yield RawRow(entry.place, {}, fault=str(error))
                continue
            texts, note = self._with_languages(texts)
            if (task := texts.get("task", "")) and task not in TASKS:
                texts["task"] = ""
                note = note or f"task is {task!r}, not one of {', '.join(TASKS)}: left empty"
            texts["split"] = self.split or split_of(texts.get("split", ""))
            fault = self._fault(texts, row.recording)
            yield RawRow(entry.place, texts, row.recording, fault, note, self.suffix)

    def _fault(self, texts: Mapping[str, str], recording: Recording | None) -> str:
        if not texts.get("src_text") and not texts.get("tgt_text"):
            return "no transcript and no translation"
        spoken = "audio" in self.columns and not is_text_row(texts.get("task", ""))
        return "names no audio" if recording is None and spoken else ""

    def _with_languages(self, texts: dict[str, str]) -> tuple[dict[str, str], str]:
        """Filled in where the source says none, and what is odd about those that it says."""
        note = ""
        for column, wanted in zip(("src_lang", "tgt_lang"), self.languages, strict=True):
            said = texts.get(column, "")
            if not said or (wanted and primary(said) == primary(wanted)):
                texts[column] = wanted
            elif wanted:
                note = f"{column} is {said!r}, not {wanted!r}: kept as the source says"
        return texts, note


def open_parts(sources: Sequence[str], options: ImportOptions) -> list[OpenedPart]:
    """Open the sources, each ``PLACE`` or ``SPLIT=PLACE``, and find the columns of their parts.

    Raises:
        AistaError: a place is not a corpus, a column is missing, or a source has one translation for several languages.
    """
    opened: list[OpenedPart] = []
    for name in sources:
        split, place = _split_and_place(name)
        layout = options.layout or recognise(place)
        source = open_source(layout, options.overrides)
        parts = [
            replace(part, split=split or part.split)
            for target in options.target_languages or ("",)
            for part in _parts(source, layout, place, target, options)
        ]
        _check_translations(parts)
        opened += [replace(part, elsewhere=_taken(parts, part.part.name)) for part in parts]
    return opened


def _parts(source: Source, layout: str, place: str, target: str, options: ImportOptions) -> Iterator[OpenedPart]:
    """The parts of a source, read for one target language."""
    languages = Languages(options.source_language, target)
    by_text = {"src_text": languages.source, "tgt_text": languages.target}
    suffix = f"-{target}" if len(options.target_languages) > 1 else ""
    for part in source.parts(place, languages):
        columns = match_columns(part, options.columns or {}, source.usual, by_text)
        yield OpenedPart(part, layout, part.split, columns, languages, suffix)


def _taken(parts: Sequence[OpenedPart], name: str) -> frozenset[str]:
    """The columns of a source's part that are read for any target language."""
    return frozenset(column for part in parts if part.part.name == name for column in part.columns.values())


def _check_translations(parts: Sequence[OpenedPart]) -> None:
    """Refuse a source that gives the same translation for several target languages."""
    known: dict[str, OpenedPart] = {}
    for part in parts:
        other = known.setdefault(str(part), part)
        if other.languages != part.languages:
            first, second = other.languages.target, part.languages.target
            raise DataError(
                f"{part.part.name}: must have a translation for each --target-language, but the one into {first} and "
                f"the one into {second} are the same ({part.columns.get('tgt_text', 'none')}); name one language, or "
                f"call the columns {first} and {second}"
            )


def _split_and_place(name: str) -> tuple[str, str]:
    split, equals, place = name.partition("=")
    if not equals or not split.isidentifier() or Path(name).exists():
        return "", name
    if not place:
        raise DataError(f"--from {name}: must be PLACE or SPLIT=PLACE, got no place")
    return split_of(split), place


def _clean(column: str, text: str) -> str:
    """A text on one line, without invisible characters."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(f"{column} holds half a character (a lone surrogate)")
    return "" if is_blank(text) else one_line(text)
