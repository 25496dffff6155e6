"""Reads a run folder: what training, probing and evaluation left there.

Layout: ``config.yaml``, ``environment.json``, ``data.json``, ``timing.json``, ``selection.json``,
``metrics/{train,valid}.jsonl``, ``probe/NAME.json``, ``probe/NAME_plan.json``,
``evaluation/SPLIT/{hypotheses.tsv,scores.json}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aista.errors import RunError
from aista.records import read_records
from aista.scoring.base import Score
from aista.scoring.hypotheses import HypothesisRow, read_hypotheses
from aista.selection.curve import ProbeCurve

__all__ = ["Evaluation", "Plan", "Probe", "RunFolder", "Selection"]

PLAN_SUFFIX = "_plan"


@dataclass(frozen=True)
class Selection:
    """The layers that a run aligned from a step on, from ``selection.json``.

    Attributes:
        step: Steps trained before the choice.
        strategy: Name of the layer selection.
        layers: Ascending.
        weights: One per layer.
        reason: One line.
        curve: None where nothing was probed.
    """

    step: int
    strategy: str
    layers: tuple[int, ...]
    weights: tuple[float, ...]
    reason: str
    curve: ProbeCurve | None


@dataclass(frozen=True)
class Probe:
    """One probe of a checkpoint, from ``probe/NAME.json``."""

    name: str
    checkpoint: str
    step: int
    split: str
    curve: ProbeCurve


@dataclass(frozen=True)
class Plan:
    """One utterance's transport plan, from ``probe/NAME_plan.json``.

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


@dataclass(frozen=True)
class Evaluation:
    """One evaluated split, from ``evaluation/SPLIT``."""

    split: str
    scores: tuple[Score, ...]
    seconds: float
    num_utterances: int
    rows: tuple[HypothesisRow, ...]


