"""FLEURS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, primary
from aista.data.sources.published import PublishedCorpus, folders_in, read_lines, require_files
from aista.errors import DataError
from aista.registry import nearest, register
from aista.schema import option

__all__ = ["Fleurs"]

_FOLDER = re.compile(r"[a-z]{2,3}(?:_[a-z]{4})?_(?:[a-z]{2}|419)")
_SPLITS = ("train", "dev", "test")
_COLUMNS = 7  # sentence, file, text as written, text normalised, its characters, samples, gender
_CODES = {"cmn": "zh"}  # elsewhere called so
_SHOWN = 12


@register("source", "fleurs")
@dataclass(frozen=True, kw_only=True)
class Fleurs(PublishedCorpus):
    """FLEURS (Conneau et al. 2022): the same 2,009 sentences read in 102 languages, about 10 h of training speech each.

    The translation of a row is the other language's text of the same sentence; without ``--target-language`` rows have
    transcripts alone. Choose it to evaluate any pair of languages; to train on, it is small.
    """

    root_holds: ClassVar[str] = "en_us or other languages' folders, with en_us/train.tsv (data in the archive)"
    normalized: bool = option(False, "Take the texts in lower case without punctuation instead of those as written.")

    @classmethod
    @override
    def is_root(cls, folder: Path) -> bool:
        return bool(_languages(folder) or _languages(folder.resolve().parent).get(folder.resolve().name))

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        root = self.root(place)
        folders = _languages(root)
        source = languages.source
        if not folders:  # the folder of one language
            folders, source = _languages(root.resolve().parent), source or root.resolve().name
        spoken = _folder(place, folders, source, "--source-language")
        read = _folder(place, folders, languages.target, "--target-language") if languages.target else None
        if read == spoken:
            raise DataError(f"--from {place}: --target-language must be another one than that of the speech")
        there = [split for split in _SPLITS if (spoken / f"{split}.tsv").is_file()]
        return [self._part(place, split, spoken, read) for split in self.chosen(place, there)]

    def _part(self, place: str, split: str, spoken: Path, read: Path | None) -> Part:
        table = spoken / f"{split}.tsv"
        if read:
            require_files(place, [read / f"{split}.tsv"])
        folders = [spoken / "audio" / split, spoken / split, spoken / "audio"]
        packed = spoken / "audio" / f"{split}.tar.gz"
        if packed.is_file() and not any(folder.is_dir() for folder in folders[:2]):
            raise DataError(
                f"--from {place}: the audio of {split} is packed; unpack it: tar -xzf {packed} -C {packed.parent}"
            )
        columns = ("id", "audio", "src_text", "tgt_text", "src_lang", "tgt_lang")
        note = f"translations are {read.name}'s texts of the same sentences" if read else ""
        return Part(str(table), columns, lambda: self._entries(table, read), split, tuple(folders), note=note)

    def _entries(self, table: Path, read: Path | None) -> Iterator[Entry]:
        translations = self._texts(read / table.name) if read else {}
        source, target = _code(table.parent), _code(read) if read else ""
        for number, line in enumerate(read_lines(table), 1):
            place, values = f"{table.parent.name}/{table.name}:{number}", line.split("\t")
            if len(values) != _COLUMNS:
                yield Entry(place, {}, f"{len(values)} fields where the columns are {_COLUMNS}")
                continue
            sentence, file = values[:2]
            if read and sentence not in translations:
                yield Entry(place, {}, f"its sentence is not in {read.name}/{table.name}: no translation")
                continue
            yield Entry(
                place,
                {
                    "id": f"{sentence}-{Path(file).stem}",
                    "audio": file,
                    "src_text": values[3 if self.normalized else 2],
                    "tgt_text": translations.get(sentence, ""),
                    "src_lang": source,
                    "tgt_lang": target,
                },
            )

    def _texts(self, table: Path) -> dict[str, str]:
        """Sentence -> its text, which several speakers read."""
        texts: dict[str, str] = {}
        for line in read_lines(table):
            values = line.split("\t")
            if len(values) == _COLUMNS:
                texts.setdefault(values[0], values[3 if self.normalized else 2])
        return texts


def _languages(root: Path) -> dict[str, Path]:
    """Name -> folder of each language."""
    folders = [folder for folder in folders_in(root) if _FOLDER.fullmatch(folder.name)]
    return {folder.name: folder for folder in folders if any((folder / f"{name}.tsv").is_file() for name in _SPLITS)}


def _code(folder: Path) -> str:
    language = primary(folder.name)
    return _CODES.get(language, language)


def _folder(place: str, folders: dict[str, Path], asked: str, flag: str) -> Path:
    """The folder of a language, called ``en`` or ``en_us``; of the only one if none is asked for."""
    hits = [folder for folder in folders.values() if asked in ("", folder.name) or _code(folder) == primary(asked)]
    if len(hits) == 1:
        return hits[0]
    known = ", ".join(list(folders)[:_SHOWN]) + f" and {len(folders) - _SHOWN} more" * (len(folders) > _SHOWN)
    if not hits:
        raise DataError(
            f"--from {place}: holds {known}, not {asked!r}{nearest(asked, folders)}; correct {flag}, or download that "
            "language beside them"
        )
    raise DataError(f"--from {place}: holds {known}; choose one by {flag}")
