"""What a probe leaves in a run folder: a curve over the layers, and one utterance's transport plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aista.errors import RunError
from aista.files import write_json
from aista.run_folder.parsing import parsing, read_object
from aista.run_folder.paths import RunPaths
from aista.selection.curve import ProbeCurve

__all__ = ["Plan", "Probe"]


@dataclass(frozen=True)
class Probe:
    """One probe of a checkpoint."""

    name: str
    checkpoint: str
    step: int
    split: str
    curve: ProbeCurve

    def save(self, run: RunPaths) -> None:
        """Write it under its name."""
        record = {"checkpoint": self.checkpoint, "step": self.step, "split": self.split, "curve": self.curve.to_json()}
        write_json(run.probe_file(self.name), record)

    @classmethod
    def load(cls, run: RunPaths, name: str) -> Probe:
        """Read it by its name."""
        file = run.probe_file(name)
        data = read_object(file, f"aista probe {run.path}")
        with parsing(file):
            curve = ProbeCurve.from_json(data["curve"], source=str(file))
            return cls(name, str(data["checkpoint"]), int(data["step"]), str(data["split"]), curve)


@dataclass(frozen=True)
class Plan:
    """One utterance's transport plan.

    Attributes:
        name: The probe's name.
        id: The utterance.
        layer: The layer whose states were aligned.
        tokens: T transcript tokens as text.
        plan: P rows (speech positions) of T masses.
        seconds_per_position: Audio seconds that one position covers; None if unknown.
    """

    name: str
    id: str
    layer: int
    tokens: tuple[str, ...]
    plan: tuple[tuple[float, ...], ...]
    seconds_per_position: float | None

    def save(self, run: RunPaths) -> None:
        """Write it under the probe's name."""
        record = {
            "id": self.id,
            "tokens": list(self.tokens),
            "seconds_per_position": self.seconds_per_position,
            "layer": self.layer,
            "plan": [list(row) for row in self.plan],
        }
        write_json(run.plan_file(self.name), record)

    @classmethod
    def load(cls, run: RunPaths, name: str) -> Plan:
        """Read it by the probe's name."""
        file = run.plan_file(name)
        data = read_object(file, f"aista probe {run.path}")
        with parsing(file):
            plan = cls.from_record(name, data, layer=int(data["layer"]), rows=data["plan"])
        if not plan.tokens or not plan.plan or any(len(row) != len(plan.tokens) for row in plan.plan):
            raise RunError(
                f"{file}: the plan must have one row per speech position and {len(plan.tokens)} columns, "
                f"one per token, at least one of each; probe again"
            )
        return plan

    @classmethod
    def from_record(cls, name: str, data: Mapping[str, Any], *, layer: int, rows: Any) -> Plan:
        """From the plain data about an utterance, and its plan at a layer."""
        seconds = data.get("seconds_per_position")
        return cls(
            name=name,
            id=str(data["id"]),
            layer=layer,
            tokens=tuple(str(token) for token in data["tokens"]),
            plan=tuple(tuple(float(mass) for mass in row) for row in rows),
            seconds_per_position=None if seconds is None else float(seconds),
        )
