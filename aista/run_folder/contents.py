"""Reads the results of training, probing and evaluation in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aista import strict_yaml
from aista.errors import ConfigError, RunError
from aista.run_folder.evaluations import Evaluation
from aista.run_folder.layer_choices import LayerChoice, read_choices
from aista.run_folder.metric_records import read_records
from aista.run_folder.parsing import existing, parsing, read_object, require_mapping, require_unedited
from aista.run_folder.paths import RunPaths
from aista.run_folder.probes import Plan, Probe

__all__ = ["RunFolder"]


class RunFolder:
    """A run folder; each method reads one part of it.

    Every method raises RunError where the part is missing (naming the command that makes it) or
    malformed (naming the file).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.paths = RunPaths(self.path)
        if not self.path.is_dir():
            raise RunError(f"{self.path}: no such run folder; `aista train {self.path} --config FILE` makes it")
        require_unedited(existing(self.paths.config_file, f"aista train {self.path} --config FILE"))

    def config_text(self) -> str:
        """The resolved config as YAML."""
        file = self.paths.config_file
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RunError(f"{file}: is not UTF-8 ({error}); restore it") from error

    def config(self) -> dict[str, Any]:
        """The resolved config as plain data."""
        file = self.paths.config_file
        try:
            data = strict_yaml.parse(self.config_text(), str(file))
        except ConfigError as error:
            raise RunError("; ".join(map(str, error.faults))) from error
        return require_mapping(data, file)

    def row_tasks(self) -> tuple[str, ...]:
        """The tasks of its rows (``data.tasks``); empty where all rows have the same."""
        data = self.config().get("data")
        tasks = data.get("tasks") if isinstance(data, dict) else None
        return tuple(map(str, tasks)) if isinstance(tasks, list) else ()

    def environment(self) -> dict[str, Any]:
        """Versions, commit and device."""
        return read_object(self.paths.environment_file, self._train)

    def timing(self) -> dict[str, Any]:
        """Seconds spent, e.g. ``train_seconds``."""
        return read_object(self.paths.timing_file, self._train)

    def data_facts(self) -> dict[str, str]:
        """Facts about each split's manifests from the inspection: path, rows, hours, checksum."""
        facts: dict[str, str] = {}
        file = self.paths.data_file
        with parsing(file):
            for split, manifests in read_object(file, self._train).items():
                for number, (manifest, inspection) in enumerate(manifests.items()):
                    name = f"{split}[{number}]" if number else split
                    if "shards" in inspection:
                        shown = {"stream": manifest, **inspection}
                        facts |= {f"{name} {what}": str(value) for what, value in shown.items()}
                        continue
                    facts[f"{name} manifest"] = str(manifest)
                    facts |= {f"{name} rows, {what}": str(count) for what, count in inspection["counts"].items()}
                    facts[f"{name} hours"] = f"{float(inspection['seconds']) / 3600:.2f}"
                    facts[f"{name} SHA-256"] = str(inspection.get("sha256", "not recorded"))
        return facts

    def target_languages(self) -> tuple[str, ...]:
        """Target languages in the training set; empty where rows have none, or an earlier aista kept no record."""
        file = self.paths.data_file
        data = read_object(file, self._train) if file.is_file() else {}
        with parsing(file):
            inspections = data.get("train", {}).values()
            return tuple(sorted({str(code) for one in inspections for code in one.get("target_languages", ())}))

    def metrics(self, split: str) -> list[dict[str, float]]:
        """Metrics per step, ascending; ``split`` is ``train`` or ``valid``."""
        file = existing(self.paths.metrics_file(split), self._train)
        records = read_records(file)
        if self.paths.is_complete:
            written = self.timing().get("records", {}).get(split, len(records))
            if len(records) != written:
                raise RunError(f"{file}: holds {len(records)} of the {written} steps that were recorded; restore it")
        return records

    def selection(self) -> LayerChoice | None:
        """The last choice of layers; None where the run aligned none."""
        selections = self.selections()
        return selections[-1] if selections else None

    def selections(self) -> list[LayerChoice]:
        """Every choice of layers, oldest first; empty where the run aligned none."""
        file = self.paths.selection_file
        choices = read_choices(file) if file.exists() else []
        if self.paths.is_complete and len(choices) != self.timing().get("selections", len(choices)):
            raise RunError(f"{file}: holds {len(choices)} of the choices of layers that training recorded; restore it")
        return choices

    def probe(self, name: str) -> Probe:
        """One probe by its name."""
        return Probe.load(self.paths, name)

    def latest_probe(self) -> Probe | None:
        """The probe of the latest step (of several, the last by name); None where there is none."""
        probes = [self.probe(name) for name in self.paths.probe_names()]
        return max(probes, key=lambda probe: (probe.step, probe.name)) if probes else None

    def plan(self, name: str) -> Plan:
        """The transport plan of a probe."""
        return Plan.load(self.paths, name)

    def plans(self) -> list[Plan]:
        """The transport plans of all probes, by the probe's name."""
        return [self.plan(name) for name in self.paths.plan_names()]

    def is_evaluated(self, split: str) -> bool:
        """Whether there is an evaluation of a split."""
        return self.paths.evaluated_label(split) in self.paths.evaluated_splits()

    def evaluation(self, split: str) -> Evaluation:
        """Hypotheses and scores of an evaluated split."""
        return Evaluation.load(self.paths, split)

    @property
    def _train(self) -> str:
        """The command that makes missing files; empty where training is complete."""
        return "" if self.paths.is_complete else f"aista train {self.path}"
