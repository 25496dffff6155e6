"""Every row is checked before training starts; nothing is dropped unless the config says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from aista.data.audio import AudioInfo
from aista.data.audio_file import EmptyAudioError, MissingAudioError, TooLongAudioError, UndecodableAudioError
from aista.data.data_config import DataConfig
from aista.data.file_memory import ProbeCache
from aista.data.manifest import MANIFEST_SAMPLE_RATE, UNMEASURED, Manifest, Row
from aista.data.tokenizers.base import TextTokenizer
from aista.data.word_times import check_word_times
from aista.errors import DataError

__all__ = ["MAX_MISLABELLING", "Inspection", "Limit", "Problem", "duration_findings", "inspect", "text_findings"]

_Probe = AudioInfo | DataError | None
_Finding = tuple[str, str]  # kind, message
MAX_MISLABELLING = 0.05
"""Share by which ``n_frames`` may differ from the truth."""
_AUDIO_FAULTS: dict[type[DataError], str] = {
    MissingAudioError: "missing file",
    UndecodableAudioError: "undecodable",
    EmptyAudioError: "empty audio",
}


@dataclass(frozen=True)
class Limit:
    """Bounds that a model sets, e.g. on the positions that a row takes in the LLM.

    Attributes:
        name: What is measured, in the plural, e.g. ``"LLM positions"``.
        maximum: Largest allowed measure.
        measure: ``(rows, seconds) -> measures``; seconds are the true durations, 0 without audio.
        remedy: What the user can do.
        minimum: Smallest allowed measure.
    """

    name: str
    maximum: int
    measure: Callable[[Sequence[Row], Sequence[float]], Sequence[int]]
    remedy: str
    minimum: int = 0

    def finding(self, measure: int) -> _Finding | None:
        """What is wrong with a row of this measure, if anything."""
        if measure > self.maximum:
            kind, bound = "too many", f"at most {self.maximum}"
        elif measure < self.minimum:
            kind, bound = "too few", f"at least {self.minimum}"
        else:
            return None
        return f"{kind} {self.name}", f"must take {bound} {self.name}, got {measure}; {self.remedy}"


@dataclass(frozen=True)
class Problem:
    """One fault of one row: its kind (``"missing file"``), the row's id and line, and what is wrong."""

    kind: str
    id: str
    line: int
    message: str


