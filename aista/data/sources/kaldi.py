"""Kaldi's data folders."""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from aista.data.sources.base import Entry, Languages, Part, Recording, Source, split_of
from aista.data.sources.corpus_files import open_text
from aista.errors import DataError
from aista.registry import register
from aista.schema import Options

__all__ = ["Kaldi"]

_IN_ARCHIVE = re.compile(r"(?P<file>.+\.ark):(?P<offset>[0-9]{1,18})")
_BLANK = re.compile(r"[ \t]+")
_UNKNOWN = 0x7FFFFFFF  # lengths from here on stand for none, as in WAVs that went through a pipe
_READERS = ("cat", "flac")  # commands that put out a file's own content


@register("source", "kaldi")
@dataclass(frozen=True, kw_only=True)
class Kaldi(Options, Source):
    """Data folder of Kaldi or ESPnet: wav.scp and text, with segments, utt2spk, utt2lang and text.LANG.

    A folder of such folders (``train``, ``dev``, ``test``) gives the splits. Translations have files of their own, such
    as ``text.fr``: say ``--target-language fr``, or ``--column tgt_text=text.fr``. Files must be sorted as Kaldi
    demands; then they are read side by side. Relative paths start from the folder itself, from where its recipe runs
    (two folders above), or from the current folder. Commands in ``wav.scp`` are never executed: of
    ``flac -c -d FILE |`` and ``cat FILE |`` the file is read, others are left out and counted. ``FILE.ark:OFFSET``
    names a WAV in an archive.

    Choose it for what an ESPnet or Kaldi recipe prepared, before its extraction of features.
    """

    @classmethod
    @override
    def recognises(cls, place: str) -> bool:
        return bool(_folders(Path(place))) or _has_features(Path(place))

    @override
    def parts(self, place: str, languages: Languages) -> list[Part]:
        folders = _folders(Path(place))
        if not folders and _has_features(Path(place)):
            raise DataError(
                f"--from {place}: holds only features (feats.scp), but aista needs audio; give the folder "
                "with wav.scp, as it was before the features were made"
            )
        if not folders:
            raise DataError(f"--from {place}: must be a folder with wav.scp, or one of such folders; check the path")
        return [_part(folder, split) for folder, split in folders]


def _folders(place: Path) -> list[tuple[Path, str]]:
    try:
        if (place / "wav.scp").is_file():
            return [(place, "")]
        inner = sorted(file.parent for file in place.glob("*/wav.scp"))
    except OSError:
        return []
    return [(folder, split_of(folder.name)) for folder in inner]


def _has_features(place: Path) -> bool:
    try:
        return (place / "feats.scp").is_file()
    except OSError:
        return False


def _part(folder: Path, split: str) -> Part:
    texts = [file.name for file in sorted(folder.glob("text*")) if file.is_file() and not file.name.endswith("~")]
    others = [name for name in ("utt2spk", "utt2lang") if (folder / name).is_file()]
    columns = ("utt", "audio", *texts, *("speaker" if name == "utt2spk" else "src_lang" for name in others))
    rows = "segments" if (folder / "segments").is_file() else "wav.scp"
    total, *_ = [_count_sorted(folder / name) for name in (rows, *texts, *others)]
    return Part(str(folder), columns, lambda: _entries(folder, [*texts, *others]), split, _starts(folder), total)


def _starts(folder: Path) -> tuple[Path, ...]:
    """Folders that relative paths may start from: recipes run two folders above their ``data/train``."""
    return folder, folder.absolute().parent.parent, Path()


def _count_sorted(file: Path) -> int:
    """The number of a file's lines. Raises DataError unless they are sorted as Kaldi demands."""
    count, before = 0, b""
    for place, key, _ in _pairs(file):
        if key.encode() <= before:
            raise DataError(
                f"{file.parent}: {place} must come after {before.decode()!r}: Kaldi's files are sorted by bytes and "
                "name nothing twice; run utils/fix_data_dir.sh on the folder, or LC_ALL=C sort -u on the file"
            )
        count, before = count + 1, key.encode()
    return count


def _entries(folder: Path, names: list[str]) -> Iterator[Entry]:
    columns = {"utt2spk": "speaker", "utt2lang": "src_lang"}
    lookups = {columns.get(name, name): _sorted_lookup(folder / name) for name in names}
    for place, utterance, recording, fault in _utterances(folder):
        fields: dict[str, Any] = {name: lookup(utterance) for name, lookup in lookups.items()}
        yield Entry(place, {"utt": utterance, "audio": recording, **fields}, fault)


def _utterances(folder: Path) -> Iterator[tuple[str, str, Recording | None, str]]:
    """Place, id, recording and fault of each utterance."""
    if not (folder / "segments").is_file():
        for place, utterance, value in _pairs(folder / "wav.scp"):
            path, fault = _path(folder, value)
            yield place, utterance, Recording(path) if path else None, fault
        return
    recordings = {name: _path(folder, value) for _, name, value in _pairs(folder / "wav.scp")}
    for place, utterance, value in _pairs(folder / "segments"):
        try:
            name, start, end = value.split()[:3]
            span = float(start), float(end)
        except ValueError:
            yield place, utterance, None, f"a segment must be RECORDING START END, got {value!r}"
            continue
        path, fault = recordings.get(name, ("", f"wav.scp holds no recording {name!r}"))
        if not fault and not 0 <= span[0] < span[1]:
            fault = f"a segment must end after it starts, got {start} and {end}"
        yield place, utterance, None if fault else Recording(path, None, span[0], span[1] - span[0]), fault


def _path(folder: Path, value: str) -> tuple[str, str]:
    """The file or part of a file that an entry of ``wav.scp`` names, and the entry's fault."""
    if match := _IN_ARCHIVE.fullmatch(value):
        return _in_archive(folder, match["file"], int(match["offset"]))
    if not value.endswith("|"):
        return value, ""
    try:
        command = shlex.split(value[:-1])
    except ValueError:
        command = []
    files = [word for word in command[1:] if not word.startswith("-")]
    if command and Path(command[0]).name in _READERS and len(files) == 1:
        return files[0], ""
    return "", "wav.scp holds a command, which is not executed; name a file"


def _in_archive(folder: Path, name: str, offset: int) -> tuple[str, str]:
    """A WAV in an archive as manifests name it, by the length that its header says; and what is wrong with it."""
    file = next((path for start in _starts(folder) if (path := start / name).is_file()), None)
    if file is None:
        return name, ""  # counted as a missing file
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            magic, length = struct.unpack("<4sI", stream.read(8).ljust(8, b"\0"))
    except OSError:
        return name, ""
    if magic != b"RIFF" or not 0 < length < _UNKNOWN:
        return "", "wav.scp names a part of an archive that is no WAV of known length; write the recordings to files"
    return f"{file.absolute()}:{offset}:{length + 8}", ""


def _pairs(file: Path) -> Iterator[tuple[str, str, str]]:
    with open_text(file) as stream:
        for number, line in enumerate(stream, 1):
            key, value = [*_BLANK.split(line.strip(), 1), ""][:2]
            if key:
                yield f"{file.parent.name}/{file.name}:{number}", key, value


def _sorted_lookup(file: Path) -> Callable[[str], str]:
    """Looks up utterances in a sorted file, in the order of the file, without keeping it in memory."""
    pairs = ((key.encode(), value) for _, key, value in _pairs(file))
    current = next(pairs, None)

    def lookup(key: str) -> str:
        nonlocal current
        while current is not None and current[0] < key.encode():
            current = next(pairs, None)
        return current[1] if current is not None and current[0] == key.encode() else ""

    return lookup
