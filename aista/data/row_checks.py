"""Checks of rows: columns, audio, texts, and limits of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aista.data.audio_file import EmptyAudioError, MissingAudioError, TooLongAudioError, UndecodableAudioError
from aista.data.data_config import DataConfig
from aista.data.manifest_rows import MANIFEST_SAMPLE_RATE, Row, Rows
from aista.data.row_tasks import is_text_row
from aista.data.tokenizers.base import TextTokenizer
from aista.data.word_times import check_word_times
from aista.errors import DataError

__all__ = [
    "AUDIO_FAULTS",
    "MAX_MISLABELLING",
    "FaultyRowError",
    "Finding",
    "Limit",
    "Problem",
    "RowChecks",
    "audio_findings",
    "duration_findings",
    "problems_of",
]

Finding = tuple[str, str]
"""Kind and message."""

AUDIO_FAULTS: dict[type[DataError], str] = {
    MissingAudioError: "missing file",
    UndecodableAudioError: "undecodable",
    EmptyAudioError: "empty audio",
    TooLongAudioError: "too long",
}

MAX_MISLABELLING = 0.05
"""Relative deviation of ``n_frames`` from the true length that is tolerated."""
_NO_AUDIO: Finding = (
    "empty audio",
    "must name an audio file here, got a text-only row; remove it or add its audio",
)


@dataclass(frozen=True)
class Limit:
    """Limits of a model, e.g. on the positions of a row in the LLM.

    Attributes:
        name: The measured quantity, in the plural, e.g. ``"LLM positions"``.
        maximum: Largest allowed measure.
        measure: ``(rows, seconds) -> measures``; seconds are the true durations, 0 without audio.
        remedy: Advice for the user.
        minimum: Smallest allowed measure.
    """

    name: str
    maximum: int
    measure: Callable[[Sequence[Row], Sequence[float]], Sequence[int]]
    remedy: str
    minimum: int = 0

    def findings(self, rows: Sequence[Row], seconds: Sequence[float]) -> list[Finding]:
        """Faults of rows with these durations."""
        found = (self.finding(measure) for measure in self.measure(rows, seconds))
        return [finding for finding in found if finding is not None]

    def finding(self, measure: int) -> Finding | None:
        """The fault of a row with this measure, if any."""
        if measure > self.maximum:
            kind, bound = "too many", f"at most {self.maximum}"
        elif measure < self.minimum:
            kind, bound = "too few", f"at least {self.minimum}"
        else:
            return None
        return f"{kind} {self.name}", f"must take {bound} {self.name}, got {measure}; {self.remedy}"


class FaultyRowError(DataError):
    """A row that was read, and that its checks refuse."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(message for _, message in findings))
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Problem:
    """One fault of one row: its kind (``"missing file"``), the row's id and line, and a message."""

    kind: str
    id: str
    line: int
    message: str