@dataclass(frozen=True)
class Inspection:
    """Outcome of ``inspect``.

    Attributes:
        manifest: Path of the manifest.
        kept: Rows without a problem, in the manifest's order; those without ``n_frames`` with what was measured.
        durations: Their true durations in seconds; 0 where audio was not looked at.
        problems: Every problem of every row, in the manifest's order; a row may have several.
        counts: ``rows``, ``kept``, ``bad``, and ``ce_only``: kept rows without a transcript.
        seconds: Audio in the kept rows.
        set_aside: Rows that the task has no use for, by reason.
        unknown_columns: Columns that are not read.
        measured: Rows whose ``n_frames`` the manifest leaves empty.
    """

    manifest: Path
    kept: tuple[Row, ...]
    durations: tuple[float, ...]
    problems: tuple[Problem, ...]
    counts: dict[str, int]
    seconds: float = 0.0
    set_aside: dict[str, int] = field(default_factory=dict)
    unknown_columns: tuple[str, ...] = ()
    measured: int = 0

    def within(self, limits: Sequence[Limit]) -> Inspection:
        """The same, with the kept rows that exceed a model's limits among the problems."""
        measures = [limit.measure(self.kept, self.durations) for limit in limits]
        kept: list[int] = []
        problems = list(self.problems)
        for index, row in enumerate(self.kept):
            findings = [limit.finding(values[index]) for limit, values in zip(limits, measures, strict=True)]
            problems += [Problem(kind, row.id, row.line, message) for kind, message in filter(None, findings)]
            if not any(findings):
                kept.append(index)
        rows, durations = tuple(self.kept[i] for i in kept), tuple(self.durations[i] for i in kept)
        problems.sort(key=lambda problem: problem.line)
        bad = self.counts["bad"] + len(self.kept) - len(kept)
        return replace(
            self,
            kept=rows,
            durations=durations,
            problems=tuple(problems),
            counts=self.counts | {"kept": len(kept), "bad": bad, "ce_only": sum(not row.src_text for row in rows)},
            seconds=sum(row.seconds for row in rows) if self.seconds else 0.0,
        )

    def summary(self, examples: int = 5) -> str:
        """The outcome as text: counts, then each kind of problem with its first ``examples`` rows."""
        counts = self.counts
        lines = [f"{self.manifest}: {counts['rows']} rows, {counts['kept']} good ({self.seconds / 3600:.2f} h)"]
        if counts["ce_only"]:
            lines.append(f"  {counts['ce_only']} of them without transcript: cross-entropy only, no alignment")
        if self.measured:
            lines.append(f"  {self.measured} rows without n_frames: measured")
        lines += [f"  {count} not used by this task: {reason}" for reason, count in self.set_aside.items()]
        if self.unknown_columns:
            lines.append(f"  columns not read: {', '.join(self.unknown_columns)}")
        if self.problems:
            lines.append(f"  {counts['bad']} bad:")
        for kind, number in Counter(problem.kind for problem in self.problems).items():
            of_kind = [problem for problem in self.problems if problem.kind == kind]
            lines.append(f"  {kind}: {number}")
            lines += [f"    {self.manifest}:{p.line}: {p.id}: {p.message}" for p in of_kind[:examples]]
            if number > examples:
                lines.append(f"    ... and {number - examples} more")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything but the kept rows, as plain data."""
        return {
            "manifest": str(self.manifest),
            "counts": dict(self.counts),
            "seconds": round(self.seconds, 3),
            "set_aside": dict(self.set_aside),
            "unknown_columns": list(self.unknown_columns),
            "measured": self.measured,
            "problems": [asdict(problem) for problem in self.problems],
        }

    def require(self, on_bad_rows: Literal["error", "drop"]) -> tuple[Row, ...]:
        """The rows to use.

        Args:
            on_bad_rows: ``"drop"`` leaves bad rows out; ``"error"`` refuses to go on with any.

        Raises:
            DataError: bad rows where none are allowed, or no good row at all.
        """
        if self.problems and on_bad_rows == "error":
            raise DataError(
                f"{self.summary()}\ncorrect or remove these rows, or set data.on_bad_rows: drop to train without them"
            )
        if not self.kept:
            raise DataError(f"{self.summary()}\nno row is left; correct the manifest")
        return self.kept


def inspect(
    manifest: Manifest,
    config: DataConfig,
    *,
    with_audio: bool = True,
    needs_target: bool = True,
    reject: Callable[[Row], str] | None = None,
    tokenizer: TextTokenizer | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Check every row of a manifest.

    Audio is really decoded, to the end. What decoded is recorded beside the manifest
    (``.NAME.decoded.json``), by size and time of the file, so that the next start is fast; in a
    read-only folder nothing is remembered.

    Args:
        manifest: What ``read_manifest`` returned.
        config: Bounds on the duration, and the languages that rows must not contradict.
        with_audio: Rows must have audio; otherwise it is not looked at.
        needs_target: Rows must have a translation; otherwise they must have a transcript or a translation.
        reject: ``row -> reason`` why the task has no use for a row, or "". Such rows are no fault: they
            are set aside before anything is checked, and counted by reason.
        tokenizer: Its control tokens must not stand in the texts; None checks nothing.
        progress: Called with (rows checked, rows) after each row, from the calling thread.
    """
    reasons = [reject(row) if reject is not None else "" for row in manifest.rows]
    rows = [row for row, reason in zip(manifest.rows, reasons, strict=True) if not reason]
    probes: Sequence[_Probe] = [None] * len(rows)
    if with_audio:
        probes = _probe_all(rows, manifest, config.max_seconds, progress)
    kept: list[Row] = []
    durations: list[float] = []
    problems: list[Problem] = []
    for stated, probe in zip(rows, probes, strict=True):
        row = _measured(stated, probe)
        findings = _check_audio(row, probe, config) + text_findings(row, config, needs_target, tokenizer)
        problems += [Problem(kind, row.id, row.line, message) for kind, message in findings]
        if not findings:
            kept.append(row)
            durations.append(probe.seconds if isinstance(probe, AudioInfo) else 0.0)
    counts = {
        "rows": len(manifest.rows),
        "kept": len(kept),
        "bad": len(rows) - len(kept),
        "ce_only": sum(not row.src_text for row in kept),
    }
    return Inspection(
        manifest=manifest.path,
        kept=tuple(kept),
        durations=tuple(durations),
        problems=tuple(problems),
        counts=counts,
        seconds=sum(row.seconds for row in kept) if with_audio else 0.0,
        set_aside=dict(Counter(reason for reason in reasons if reason)),
        unknown_columns=manifest.unknown_columns,
        measured=sum(row.n_frames == UNMEASURED for row in rows) if with_audio else 0,
    )


