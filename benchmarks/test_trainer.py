"""Time of the engine relative to a bare PyTorch loop with the same batches and model; target: at most 1.02.

    OMP_NUM_THREADS=1 pytest benchmarks/test_trainer.py -s

The bare loop and the engine run in turn, several rounds; both are timed per step after their first steps.
"""

from __future__ import annotations

import logging
import statistics
import time
from pathlib import Path

import torch

from aista.engine.batch_plan import training_loader
from aista.engine.inputs import load_split
from aista.engine.training.train import train
from aista.run_folder.metric_records import read_records
from aista.tasks.experiment import Experiment, load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import make_corpus, tiny_config, write_config

STEPS, FIRST, ROUNDS = 48, 8, 4


def test_engine_over_bare_loop(benchmark, tmp_path):
    """Seconds per step of both, and their ratio per round."""
    torch.set_num_threads(1)
    logging.getLogger("aista").setLevel(logging.ERROR)
    experiment = _experiment(tmp_path)
    ratios, bare_times = [], []

    def one_round() -> None:
        number = len(ratios)
        engine = _engine(experiment, tmp_path / f"run{number}")
        bare = _bare(experiment)
        bare_times.append(bare)
        ratios.append(engine / bare)

    benchmark.pedantic(one_round, rounds=ROUNDS)
    benchmark.extra_info |= {
        "bare_ms_per_step": round(1000 * statistics.median(bare_times), 1),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio_median": round(statistics.median(ratios), 3),
    }
    print(f"\n{benchmark.extra_info}", end="")


def _experiment(folder: Path) -> Experiment:
    """A step of about 100 ms, as the engine's cost per step does not depend on the model."""
    corpus = make_corpus(folder / "corpus", num_train=256)
    options = tiny_config(corpus, trainer={"max_steps": STEPS, "log_every": FIRST})
    options["encoder"] = {"name": "conformer", "config": {"model_dim": 128, "num_layers": 3}}
    options["llm"] = {"name": "transformer_lm", "config": {"model_dim": 128, "num_layers": 4}}
    options["data"] |= {"batch_size": 32, "cache_features": True, "dev": None, "test": None}
    return load_experiment(write_config(folder / "config.yaml", options))


def _engine(experiment: Experiment, run: Path) -> float:
    train(experiment, run)
    records = {record["step"]: record["total_time"] for record in read_records(run / "metrics" / "train.jsonl")}
    return (records[STEPS] - records[FIRST]) / (STEPS - FIRST)


def _bare(experiment: Experiment) -> float:
    task = build_task(experiment)
    model = task.build_model().train()
    task.selected = task.build_selection(model.llm.num_layers).select(None)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loader = training_loader(load_split(experiment, task, "train", training=True), experiment, 0, 1)
    step = 0
    while step < STEPS:
        for batch in loader:
            loss = task.loss(model, batch)
            (loss.total / loss.num_targets).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step == FIRST:
                started = time.perf_counter()
            if step == STEPS:
                return (time.perf_counter() - started) / (STEPS - FIRST)
        loader.next_epoch()
    raise AssertionError("unreachable")
