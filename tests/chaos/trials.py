"""One training, killed at an event and repeated, in processes that are forked once everything is imported."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import math
import os
import re
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from aista.engine.checkpoints import checkpoint_steps, find_checkpoint
from aista.engine.training.train import train
from aista.errors import AistaError
from aista.run_folder.metric_records import read_records
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import load_experiment
from tests.chaos.file_events import KILLED, FileEvents
from tests.tiny import make_corpus, tiny_config, write_config

REFUSED = 1
_REPEATABLE = re.compile(r"step|lr|grad_norm|nll|loss|align.*|bleu|chrf|wer|score|speech_.*|text_.*")


def options(corpus: Path, folder: Path) -> dict[str, Any]:
    """Twelve steps with a stage, selections in mid-training, an encoder cache, workers and checkpoints to delete."""
    probe = {"name": "cka", "config": {"warmup_steps": 3, "probe_size": 8, "top_k": 1}}
    config = tiny_config(
        corpus,
        trainer={
            "max_steps": 12,
            "learning_rate": 3e-3,
            "log_every": 2,
            "validate_every": 4,
            "checkpoint_every": 4,
            "keep_best": 1,
        },
        layer_selection={"name": "scheduled", "config": {"strategy": probe, "every": 4, "hysteresis": 0.0}},
        alignment=[{"name": "ot", "schedule": {"name": "until_plateau", "config": {"patience": 1, "min_delta": 9.0}}}],
        pretraining=[
            {
                "name": "asr",
                "task": "ctc_asr",
                "part": "encoder",
                "config": {"trainer": {"max_steps": 4, "validate_every": 0, "checkpoint_every": 2, "keep_best": 0}},
            }
        ],
        freeze_params=["encoder"],
    )
    config["data"] |= {
        "num_workers": 1,
        "encoder_cache": {"name": "disk", "config": {"path": str(folder / "cache")}},
    }
    config["evaluation"]["score"] = "loss"
    return config


class Trials:
    """Trainings below a folder, each in a folder and a process of its own.

    Attributes:
        events: Those of the uninterrupted training, sorted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._corpus = make_corpus(folder / "corpus")
        torch.set_num_threads(1)  # threads do not survive a fork
        os.environ["OMP_NUM_THREADS"] = "1"  # without it fairseq2 sets a number of its own
        code = self.run("whole", record=True)
        if code:
            raise RuntimeError((folder / "whole.log").read_text())
        record = json.loads((folder / "whole" / "record.json").read_text())
        self.events = sorted(record["events"])
        self.expected = outcome(folder / "whole" / "run")
        for module in record["modules"]:  # once here, not in every fork
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        gc.freeze()  # fairseq2 collects in every training: not what was imported here

    def run(self, name: str, *, fatal: str = "", record: bool = False) -> int:
        """Train in ``folder / name``, from where it stands; return the process' exit code."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        config = write_config(place / "config.yaml", options(self._corpus, place))

        def child() -> None:
            watched = FileEvents(place, fatal)
            watched.watch()
            train(load_experiment(config), place / "run")
            if record:
                found = {"events": watched.names, "modules": list(sys.modules)}
                (place / "record.json").write_text(json.dumps(found))

        return forked(child, self.folder / f"{name}.log")

    def kill(self, number: int, event: str) -> str:
        """Kill a new training at an event and repeat it; say what came of it."""
        name = f"killed{number}"
        if self.run(name, fatal=event) != KILLED:
            return "did not happen"
        code = self.run(name)
        if code == REFUSED:
            return "refused"
        if code:
            return "error"
        found = outcome(self.folder / name / "run")
        differing = [key for key in self.expected if not equal(found.get(key), self.expected[key])]
        return f"differs in {', '.join(differing)}" if differing or found.keys() != self.expected.keys() else "equal"


def forked(function: Callable[[], None], log: Path) -> int:
    """Run a function in a fork of this process, its output in a file; return the exit code."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = 3
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        function()
        code = 0
    except AistaError as error:
        print(error, file=sys.stderr)
        code = REFUSED
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def outcome(run: Path) -> dict[str, Any]:
    """What a run and its stages leave that is a function of the config: numbers, layers, weights, names of files."""
    found: dict[str, Any] = {"files": sorted(files_of(run))}
    for paths in (RunPaths(run), RunPaths(run).stage("asr")):
        name = paths.path.name
        for split in ("train", "valid"):
            records = read_records(paths.metrics_file(split))
            found[f"{name} {split}"] = [
                {key: record[key] for key in record if _REPEATABLE.fullmatch(key)} for record in records
            ]
        found[f"{name} scores"] = {checkpoint.name: checkpoint.score for checkpoint in checkpoint_steps(paths.path)}
        found[f"{name} best"] = find_checkpoint(paths.path).name
        for checkpoint in checkpoint_steps(paths.path):
            for file in sorted(checkpoint.path.glob("*/**/*.pt")):
                if file.parent.name != "trainer":  # that one holds times
                    found[f"{name} {file.relative_to(paths.path)}"] = torch.load(file, weights_only=True)
    for file in (RunPaths(run).selection_file, RunPaths(run).data_file, RunPaths(run).parameters_file):
        found[file.name] = json.loads(file.read_text())
    return found


def files_of(run: Path) -> Iterator[str]:
    """Names of the files that a run leaves; fairseq2's own, and leftovers of a kill, are of no account."""
    for file in run.rglob("*"):
        place = file.relative_to(run)
        if file.is_file() and "engine" not in place.parts and not file.name.startswith("."):
            yield str(place)


def equal(one: Any, other: Any) -> bool:
    """Equality, bit for bit where there are numbers."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def kind_of(event: str) -> str:
    """The event's function."""
    return event.split(" ")[0]


def sample(events: Sequence[str], size: int) -> list[str]:
    """About ``size`` events, at least one of each kind; evenly over the kinds and, in each kind, over the files."""
    by_kind = defaultdict(list)
    for event in events:
        by_kind[kind_of(event)].append(event)
    share, chosen = -(-size // len(by_kind)), []
    for of_kind in by_kind.values():
        stride = max(1, len(of_kind) // share)
        chosen += of_kind[stride // 2 :: stride][:share]
    return chosen
