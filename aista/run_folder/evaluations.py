"""What an evaluation leaves in a run folder: hypotheses and scores of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aista.run_folder.parsing import existing, parsing, read_object, write_object
from aista.run_folder.paths import RunPaths
from aista.scoring.base import Score
from aista.scoring.hypotheses import HypothesisRow, read_hypotheses, write_hypotheses

__all__ = ["Evaluation"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluated split.

    Attributes:
        label: Name of its folder.
        split: What ``aista evaluate --split`` was given: a split's name, or a manifest's path.
        checkpoint: Name of the checkpoint.
        note: The config's note on the corpus.
        scores: One per metric.
        seconds: Decoding time.
        rows: Hypotheses beside their references.
        shuffled_speech: NLL with the right and with shuffled speech, as plain data; None where not measured.
    """

    label: str
    split: str
    checkpoint: str
    note: str
    scores: tuple[Score, ...]
    seconds: float
    rows: tuple[HypothesisRow, ...]
    shuffled_speech: Mapping[str, Any] | None = None

    def save(self, run: RunPaths) -> None:
        """Write the hypotheses, then the scores."""
        run.hypotheses_file(self.label).parent.mkdir(parents=True, exist_ok=True)
        write_hypotheses(run.hypotheses_file(self.label), list(self.rows))
        record = {
            "checkpoint": self.checkpoint,
            "split": self.split,
            "note": self.note,
            "scores": [asdict(score) for score in self.scores],
            "seconds": self.seconds,
            "num_utterances": len(self.rows),
        } | ({} if self.shuffled_speech is None else {"shuffled_speech": self.shuffled_speech})
        write_object(run.scores_file(self.label), record)

    @classmethod
    def load(cls, run: RunPaths, label: str) -> Evaluation:
        """Read it by the name of its folder."""
        command = f"aista evaluate {run.path} --split {label}"
        file = run.scores_file(label)
        data = read_object(file, command)
        rows = read_hypotheses(existing(run.hypotheses_file(label), command))
        with parsing(file):
            return cls(
                label=label,
                split=str(data.get("split", label)),
                checkpoint=str(data.get("checkpoint", "")),
                note=str(data.get("note", "")),
                scores=tuple(_score(item) for item in data["scores"]),
                seconds=float(data["seconds"]),
                rows=tuple(rows),
                shuffled_speech=data.get("shuffled_speech"),
            )


def _score(item: Mapping[str, Any]) -> Score:
    return Score(item["name"], float(item["value"]), item["signature"], bool(item.get("higher_is_better", True)))