def _probe_all(
    rows: Sequence[Row], manifest: Manifest, max_seconds: float, progress: Callable[[int, int], None] | None
) -> list[AudioInfo | DataError]:
    cache = ProbeCache(manifest.path, max_seconds)

    def probe(row: Row) -> AudioInfo | DataError:
        try:
            if not row.audio:
                return EmptyAudioError("must name an audio file here, got a text-only row; remove it or add its audio")
            return cache.probe(row.audio)
        except DataError as error:
            return error

    return cache.map(probe, rows, progress)


def _measured(row: Row, probe: _Probe) -> Row:
    """The row with its true length where the manifest names none."""
    if row.n_frames != UNMEASURED or not isinstance(probe, AudioInfo):
        return row
    return replace(row, n_frames=round(probe.seconds * MANIFEST_SAMPLE_RATE))


def duration_findings(seconds: float, config: DataConfig) -> list[_Finding]:
    """What is wrong with a recording's duration, if anything."""
    if seconds > config.max_seconds:
        rule = f"must last at most {config.max_seconds:g} s"
        return [("too long", f"{rule}, got {seconds:.2f} s; cut it, or raise data.max_seconds")]
    if seconds < config.min_seconds:
        rule = f"must last at least {config.min_seconds:g} s"
        return [("too short", f"{rule}, got {seconds:.2f} s; remove it, or lower data.min_seconds")]
    return []


def _check_audio(row: Row, probe: _Probe, config: DataConfig) -> list[_Finding]:
    if probe is None:
        return []
    if isinstance(probe, TooLongAudioError):
        return duration_findings(probe.seconds, config)
    if isinstance(probe, DataError):
        return [(_AUDIO_FAULTS[type(probe)], str(probe))]
    problems = duration_findings(probe.seconds, config)
    truth = probe.seconds * MANIFEST_SAMPLE_RATE
    if abs(row.n_frames - truth) > MAX_MISLABELLING * truth:
        rule = f"n_frames must be within 5 % of the audio's {truth:.0f} samples at {MANIFEST_SAMPLE_RATE} Hz"
        problems.append(("mislabelled n_frames", f"{rule}, got {row.n_frames}; correct it"))
    try:
        if row.word_times:
            check_word_times(row.word_times, row.src_text, probe.seconds)
    except ValueError as error:
        problems.append(("impossible word times", f"{error}; correct word_times or leave it empty"))
    return problems


def text_findings(row: Row, config: DataConfig, needs_target: bool, tokenizer: TextTokenizer | None) -> list[_Finding]:
    """What is wrong with a row's texts and languages; arguments as of ``inspect``."""
    problems: list[_Finding] = []
    if needs_target and not row.tgt_text:
        problems.append(("empty target", "tgt_text must hold a translation, got nothing; add it or remove the row"))
    elif not row.tgt_text and not row.src_text:
        rule = "src_text must hold a transcript where tgt_text holds no translation"
        problems.append(("no text", f"{rule}, got nothing in both; add one or remove the row"))
    for column, text in (("src_text", row.src_text), ("tgt_text", row.tgt_text)):
        for token in dict.fromkeys(tokenizer.control_tokens(text)) if tokenizer is not None else ():
            rule = f"{column} must not write {token!r}, which controls the model"
            problems.append(("control token", f"{rule} and belongs into prompts; remove it or write it otherwise"))
    languages = (
        ("src_lang", row.src_lang, "source_language", config.source_language),
        ("tgt_lang", row.tgt_lang, "target_language", config.target_language),
    )
    for column, named, option, wanted in languages:
        if wanted and named and named.casefold() != wanted.casefold():
            rule = f"{column} must be {wanted!r} as data.{option} says"
            problems.append(("language mismatch", f"{rule}, got {named!r}; correct either"))
    return problems
