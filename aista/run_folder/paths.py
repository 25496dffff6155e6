"""The layout of a run folder: the only module that defines the names of its files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aista.data.row_tasks import usual_task
from aista.errors import RunError
from aista.run_folder.parsing import read_object
from aista.run_folder.run_names import ablation_name

__all__ = [
    "SPLITS",
    "RunPaths",
    "cascade_label",
    "checkpoint_name",
    "row_task_label",
    "runs_below",
    "searched_label",
    "split_label",
    "step_of",
    "task_label",
    "task_of",
    "transcript_label",
    "transcript_part_label",
]

SPLITS = ("train", "dev", "test")

CONFIG = "config.yaml"
PRETRAINING = "pretraining"
STEP = "step_"
PLAN = "_plan"
TRANSCRIPT = "_transcript"
CASCADE = "_cascade-"
SEARCH = "+"
_PART = "part="
_TASK = "task="
CHECKSUMS = "checksums.json"  # in the folder of a checkpoint


def checkpoint_name(step: int) -> str:
    """Name of the checkpoint of a step."""
    return f"{STEP}{step}"


def step_of(checkpoint: str) -> int:
    """The step in a checkpoint's name; 0 for other names."""
    number = checkpoint.removeprefix(STEP)
    return int(number) if number.isdigit() else 0


def split_label(split: str) -> str:
    """Label of results on a split: train, dev, test, or ``STEM-HASH`` of a manifest's resolved path."""
    if split in SPLITS:
        return split
    path = os.path.realpath(split)
    return f"{Path(path).stem[:48]}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def transcript_label(split: str) -> str:
    """Label of results of translating a split's transcripts; ``split`` is the split's label."""
    return f"{split}{TRANSCRIPT}"


def task_label(split: str, task: str) -> str:
    """Label of results on a split for another task than the run's first."""
    return searched_label(split, {"task": task})


def row_task_label(label: str, task: str, tasks: Sequence[str]) -> str:
    """The label of the same results for another task of a run.

    Args:
        label: A label for any task.
        task: Task of the rows; a task that the run lacks stands for its default task.
        tasks: Tasks that the run was trained on, the first of which is not marked; empty for a single task.
    """
    base, *options = [part for part in label.split(SEARCH) if not part.startswith(_TASK)]
    task = task if task in tasks else usual_task(tasks)
    marked = [f"{_TASK}{task}"] if task in tasks[1:] else []
    return SEARCH.join([base, *marked, *options])


def task_of(label: str) -> str:
    """The task in a label; empty for the run's first task."""
    options = label.split(SEARCH)[1:]
    if f"{_PART}transcript" in options:
        return "asr"
    return next((option.removeprefix(_TASK) for option in options if option.startswith(_TASK)), "")


def transcript_part_label(label: str) -> str:
    """Label of the transcripts in results that also have translations."""
    return f"{label}{SEARCH}{_PART}transcript"


def cascade_label(split: str, file: Path, sha256: str) -> str:
    """Label of results of a cascade, from the recognised transcripts of a file with this checksum."""
    return f"{split}{CASCADE}{file.stem[:48]}-{sha256[:8]}"


def searched_label(split: str, search: Mapping[str, object]) -> str:
    """Label of results on a split with search options other than the run's.

    ``search`` holds the differing options; ``split`` is the rest of the label. A component has a ``label``.
    """
    values = {name: "none" if value is None else getattr(value, "label", value) for name, value in search.items()}
    return "".join([split, *(f"{SEARCH}{name}={value}" for name, value in values.items())])


def _given(value: str) -> str:
    """The command-line form of a value in a label, where a hash stands for options of a component."""
    return re.sub(r"^(\w+)-[0-9a-f]{8}$", r"'{name: \1, ...}'", value)


def runs_below(path: Path) -> list[Path]:
    """Run folders below a folder that are not inside another one, without pretraining stages; sorted."""
    folders = [file.parent for file in path.glob(f"**/{CONFIG}")]
    outer = [folder for folder in folders if not any(other in folder.parents for other in folders)]
    return sorted(folder for folder in outer if PRETRAINING not in folder.relative_to(path).parts)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """As ``folder.glob``, but a folder that cannot be read is an OSError, not an empty one."""
    return [path for path in folder.iterdir() if path.match(pattern)] if folder.is_dir() else []


