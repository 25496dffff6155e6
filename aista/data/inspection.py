"""Checks rows before training, as ``data.inspect`` says; bad rows are dropped only if the config says so."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from aista.data.audio_survey import AudioSurvey, survey_audio
from aista.data.data_config import DataConfig
from aista.data.file_memory import audio_headers, decoded_audio
from aista.data.manifest import UNMEASURED, Manifest, Row
from aista.data.manifest_rows import Rows
from aista.data.row_checks import Finding, Limit, Problem, RowChecks, audio_findings
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import DataError

__all__ = ["FULL_ROWS", "SAMPLE_ROWS", "Inspection", "Policy", "choose_policy", "inspect"]

Policy = Literal["full", "headers", "sample", "trust"]

FULL_ROWS = 200_000
"""Maximum number of rows for which ``data.inspect: auto`` is ``full``; above it is ``sample``."""
SAMPLE_ROWS = 10_000
"""Number of rows that ``sample`` examines."""


@dataclass(frozen=True)
class Inspection:
    """Result of ``inspect``.

    Attributes:
        manifest: Path of the manifest.
        kept: Rows without a problem, in the manifest's order; those without ``n_frames`` with what was measured.
        durations: ``[kept]`` true durations in seconds; as the manifest states them where audio was not looked at, 0 in
            text-only rows.
        problems: Every problem of every row, in the manifest's order; a row may have several.
        counts: ``rows``, ``kept``, ``bad``, and ``ce_only``: kept rows without a transcript.
        seconds: Audio in the kept rows.
        set_aside: Rows that the task has no use for, by reason.
        unknown_columns: Columns that are not read.
        measured: Rows whose ``n_frames`` the manifest leaves empty.
        policy: How the rows were examined.
        examined: Rows whose audio and texts were looked at; of the others only what the columns tell.
        checks: Checks to make when a row is read; None where every row was examined.
        task_rows: Task -> kept rows that are for it; empty where rows are not told apart (``aista.data.task_rows``).
    """

    manifest: Path
    kept: Rows
    durations: NDArray[np.float64] = field(compare=False)
    problems: tuple[Problem, ...]
    counts: dict[str, int]
    seconds: float = 0.0
    set_aside: dict[str, int] = field(default_factory=dict)
    unknown_columns: tuple[str, ...] = ()
    measured: int = 0
    policy: Policy = "full"
    examined: int = 0
    checks: RowChecks | None = field(default=None, compare=False)
    task_rows: dict[str, int] = field(default_factory=dict)

    def within(self, limits: Sequence[Limit]) -> Inspection:
        """The same, with kept rows that exceed a model's limits added to the problems, or left to ``checks``."""
        if self.checks is not None:
            return replace(self, checks=replace(self.checks, limits=tuple(limits)))
        return self.without(limits, [limit.measure(self.kept, self.durations.tolist()) for limit in limits])

    def without(self, limits: Sequence[Limit], measures: Sequence[Sequence[int]]) -> Inspection:
        """The same, with kept rows whose ``measures`` (one per row and limit) exceed a limit added to the problems."""
        is_bad = np.zeros(len(self.kept), dtype=np.bool_)
        for limit, values in zip(limits, measures, strict=True):
            is_bad |= (np.asarray(values) > limit.maximum) | (np.asarray(values) < limit.minimum)
        if not is_bad.any():
            return self
        problems = list(self.problems)
        for index in np.flatnonzero(is_bad).tolist():
            found = [limit.finding(values[index]) for limit, values in zip(limits, measures, strict=True)]
            problems += _problems(self.kept[index], [finding for finding in found if finding is not None])
        problems.sort(key=lambda problem: problem.line)
        kept = self.kept.where(~is_bad)
        return replace(
            self,
            kept=kept,
            durations=self.durations[~is_bad],
            problems=tuple(problems),
            counts=self.counts | _counts(kept, self.counts["bad"] + int(is_bad.sum())),
            seconds=float(kept.seconds().sum()) if self.seconds else 0.0,
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
        if self.checks is not None:
            lines.append(
                f"  {self.examined:,} rows examined (inspect: {self.policy}); faults of the others show when they "
                "are read"
            )
        elif self.policy != "full":
            lines.append(f"  of each file the header was read (inspect: {self.policy}), not its end")
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
            "inspect": self.policy,
            "examined": self.examined,
            **({"tasks": dict(self.task_rows)} if self.task_rows else {}),
            "target_languages": self._target_languages(),
            "problems": [asdict(problem) for problem in self.problems],
        }

    def _target_languages(self) -> list[str]:
        translated = pc.not_equal(self.kept.column("task"), "asr")
        return sorted({*pc.unique(self.kept.column("tgt_lang").filter(translated)).to_pylist()} - {""})

    def require(self, on_bad_rows: Literal["error", "drop"]) -> Rows:
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


def choose_policy(config: DataConfig, rows: int, *, training: bool) -> Policy:
    """The inspection mode of a split: that of ``data.inspect`` for training data, else ``full``.

    Scores are of known rows. With ``encoder_cache`` every recording is read before the first step anyway.
    """
    if not training or config.encoder_cache is not None:
        return "full"
    if config.inspect != "auto":
        return config.inspect
    return "full" if rows <= FULL_ROWS else "sample"


