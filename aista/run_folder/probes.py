"""Probes in a run folder: a curve over the layers, and one utterance's transport plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aista.errors import RunError
from aista.run_folder.parsing import parsing, read_object, write_object
from aista.run_folder.paths import RunPaths
from aista.run_folder.sources import Source
from aista.selection.curve import ProbeCurve

__all__ = ["Masses", "Plan", "Probe"]

Masses = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Probe:
    """One probe of a checkpoint."""

    name: str
    source: Source
    step: int
    curve: ProbeCurve

    def save(self, run: RunPaths) -> None:
        """Write it under its name."""
        record = self.source.to_json() | {"step": self.step, "curve": self.curve.to_json()}
        write_object(run.probe_file(self.name), record)

    @classmethod
    def load(cls, run: RunPaths, name: str) -> Probe:
        """Read it by its name."""
        file = run.probe_file(name)
        data = read_object(file, f"aista probe {run.path}")
        with parsing(file):
            curve = ProbeCurve.from_json(data["curve"], source=str(file))
            return cls(name, Source.of(data), int(data["step"]), curve)


@dataclass(frozen=True)
class Plan:
    """One utterance's transport plans at some layers of a checkpoint.

    Attributes:
        id: The utterance.
        tokens: T transcript tokens as text.
        seconds_per_position: Seconds of audio per position; None if unknown.
        shown: The layer to show first.
        layers: Layer -> P rows (speech positions) of T masses.
    """

    id: str
    tokens: tuple[str, ...]
    seconds_per_position: float | None
    shown: int
    layers: Mapping[int, Masses]

    def save(self, run: RunPaths, name: str) -> None:
        """Write the plan at the layer ``shown`` under a probe's name."""
        record = {
            "id": self.id,
            "tokens": self.tokens,
            "seconds_per_position": self.seconds_per_position,
            "layer": self.shown,
            "plan": self.layers[self.shown],
        }
        write_object(run.plan_file(name), record)

    @classmethod
    def load(cls, run: RunPaths, name: str) -> Plan:
        """Read it by the probe's name."""
        file = run.plan_file(name)
        data = read_object(file, f"aista probe {run.path}")
        with parsing(file):
            seconds, layer = data.get("seconds_per_position"), int(data["layer"])
            masses = tuple(tuple(float(mass) for mass in row) for row in data["plan"])
            plan = cls(
                id=str(data["id"]),
                tokens=tuple(str(token) for token in data["tokens"]),
                seconds_per_position=None if seconds is None else float(seconds),
                shown=layer,
                layers={layer: masses},
            )
        if not plan.tokens or not masses or any(len(row) != len(plan.tokens) for row in masses):
            raise RunError(
                f"{file}: the plan must have one row per speech position and {len(plan.tokens)} columns, "
                f"one per token, at least one of each; probe again"
            )
        return plan
