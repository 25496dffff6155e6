"""Tasks of rows: a row with speech, transcript and translation can be used for several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aista.errors import shown

__all__ = ["TASKS", "RowTask", "is_text_row", "task_rule", "usual_task"]


@dataclass(frozen=True)
class RowTask:
    """Input and output of a row's task.

    Attributes:
        summary: In a few words.
        needs: Fields of the row that it cannot do without.
        target: The field that is written: ``tgt_text``, or ``src_text`` where the transcript is.
    """

    summary: str
    needs: tuple[str, ...]
    target: str = "tgt_text"


TASKS = {
    "st": RowTask("speech -> translation", ("audio", "tgt_text")),
    "asr": RowTask("speech -> transcript", ("audio", "src_text"), target="src_text"),
    "mt": RowTask("transcript -> translation, without the audio", ("src_text", "tgt_text")),
    "cot": RowTask("speech -> transcript, then translation", ("audio", "src_text", "tgt_text")),
}
"""Name -> task. ``cot``: a chain of thought, whose first part is the transcript."""


def task_rule(text: str) -> str:
    """The rule that a row's task violates; empty if none."""
    return "" if text in ("", *TASKS) else f"task must be one of {', '.join(TASKS)} or empty, got {shown(text)}"


def usual_task(tasks: Sequence[str]) -> str:
    """The task by which runs are compared: speech translation, else the first; empty without tasks."""
    return "st" if "st" in tasks else next(iter(tasks), "")


def is_text_row(task: str) -> bool:
    """Whether rows of a task have only texts; rows without a task have audio."""
    return bool(task) and "audio" not in TASKS[task].needs
