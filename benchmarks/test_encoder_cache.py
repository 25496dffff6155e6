"""Time saved by ``data.encoder_cache`` in a training step with a frozen encoder of Whisper tiny's size.

    OMP_NUM_THREADS=1 pytest benchmarks/test_encoder_cache.py -s

A step is what the trainer waits for: the batch (from audio files, from features in memory, or from states on disk),
forward, backward, update. The variants take turns within each round; the figure to read is the median over rounds of
a variant's time divided by that of the step without any cache.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers

from aista.data.manifest import Row, write_manifest
from aista.engine.batch_plan import training_loader
from aista.engine.encoder_cache.cached_encoder import with_encoder_states
from aista.engine.inputs import load_split
from aista.selection.base import SelectedLayers
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from aista.types import SpeechBatch
from tests.tiny import make_corpus, tiny_config, write_config

ROUNDS, WARMUP = 21, 3
ROWS, BATCH = 64, 8
SECONDS = (2.0, 8.0)
RATE = 16_000

VARIANTS = {
    "no cache": {},
    "features in memory": {"cache_features": True},
    "states on disk, float32": {"encoder_cache": {"name": "disk", "config": {"dtype": "float32"}}},
    "states on disk, bfloat16": {"encoder_cache": {"name": "disk", "config": {"dtype": "bfloat16"}}},
}


def test_step_time(benchmark, tmp_path):
    """Ratio of each variant's step to the one that decodes, computes features and encodes."""
    torch.set_num_threads(1)
    make_whisper(tmp_path / "whisper")
    corpus = make_noise(make_corpus(tmp_path / "corpus", num_train=1, num_dev=1))
    steps = {name: make_step(tmp_path, corpus, data) for name, data in VARIANTS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}

    def round_of_all() -> None:
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)

    benchmark.pedantic(round_of_all, rounds=ROUNDS, warmup_rounds=WARMUP)
    base = seconds["no cache"][WARMUP:]
    for name, values in seconds.items():
        ratios = [value / without for value, without in zip(values[WARMUP:], base, strict=True)]
        quartiles = statistics.quantiles(ratios, n=4)
        benchmark.extra_info[name] = {
            "median_ms": round(1000 * statistics.median(values[WARMUP:]), 1),
            "ratio_q25": round(quartiles[0], 3),
            "ratio_median": round(quartiles[1], 3),
            "ratio_q75": round(quartiles[2], 3),
            "times_as_fast": round(1 / quartiles[1], 2),
        }
        print(f"\n{name}: {benchmark.extra_info[name]}", end="")


def make_step(folder: Path, corpus: Path, data: dict[str, object]) -> Callable[[], None]:
    """One training step of a variant, ready to be called; all variants see the same batches."""
    options = tiny_config(corpus)
    options["encoder"] = {"name": "whisper", "config": {"path": str(folder / "whisper")}, "tuning": "frozen"}
    options["adapter"] = {"name": "conv", "config": {"stride": 4}}
    options["llm"] = {"name": "transformer_lm", "config": {"model_dim": 256, "num_layers": 4}}
    options["data"] |= {"feature": "whisper_log_mel", "batch_size": BATCH, **data}
    overrides = [f"data.encoder_cache.config.path={folder / 'states'}"] if "encoder_cache" in data else []
    experiment = load_experiment(write_config(folder / "config.yaml", options), overrides)
    torch.manual_seed(0)
    task = build_task(experiment)
    model = task.build_model()
    task.select_trainable(model)
    model.train()
    task.selected = SelectedLayers((0, 1), (0.5, 0.5), "")
    split = with_encoder_states(load_split(experiment, task, "train", training=True), experiment, model, "cpu")
    batches = endless(training_loader(split, experiment, 0, 1))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)

    def step() -> None:
        loss = task.loss(model, next(batches))
        (loss.total / loss.num_targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def endless(loader) -> Iterator[SpeechBatch]:
    for _ in itertools.count():
        yield from loader
        loader.next_epoch()


def make_noise(corpus: Path) -> Path:
    """Replace the corpus' training rows by utterances of noise, 2 to 8 s long."""
    generator = random.Random(0)
    rows = []
    for index in range(ROWS):
        wave = 0.1 * np.random.default_rng(index).standard_normal(int(generator.uniform(*SECONDS) * RATE))
        soundfile.write(corpus / "audio" / f"noise{index}.flac", wave, RATE)
        words = [" ".join(generator.choices(("one", "two", "red", "cat"), k=10)) for _ in range(2)]
        rows.append(Row(f"noise{index}", f"audio/noise{index}.flac", len(wave), words[0], src_text=words[1]))
    write_manifest(corpus / "train.tsv", rows)
    return corpus


def make_whisper(folder: Path) -> None:
    """Random weights of Whisper tiny's encoder (Radford et al. 2023: 4 blocks of width 384), and a decoder to drop."""
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=384,
        encoder_layers=4,
        encoder_attention_heads=6,
        encoder_ffn_dim=1536,
        decoder_layers=1,
        decoder_ffn_dim=8,
        vocab_size=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    transformers.WhisperModel(config).save_pretrained(folder)