def inspect(
    manifest: Manifest,
    config: DataConfig,
    *,
    with_audio: bool = True,
    needs_target: bool = True,
    reject: Callable[[Row], str] | None = None,
    tokenizer: TextTokenizer | None = None,
    policy: Policy = "full",
    progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Check the rows of a manifest.

    What the columns tell (missing texts, languages, stated durations) is checked of every row. Audio files are decoded
    to the end, and texts searched for control tokens, as the policy says:

    - ``full``: all of them;
    - ``headers``: all, but of an audio file the header alone is read;
    - ``sample``: those of ``SAMPLE_ROWS`` rows, the same ones each time;
    - ``trust``: none.

    Files without ``n_frames`` are measured in any case, by their headers where they are not decoded. What was found is
    recorded beside the manifest (``.NAME.decoded.arrow``, ``.NAME.headers.arrow``), by size and time of the file, so
    that the next start is fast; in a read-only folder nothing is remembered.

    Args:
        manifest: The result of ``read_manifest``.
        config: Bounds on the duration, and the languages that rows must not contradict.
        with_audio: Rows must have audio; otherwise it is not looked at.
        needs_target: Rows must have a translation; otherwise they must have a transcript or a translation.
        reject: ``row -> reason`` why the task cannot use a row, or "". Such rows are not faults: they
            are set aside before anything is checked, and counted by reason.
        tokenizer: Its control tokens must not stand in the texts; None checks nothing.
        policy: Extent of the inspection.
        progress: Called with (files looked at, files), from the calling thread.
    """
    rows, set_aside = _without_rejected(manifest.rows, reject)
    checks = RowChecks(config, with_audio=with_audio, needs_target=needs_target, tokenizer=tokenizer)
    examined = _examined(len(rows), policy)
    audio = _look_at_audio(rows, examined, manifest, config, policy, progress) if with_audio else None
    unmeasured = rows.numbers("n_frames") == UNMEASURED
    if audio is not None:
        rows = audio.measured(rows)
    is_doubtful = checks.doubtful(rows) | _writes_control_tokens(rows, examined, tokenizer)
    if audio is not None:
        is_doubtful |= audio.doubtful(rows, config)
    problems: list[Problem] = []
    is_bad = np.zeros(len(rows), dtype=np.bool_)
    for index in np.flatnonzero(is_doubtful).tolist():
        row = rows[index]
        findings = [] if audio is None else audio_findings(row, audio.probe(index), config)
        findings += checks.of_columns(row) + (checks.of_tokens(row) if examined[index] else [])
        findings += checks.of_languages(row)
        problems += _problems(row, findings)
        is_bad[index] = bool(findings)
    kept, is_kept = rows.where(~is_bad), ~is_bad
    seconds = rows.seconds() if audio is None else audio.seconds_of(rows)
    return Inspection(
        manifest=manifest.path,
        kept=kept,
        durations=(seconds if with_audio else np.zeros(len(rows)))[is_kept],
        problems=tuple(problems),
        counts={"rows": len(manifest.rows), **_counts(kept, int(is_bad.sum()))},
        seconds=float(kept.seconds().sum()) if with_audio else 0.0,
        set_aside=set_aside,
        unknown_columns=manifest.unknown_columns,
        measured=int(unmeasured.sum()) if with_audio else 0,
        policy=policy,
        examined=int(examined.sum()),
        checks=None if examined.all() else checks,
    )


def _without_rejected(rows: Rows, reject: Callable[[Row], str] | None) -> tuple[Rows, dict[str, int]]:
    if reject is None:
        return rows, {}
    reasons = [reject(row) for row in rows]
    return rows.where(np.array([not reason for reason in reasons], dtype=np.bool_)), dict(
        Counter(filter(None, reasons))
    )


def _examined(count: int, policy: Policy) -> NDArray[np.bool_]:
    """``[rows]`` whether a row is examined."""
    if policy == "sample" and count > SAMPLE_ROWS:
        chosen = np.zeros(count, dtype=np.bool_)
        chosen[random.Random("inspection").sample(range(count), SAMPLE_ROWS)] = True
        return chosen
    return np.full(count, policy != "trust")


def _look_at_audio(
    rows: Rows,
    examined: NDArray[np.bool_],
    manifest: Manifest,
    config: DataConfig,
    policy: Policy,
    progress: Callable[[int, int], None] | None,
) -> AudioSurvey:
    """Survey the audio of examined rows, by decoding or headers, and lengths of others that state none."""
    unmeasured = ~examined & (rows.numbers("n_frames") == UNMEASURED)
    headers = audio_headers(manifest.path, config.max_seconds)
    if policy == "headers":
        return survey_audio(rows, examined, headers, progress)
    survey = survey_audio(rows, examined, decoded_audio(manifest.path, config.max_seconds), progress)
    if not unmeasured.any():
        return survey
    more = survey_audio(rows, unmeasured, headers, progress)
    seconds = np.where(np.isnan(survey.seconds), more.seconds, survey.seconds)
    return AudioSurvey(seconds, survey.faults | more.faults)


def _writes_control_tokens(
    rows: Rows, examined: NDArray[np.bool_], tokenizer: TextTokenizer | None
) -> NDArray[np.bool_]:
    found = np.zeros(len(rows), dtype=np.bool_)
    if tokenizer is not None and examined.any():
        some = rows.where(examined)
        texts = zip(some.texts("src_text"), some.texts("tgt_text"), strict=True)
        found[examined] = [any(map(tokenizer.control_tokens, pair)) for pair in texts]
    return found


def _counts(kept: Rows, bad: int) -> dict[str, int]:
    return {"kept": len(kept), "bad": bad, "ce_only": int((~kept.is_filled("src_text")).sum())}


def _problems(row: Row, findings: Sequence[Finding]) -> list[Problem]:
    return [Problem(kind, row.id, row.line, message) for kind, message in findings]