@dataclass(frozen=True)
class RowChecks:
    """The rules for the rows of a split.

    Attributes:
        config: Bounds on the duration, and the languages that rows must not contradict.
        with_audio: Rows must have audio; otherwise it is not looked at.
        needs_target: Rows must have a translation; otherwise they must have a transcript or a translation.
        tokenizer: Its control tokens must not stand in the texts; None checks nothing.
        limits: Bounds of the model.
    """

    config: DataConfig
    with_audio: bool = True
    needs_target: bool = True
    tokenizer: TextTokenizer | None = None
    limits: tuple[Limit, ...] = ()

    def doubtful(self, rows: Rows) -> NDArray[np.bool_]:
        """``[rows]`` whether the columns show a fault: missing texts, or wrong languages."""
        has_target, has_source = rows.is_filled("tgt_text"), rows.is_filled("src_text")
        bad = ~has_target if self.needs_target else ~has_target & ~has_source
        for column, wanted in (
            ("src_lang", self.config.source_language),
            ("tgt_lang", self.config.target_language),
        ):
            if wanted:
                found = rows.column(column)
                others = [
                    name for name in pc.unique(found).to_pylist() if name and name.casefold() != wanted.casefold()
                ]
                bad |= pc.is_in(found, pa.array(others, pa.string())).to_numpy()
        return bad

    def of_columns(self, row: Row) -> list[Finding]:
        """The faults found by ``doubtful``, in words."""
        found: list[Finding] = []
        if self.needs_target and not row.tgt_text:
            found.append(("empty target", "tgt_text must hold a translation, got nothing; add it or remove the row"))
        elif not row.tgt_text and not row.src_text:
            rule = "src_text must hold a transcript where tgt_text holds no translation"
            found.append(("no text", f"{rule}, got nothing in both; add one or remove the row"))
        return found

    def of_languages(self, row: Row) -> list[Finding]:
        """Languages that contradict the config."""
        languages = (
            ("src_lang", row.src_lang, "source_language", self.config.source_language),
            ("tgt_lang", row.tgt_lang, "target_language", self.config.target_language),
        )
        return [
            (
                "language mismatch",
                f"{column} must be {wanted!r} as data.{option} says, got {named!r}; correct either",
            )
            for column, named, option, wanted in languages
            if wanted and named and named.casefold() != wanted.casefold()
        ]

    def of_tokens(self, row: Row) -> list[Finding]:
        """Faults of texts that contain control tokens."""
        return [
            (
                "control token",
                f"{column} must not write {token!r}, which controls the model and belongs into prompts; remove it or "
                "write it otherwise",
            )
            for column, text in (("src_text", row.src_text), ("tgt_text", row.tgt_text))
            for token in (dict.fromkeys(self.tokenizer.control_tokens(text)) if self.tokenizer is not None else ())
        ]

    def of_limits(self, row: Row, seconds: float) -> list[Finding]:
        """Limits of the model that the row exceeds."""
        return [finding for limit in self.limits for finding in limit.findings([row], [seconds])]

    def of_read_row(self, row: Row, seconds: float) -> list[Finding]:
        """Faults that show only once the row's audio (with its duration in seconds) and texts are read."""
        audio = audio_findings(row, seconds, self.config) if self.with_audio and not is_text_row(row.task) else []
        return audio + self.of_tokens(row) + self.of_limits(row, seconds)


def problems_of(row: Row, error: DataError) -> list[Problem]:
    """Turn an error raised by reading the row into a fault."""
    findings = error.findings if isinstance(error, FaultyRowError) else [_finding_of(error)]
    return [Problem(kind, row.id, row.line, message) for kind, message in findings]


def _finding_of(error: DataError) -> Finding:
    return AUDIO_FAULTS.get(type(error), "unreadable"), str(error)


def audio_findings(row: Row, probe: float | DataError | None, config: DataConfig) -> list[Finding]:
    """Faults of a row's audio.

    Args:
        row: The row.
        probe: The seconds that its file holds, or what is wrong with it; None where it was not looked at.
        config: Bounds on the duration.
    """
    if isinstance(probe, TooLongAudioError):
        return duration_findings(probe.seconds, config)
    if isinstance(probe, DataError):
        return [_finding_of(probe)]
    if not row.audio:
        return [_NO_AUDIO]
    if probe is None:
        return duration_findings(row.seconds, config)
    found = duration_findings(probe, config)
    truth = probe * MANIFEST_SAMPLE_RATE
    if abs(row.n_frames - truth) > MAX_MISLABELLING * truth:
        rule = f"n_frames must be within 5 % of the audio's {truth:.0f} samples at {MANIFEST_SAMPLE_RATE} Hz"
        found.append(("mislabelled n_frames", f"{rule}, got {row.n_frames}; correct it"))
    try:
        if row.word_times:
            check_word_times(row.word_times, row.src_text, probe)
    except ValueError as error:
        found.append(("impossible word times", f"{error}; correct word_times or leave it empty"))
    return found


def duration_findings(seconds: float, config: DataConfig) -> list[Finding]:
    """The fault of a recording's duration, if any."""
    if seconds > config.max_seconds:
        rule = f"must last at most {config.max_seconds:g} s"
        return [("too long", f"{rule}, got {seconds:.2f} s; cut it, or raise data.max_seconds")]
    if seconds < config.min_seconds:
        rule = f"must last at least {config.min_seconds:g} s"
        return [("too short", f"{rule}, got {seconds:.2f} s; remove it, or lower data.min_seconds")]
    return []