class _Part:
    """Descriptor: the path of the file or folder of this name in a run folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: RunPaths, owner: type[RunPaths]) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class RunPaths:
    """Paths of the files of a run folder, whether they exist or not; docs/run_folder.md describes their contents."""

    path: Path

    config_file = _Part(CONFIG)
    environment_file = _Part("environment.json")
    data_file = _Part("data.json")
    parameters_file = _Part("parameters.json")
    selection_file = _Part("selection.json")
    timing_file = _Part("timing.json")
    failure_file = _Part("failure.json")
    tracking_file = _Part("tracking.json")
    tracking_dir = _Part("tracking")
    assets_dir = _Part("assets")
    assets_file = _Part("assets/assets.json")
    checkpoints_dir = _Part("checkpoints")
    scores_dir = _Part("checkpoints/scores")
    evaluation_dir = _Part("evaluation")
    metrics_dir = _Part("metrics")
    probe_dir = _Part("probe")
    engine_dir = _Part("engine")
    engine_logs_dir = _Part("engine/logs")
    training_lock = _Part(".training.lock")

    @property
    def title(self) -> str:
        """Name of the run's folder; of a pretraining stage, ``RUN/STAGE``; of an ablation's run, its row and seed."""
        if name := ablation_name(self.path):
            return name
        *_, run, between, name = ("", "", "", *self.path.resolve().parts)
        return f"{run}/{name}" if between == PRETRAINING else name

    @property
    def is_run(self) -> bool:
        """Whether the folder is a run folder."""
        return self.config_file.is_file()

    @property
    def is_complete(self) -> bool:
        """Whether training has finished, judged by its timing file, which it writes at the end."""
        try:
            read_object(self.timing_file, "aista train")
        except RunError:
            return False
        return True

    def stage(self, name: str) -> RunPaths:
        """The run folder of a pretraining stage."""
        return RunPaths(self.path / PRETRAINING / name)

    def metrics_file(self, split: str) -> Path:
        """Metrics per step of ``train`` or ``valid``."""
        return self.metrics_dir / f"{split}.jsonl"

    @property
    def has_checkpoints(self) -> bool:
        """Whether any step was saved, even in part."""
        return any(_matching(self.checkpoints_dir, f"{STEP}*"))

    @property
    def is_untrained(self) -> bool:
        """Whether neither training nor a pretraining stage has recorded a step."""
        return not (self.has_checkpoints or self.metrics_file("train").is_file() or (self.path / PRETRAINING).is_dir())

    def checkpoint_steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending. Raises RunError where there is a file in place of a folder."""
        folders = {path.name.removeprefix(STEP): path for path in _matching(self.checkpoints_dir, f"{STEP}*")}
        steps = {int(number): path for number, path in folders.items() if number.isdigit()}
        for path in steps.values():
            if not path.is_dir():
                raise RunError(
                    f"{path}: a checkpoint is a folder, this is a file; restore it from a copy, or remove it"
                )
        return sorted(steps)

    def checkpoint_dir(self, step: int) -> Path:
        """The checkpoint of a step."""
        return self.checkpoints_dir / checkpoint_name(step)

    def scored_steps(self) -> list[int]:
        """Steps that have a validation score, ascending."""
        numbers = [path.stem.removeprefix(STEP) for path in _matching(self.scores_dir, f"{STEP}*.txt")]
        return sorted(int(number) for number in numbers if number.isdigit())

    def half_written_checkpoints(self) -> list[Path]:
        """Folders of checkpoints that are being written, or were when training was killed."""
        folders = _matching(self.checkpoints_dir, f"{STEP}*.tmp")
        return sorted(path for path in folders if path.stem.removeprefix(STEP).isdigit())

    def checkpoint_score_file(self, step: int) -> Path:
        """The validation score of a checkpoint."""
        return self.scores_dir / f"{checkpoint_name(step)}.txt"

    def hypotheses_file(self, split: str) -> Path:
        """Translations of an evaluated split."""
        return self.evaluation_dir / split / "hypotheses.tsv"

    def n_best_file(self, split: str) -> Path:
        """N-best lists of an evaluated split."""
        return self.evaluation_dir / split / "n_best.jsonl"

    def scores_file(self, split: str) -> Path:
        """Scores of an evaluated split."""
        return self.evaluation_dir / split / "scores.json"

    def evaluation_lock(self, split: str) -> Path:
        """Locked by the process that evaluates a split."""
        return self.evaluation_dir / f".{split}.lock"

    def probe_lock(self, name: str) -> Path:
        """Locked by the process that makes a probe."""
        return self.probe_dir / f".{name}.lock"

    def evaluate_command(self, split: str) -> str:
        """The command that evaluates a split, named by a label or as ``--split`` takes it."""
        split, *search = split.split(SEARCH)
        base, *cascade = split.split(CASCADE)
        option = " --transcripts FILE" if cascade else " --from-transcript" * base.endswith(TRANSCRIPT)
        pairs = [option.partition("=") for option in search if not option.startswith(_PART)]
        flags = [f" --{name.replace('_', '-')} {_given(value)}" for name, _, value in pairs]
        return "".join([f"aista evaluate {self.path} --split {base.removesuffix(TRANSCRIPT)}{option}", *flags])

    def evaluated_splits(self) -> list[str]:
        """Splits that have scores, sorted."""
        return sorted(
            path.name for path in _matching(self.evaluation_dir, "*") if self.scores_file(path.name).is_file()
        )

    def evaluated_label(self, split: str) -> str:
        """The label of a split's results; a label names itself."""
        labels = self.evaluated_splits()
        known = {*labels, *SPLITS, *(label.split(SEARCH)[0] for label in labels)}
        return split if split in known or split.split(SEARCH)[0] in known else split_label(split)

    def probe_file(self, name: str) -> Path:
        """A probe's curve."""
        return self.probe_dir / f"{name}.json"

    def plan_file(self, name: str) -> Path:
        """The transport plan of a probe."""
        return self.probe_dir / f"{name}{PLAN}.json"

    def probe_table_file(self, name: str) -> Path:
        """A probe's measures as CSV."""
        return self.probe_dir / f"{name}.csv"

    def probe_picture_file(self, name: str, what: str = "") -> Path:
        """A probe's curves, or another figure: ``measures``, ``plan``."""
        return self.probe_dir / (f"{name}_{what}.png" if what else f"{name}.png")

    def probe_names(self) -> list[str]:
        """Names of the probes, sorted."""
        names = [path.stem for path in _matching(self.probe_dir, "*.json")]
        return sorted(name for name in names if not name.endswith(PLAN))

    def plan_names(self) -> list[str]:
        """Names of the probes that left a transport plan, sorted."""
        return sorted(path.stem.removesuffix(PLAN) for path in _matching(self.probe_dir, f"*{PLAN}.json"))
