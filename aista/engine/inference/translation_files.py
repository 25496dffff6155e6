"""Writes translations of recordings as text, JSON, subtitles or a table, in one file or one per recording."""

from __future__ import annotations

import html
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aista.console import escaped
from aista.data.recordings import Recording
from aista.engine.inference.pieces import clock
from aista.engine.inference.translate import Translation
from aista.errors import AistaError
from aista.files import replacing, require_writable
from aista.scoring.hypotheses import escape_cell

__all__ = ["FORMATS", "Output"]

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # that JSON would leave as they are
_SUBTITLES = ("srt", "vtt")


@dataclass(frozen=True)
class Output:
    """Destination and format of translations.

    Attributes:
        recordings: The translated recordings, in order.
        format: One of ``FORMATS``.
        path: A file, or a folder that gets a file per recording; None is standard output.
        timed: Lines of the format text say where in the recording they begin and end.

    Raises:
        AistaError: several recordings for one file of subtitles, or two recordings for one file.
        RunError: the file or folder cannot be written.
    """

    recordings: Sequence[Recording]
    format: str = "text"
    path: Path | None = None
    timed: bool = False

    def __post_init__(self) -> None:
        if self.path is not None and self.path.is_dir():
            names = Counter(recording.name for recording in self.recordings)
            twice = [recording.file for recording in self.recordings if names[recording.name] > 1]
            if twice:
                raise AistaError(
                    f"-o {self.path}: each recording needs a file of its own there, but {twice[0]!r} and {twice[1]!r} "
                    f"are both to be written to {self._file(self.recordings[_place(self.recordings, twice[0])])}; "
                    "translate one of them into another folder"
                )
            require_writable(self._file(self.recordings[0]))
        elif self.format in _SUBTITLES and len(self.recordings) > 1:
            raise AistaError(
                f"--format {self.format}: a file of subtitles belongs to one recording, got {len(self.recordings)}; "
                "name an existing folder by -o, which gets one for each"
            )
        elif self.path is not None:
            require_writable(self.path)

    def write(self, items: Iterable[Translation]) -> None:
        """Write translations as they arrive; a file appears once it is complete. Only JSON includes problems.

        Standard output is flushed behind each translation. A recording without any translation gets no file.
        """
        render = FORMATS[self.format]
        if self.path is None:
            for text in render(items, self.timed):
                sys.stdout.write(text)
                sys.stdout.flush()
        elif not self.path.is_dir():
            with replacing(self.path) as temporary, _opened(temporary) as stream:
                stream.writelines(render(items, self.timed))
        else:
            for recording, parts in zip(self.recordings, _by_recording(items), strict=True):
                if any(part.text is not None for part in parts):
                    with replacing(self._file(recording)) as temporary, _opened(temporary) as stream:
                        stream.writelines(render(parts, self.timed))

    def _file(self, recording: Recording) -> Path:
        assert self.path is not None
        return self.path / f"{recording.name}.{_SUFFIXES.get(self.format, self.format)}"


def _place(recordings: Sequence[Recording], file: str) -> int:
    return next(place for place, recording in enumerate(recordings) if recording.file == file)


def _opened(path: Path) -> IO[str]:
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")


def _by_recording(items: Iterable[Translation]) -> Iterator[list[Translation]]:
    parts: list[Translation] = []
    for item in items:
        parts.append(item)
        if item.is_last:
            yield parts
            parts = []


def _text(items: Iterable[Translation], timed: bool) -> Iterator[str]:
    for item in items:
        if item.text is not None:
            times = (clock(item.start), clock(item.end)) if timed else ()
            yield _line(item.file, *times, item.text)


def _tsv(items: Iterable[Translation], timed: bool) -> Iterator[str]:
    yield _line("file", "start", "end", "text")
    for item in items:
        if item.text is not None:
            yield _line(item.file, f"{item.start:.3f}", f"{item.end:.3f}", item.text)


def _line(*cells: str) -> str:
    return "\t".join(escaped(escape_cell(cell)) for cell in cells) + "\n"


def _srt(items: Iterable[Translation], timed: bool) -> Iterator[str]:
    for number, item in enumerate(_spoken(items), start=1):
        yield f"{number}\n{clock(item.start, ',')} --> {clock(item.end, ',')}\n{_cue(item)}\n\n"


def _vtt(items: Iterable[Translation], timed: bool) -> Iterator[str]:
    yield "WEBVTT\n\n"
    for item in _spoken(items):
        yield f"{clock(item.start)} --> {clock(item.end)}\n{html.escape(_cue(item), quote=False)}\n\n"


def _spoken(items: Iterable[Translation]) -> Iterator[Translation]:
    return (item for item in items if item.text is not None and _cue(item))


def _cue(item: Translation) -> str:
    """On one line: an empty line would end the cue."""
    return escaped(" ".join((item.text or "").split()))


def _json(items: Iterable[Translation], timed: bool) -> Iterator[str]:
    before = "["  # with the first record: a model that cannot be opened leaves nothing on standard output
    for parts in _by_recording(items):
        segments = [_segment(part) for part in parts if part.end]
        unread = [part.problem for part in parts if not part.end]
        record = {"file": parts[0].file, "segments": segments, **({"problem": unread[0]} if unread else {})}
        text = json.dumps(record, ensure_ascii=False, indent=2)
        yield before + "\n" + _UNPRINTABLE.sub(lambda hit: f"\\u{ord(hit[0]):04x}", text)
        before = ","
    yield "[\n]\n" if before == "[" else "\n]\n"


def _segment(part: Translation) -> dict[str, object]:
    problem = {"problem": part.problem} if part.problem else {}
    n_best = {} if part.n_best is None else {"n_best": [candidate.to_json() for candidate in part.n_best]}
    return {"start": round(part.start, 3), "end": round(part.end, 3), "text": part.text, **n_best, **problem}


_SUFFIXES = {"text": "txt"}
FORMATS: dict[str, Callable[[Iterable[Translation], bool], Iterator[str]]] = {
    "text": _text,
    "json": _json,
    "srt": _srt,
    "vtt": _vtt,
    "tsv": _tsv,
}
"""Name of a format -> its writer: translations -> successive pieces of text."""