class RunFolder:
    """A run folder; each method reads one part of it.

    Every method raises RunError where the part is missing (naming the command that makes it) or
    malformed (naming the file).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise RunError(f"{self.path}: no such run folder; `aista train {self.path} --config FILE` makes it")
        self._find("config.yaml", f"aista train {self.path} --config FILE")

    def config_text(self) -> str:
        """The resolved config as YAML."""
        return (self.path / "config.yaml").read_text(encoding="utf-8")

    def config(self) -> dict[str, Any]:
        """The resolved config as plain data."""
        try:
            data = yaml.safe_load(self.config_text())
        except yaml.YAMLError as error:
            raise RunError(f"{self.path / 'config.yaml'}: not YAML ({error})") from error
        return _mapping(data, self.path / "config.yaml")

    def environment(self) -> dict[str, Any]:
        """Versions, commit and device."""
        return self._json("environment.json", self._train)

    def timing(self) -> dict[str, Any]:
        """Seconds spent, e.g. ``train_seconds``."""
        return self._json("timing.json", self._train)

    @property
    def is_complete(self) -> bool:
        """Whether training came to its end, which is when it writes its timing."""
        return (self.path / "timing.json").is_file()

    def data_facts(self) -> dict[str, str]:
        """What ``data.json`` says about each split's manifests: path, rows, hours, checksum."""
        facts: dict[str, str] = {}
        source = self.path / "data.json"
        with _Complaint(str(source)):
            for split, manifests in self._json("data.json", self._train).items():
                for number, (manifest, found) in enumerate(manifests.items()):
                    name = f"{split}[{number}]" if number else split
                    facts[f"{name} manifest"] = str(manifest)
                    facts |= {f"{name} rows, {what}": str(count) for what, count in found["counts"].items()}
                    facts[f"{name} hours"] = f"{float(found['seconds']) / 3600:.2f}"
                    facts[f"{name} SHA-256"] = str(found.get("sha256", "not recorded"))
        return facts

    def metrics(self, split: str) -> list[dict[str, float]]:
        """Metrics per step, ascending; ``split`` is ``train`` or ``valid``."""
        return read_records(self._find(f"metrics/{split}.jsonl", self._train))

    def selection(self) -> Selection | None:
        """The layers aligned in the end; None where the run aligned none."""
        selections = self.selections()
        return selections[-1] if selections else None

    def selections(self) -> list[Selection]:
        """Every choice of layers, oldest first: several where the run chose again while training."""
        if not (self.path / "selection.json").exists():
            return []
        data = self._json("selection.json", self._train)
        source = str(self.path / "selection.json")
        with _Complaint(source):
            return [_selection({**data, **choice}, source) for choice in data.get("choices", [data])]

    def probe_names(self) -> list[str]:
        """Names of the probes in the folder, sorted."""
        names = [path.stem for path in (self.path / "probe").glob("*.json")]
        return sorted(name for name in names if not name.endswith(PLAN_SUFFIX))

    def probe(self, name: str) -> Probe:
        """One probe by its name."""
        data = self._json(f"probe/{name}.json", f"aista probe {self.path}")
        source = str(self.path / f"probe/{name}.json")
        with _Complaint(source):
            curve = ProbeCurve.from_json(data["curve"], source=source)
            return Probe(name, str(data["checkpoint"]), int(data["step"]), str(data["split"]), curve)

    def latest_probe(self) -> Probe | None:
        """The probe of the latest step, of several the last by name; None where there is none."""
        probes = [self.probe(name) for name in self.probe_names()]
        return max(probes, key=lambda probe: (probe.step, probe.name)) if probes else None

    def plan_names(self) -> list[str]:
        """Names of the probes that left a transport plan, sorted."""
        found = (self.path / "probe").glob(f"*{PLAN_SUFFIX}.json")
        return sorted(path.stem.removesuffix(PLAN_SUFFIX) for path in found)

    def plan(self, name: str) -> Plan:
        """The transport plan of a probe."""
        data = self._json(f"probe/{name}{PLAN_SUFFIX}.json", f"aista probe {self.path}")
        source = self.path / f"probe/{name}{PLAN_SUFFIX}.json"
        with _Complaint(str(source)):
            seconds = data.get("seconds_per_position")
            plan = Plan(
                name=name,
                id=str(data["id"]),
                layer=int(data["layer"]),
                tokens=tuple(str(token) for token in data["tokens"]),
                plan=tuple(tuple(float(mass) for mass in row) for row in data["plan"]),
                seconds_per_position=None if seconds is None else float(seconds),
            )
        if not plan.tokens or not plan.plan or any(len(row) != len(plan.tokens) for row in plan.plan):
            raise RunError(
                f"{source}: the plan must have one row per speech position and {len(plan.tokens)} columns, "
                f"one per token, at least one of each; probe again"
            )
        return plan

    def evaluations(self) -> list[str]:
        """The evaluated splits, sorted."""
        return sorted(path.parent.name for path in (self.path / "evaluation").glob("*/scores.json"))

    def evaluation(self, split: str) -> Evaluation:
        """Hypotheses and scores of an evaluated split."""
        command = f"aista evaluate {self.path} --split {split}"
        folder = f"evaluation/{split}"
        data = self._json(f"{folder}/scores.json", command)
        rows = read_hypotheses(self._find(f"{folder}/hypotheses.tsv", command))
        with _Complaint(str(self.path / folder / "scores.json")):
            scores = tuple(
                Score(item["name"], float(item["value"]), item["signature"], bool(item.get("higher_is_better", True)))
                for item in data["scores"]
            )
            return Evaluation(split, scores, float(data["seconds"]), int(data["num_utterances"]), tuple(rows))

    def evaluated_split(self, split: str) -> str:
        """What ``aista evaluate --split`` was given, a split's name or a manifest's path."""
        data = self._json(f"evaluation/{split}/scores.json", f"aista evaluate {self.path} --split {split}")
        return str(data.get("split", split))

    @property
    def _train(self) -> str:
        return f"aista train {self.path}"

    def _find(self, part: str, command: str) -> Path:
        path = self.path / part
        if not path.is_file():
            raise RunError(f"{path}: missing; `{command}` makes it")
        return path

    def _json(self, part: str, command: str) -> dict[str, Any]:
        path = self._find(part, command)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{path}: not JSON ({error}); `{command}` makes it anew") from error
        return _mapping(data, path)


def _selection(data: Mapping[str, Any], source: str) -> Selection:
    return Selection(
        curve=ProbeCurve.from_json(data["curve"], source=source) if data.get("curve") is not None else None,
        step=int(data["step"]),
        strategy=str(data["strategy"]),
        layers=tuple(int(layer) for layer in data["layers"]),
        weights=tuple(float(weight) for weight in data["weights"]),
        reason=str(data["reason"]),
    )


def _mapping(data: Any, path: Path) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise RunError(f"{path}: expects a mapping, got {type(data).__name__}")
    return data


class _Complaint:
    """Turns a missing or mistyped key into a RunError that names the file."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (KeyError, TypeError, ValueError)):
            raise RunError(f"{self.source}: incomplete or malformed ({type(error).__name__}: {error})") from error
