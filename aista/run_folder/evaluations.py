"""Evaluations in a run folder: hypotheses and scores of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aista.errors import RunError
from aista.files import hash_file
from aista.run_folder.checksums import require_intact
from aista.run_folder.parsing import existing, parsing, read_object, write_object
from aista.run_folder.paths import RunPaths
from aista.run_folder.sources import Source
from aista.scoring.base import Score
from aista.scoring.candidates import Candidate, read_candidates, write_candidates
from aista.scoring.hypotheses import HypothesisRow, read_hypotheses, write_hypotheses
from aista.scoring.length_sweep import LengthSweep

__all__ = ["Evaluation", "is_scored"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluated split.

    Attributes:
        label: Name of its folder.
        source: The checkpoint and the translated manifest.
        note: The config's note on the corpus.
        scores: One per metric.
        seconds: Decoding time.
        rows: Hypotheses beside their references.
        shuffled_speech: NLL with the right and with shuffled speech, as plain data; None where not measured.
        directions: ``en-fr`` -> scores, where rows have several target languages; ``scores`` are then their means.
        guarded_rows: Rows whose search ``no_repeat_ngram`` changed; None where it was off.
        length_sweep: Scores under other length penalties; None where not asked for.
        n_best: Row -> n-best list of its search, best first; empty where not asked for.
    """

    label: str
    source: Source
    note: str
    scores: tuple[Score, ...]
    seconds: float
    rows: tuple[HypothesisRow, ...]
    shuffled_speech: Mapping[str, Any] | None = None
    directions: Mapping[str, tuple[Score, ...]] = field(default_factory=dict)
    guarded_rows: int | None = None
    length_sweep: LengthSweep | None = None
    n_best: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)

    def save(self, run: RunPaths) -> None:
        """Write the hypotheses, then the scores; old scores never lie beside new hypotheses, even if interrupted."""
        run.scores_file(self.label).unlink(missing_ok=True)
        run.n_best_file(self.label).unlink(missing_ok=True)
        write_hypotheses(run.hypotheses_file(self.label), list(self.rows))
        if self.n_best:
            write_candidates(run.n_best_file(self.label), self.n_best)
        record = (
            self.source.to_json()
            | {
                "note": self.note,
                "scores": [asdict(score) for score in self.scores],
                "seconds": self.seconds,
                "num_utterances": len(self.rows),
                "hypotheses_sha256": hash_file(run.hypotheses_file(self.label)),
            }
            | ({"directions": _directions_to_json(self.directions)} if self.directions else {})
            | ({} if self.shuffled_speech is None else {"shuffled_speech": self.shuffled_speech})
            | ({} if self.guarded_rows is None else {"guarded_rows": self.guarded_rows})
            | ({} if self.length_sweep is None else {"length_sweep": self.length_sweep.to_json()})
            | ({"n_best_sha256": hash_file(run.n_best_file(self.label))} if self.n_best else {})
        )
        write_object(run.scores_file(self.label), record)

    @classmethod
    def load(cls, run: RunPaths, split: str) -> Evaluation:
        """Read an evaluation by the name of its folder, or by the value of ``--split``."""
        label = run.evaluated_label(split)
        command = run.evaluate_command(split)
        file, evaluated = run.scores_file(label), run.evaluated_splits()
        if evaluated and label not in evaluated:
            raise RunError(
                f"{file}: missing; evaluations of this run: {', '.join(evaluated)}; name one of them, or `{command}` "
                "makes it"
            )
        data = read_object(file, command)
        hypotheses = existing(run.hypotheses_file(label), command)
        if "hypotheses_sha256" in data:
            require_intact(hypotheses, str(data["hypotheses_sha256"]), f"restore it, or repeat `{command}`")
        rows = read_hypotheses(hypotheses)
        n_best = _n_best(run.n_best_file(label), str(data["n_best_sha256"]), command) if "n_best_sha256" in data else {}
        with parsing(file):
            return cls(
                label=label,
                source=Source.of({"split": label} | data),
                note=str(data.get("note", "")),
                scores=tuple(_score(item) for item in data["scores"]),
                seconds=float(data["seconds"]),
                rows=tuple(rows),
                shuffled_speech=data.get("shuffled_speech"),
                directions={
                    name: tuple(_score(item) for item in items) for name, items in data.get("directions", {}).items()
                },
                guarded_rows=data.get("guarded_rows"),
                length_sweep=LengthSweep.of(data["length_sweep"]) if "length_sweep" in data else None,
                n_best=n_best,
            )


def _directions_to_json(directions: Mapping[str, tuple[Score, ...]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(score) for score in scores] for name, scores in directions.items()}


def is_scored(run: RunPaths, label: str, *, shuffled_speech: bool = False) -> bool:
    """Whether there are scores with this label, and the NLL of shuffled speech if asked for."""
    if not run.scores_file(label).is_file():
        return False
    return not shuffled_speech or Evaluation.load(run, label).shuffled_speech is not None


def _n_best(file: Path, sha256: str, command: str) -> dict[str, tuple[Candidate, ...]]:
    command = f"{command} --n-best N"
    require_intact(existing(file, command), sha256, f"restore it, or repeat `{command}`")
    return read_candidates(file)


def _score(item: Mapping[str, Any]) -> Score:
    gold = item.get("references")
    return Score(
        item["name"],
        float(item["value"]),
        item["signature"],
        bool(item.get("higher_is_better", True)),
        None if gold is None else float(gold),
    )
