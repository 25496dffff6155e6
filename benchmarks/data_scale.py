"""Cost of a large manifest before the first batch: CPU time and peak memory of each stage.

python -m benchmarks.data_scale --rows 1000000
python -m benchmarks.data_scale --rows 20000 --inspect full headers sample trust
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aista.console import align_columns, say
from aista.environment import peak_mib

__all__ = ["main", "make_corpus"]

CLIPS = 1000
WORDS = ("the", "house", "river", "of", "green", "night", "where", "goes", "tomorrow", "with", "an", "old", "road")
RATE = 16_000


def main(argv: Sequence[str] | None = None) -> int:
    """Make a corpus, measure every stage in a separate process, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_scale", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the manifest (1,000,000)")
    parser.add_argument("--inspect", nargs="+", default=["trust"], help="values of data.inspect to measure (trust)")
    parser.add_argument(
        "--repeat", type=int, default=1, help="starts a policy; the second finds what the first remembered"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the corpus is made, or lies already; default: a passing folder"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(measure(args.folder, args.child)))
        return 0
    with tempfile.TemporaryDirectory() as passing:
        folder = args.folder or Path(passing)
        if not (folder / "train.tsv").exists():
            make_corpus(folder, args.rows)
        rows = [("inspect", "stage", "wall s", "CPU s", "peak MiB")]
        for policy in args.inspect * args.repeat:
            command = [sys.executable, "-m", "benchmarks.data_scale", "--folder", str(folder), "--child", policy]
            result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            for stage, wall, cpu, peak in json.loads(result.stdout.splitlines()[-1]):
                rows.append((policy, stage, f"{wall:.1f}", f"{cpu:.1f}", f"{peak:.0f}"))
    say("\n".join(align_columns(rows)))
    return 0


def make_corpus(folder: Path, rows: int) -> None:
    """Write a manifest of the given size with distinct ``audio`` fields, each naming a clip of one archive.

    A million files would measure the file system that happens to be there. Links to one folder under many names
    make a million names of 1,000 clips.
    """
    import io

    import sentencepiece
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    generator, noise = random.Random(1), np.random.default_rng(1)
    places = []
    with (folder / "clips").open("wb") as archive:
        for _ in range(CLIPS):
            samples = int(generator.uniform(1.0, 8.0) * RATE)
            buffer = io.BytesIO()
            soundfile.write(buffer, 0.1 * noise.standard_normal(samples), RATE, format="FLAC")
            places.append((archive.tell(), len(buffer.getvalue()), samples))
            archive.write(buffer.getvalue())
    links = (rows - 1) // CLIPS + 1
    for link in range(links):
        (folder / f"part{link}").symlink_to(".")
    for name, count in (("train", rows), ("dev", min(rows, 100))):
        with (folder / f"{name}.tsv").open("w", encoding="utf-8") as file:
            file.write("id\taudio\tn_frames\tsrc_text\ttgt_text\tspeaker\tsrc_lang\ttgt_lang\n")
            for row in range(count):
                offset, length, samples = places[row % CLIPS]
                words = max(3, samples // 6000)
                source, target = (" ".join(generator.choices(WORDS, k=words)) for _ in range(2))
                audio = f"part{row // CLIPS}/clips:{offset}:{length}"
                file.write(
                    f"utterance_{row:08d}\t{audio}\t{samples}\t{source}.\t{target}.\tspeaker{row % 500}\ten\tfr\n"
                )
    sentences = [" ".join(generator.choices(WORDS, k=8)) for _ in range(500)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(folder / "spm"),
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=3,
        user_defined_symbols=["<fr>"],
        minloglevel=2,
    )


def measure(folder: Path, policy: str) -> list[tuple[str, float, float, float]]:
    """Stage, wall and CPU seconds of it (its child processes included), and the peak memory so far in MiB."""
    stages: list[tuple[str, float, float, float]] = []

    def run(stage: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), _cpu_seconds()
        result = work()
        stages.append((stage, time.perf_counter() - wall, _cpu_seconds() - cpu, peak_mib()))
        return result

    run("imports", _import)
    from aista.engine.batch_plan import narrow, training_loader
    from aista.engine.inputs import load_split
    from aista.tasks.preflight import build_task

    experiment = _experiment(folder, policy)
    task = build_task(experiment)
    model = task.build_model()
    splits = {"train": run("read and inspect", lambda: load_split(experiment, task, "train", training=True))}
    run("limits of the model", lambda: narrow(splits, task, model, experiment))
    loader = run("epoch plan", lambda: training_loader(splits["train"], experiment, 0, 1))
    run("first batch", lambda: next(iter(loader)))
    run("fingerprint", loader.state_dict)
    run("next epoch", loader.next_epoch)
    mixed = _experiment(folder, policy, mix={"by": "speaker", "weights": {"speaker0": 500.0}})
    run("epoch plan, mixed", lambda: training_loader(splits["train"], mixed, 0, 1))
    total = ("all", sum(stage[1] for stage in stages), sum(stage[2] for stage in stages), peak_mib())
    return [*stages, total]


def _import() -> None:
    import aista.engine.training.train  # noqa: F401 -- what `aista train` loads


def _experiment(folder: Path, policy: str, mix: dict[str, Any] | None = None) -> Any:
    from aista.config import dump_yaml
    from aista.tasks.experiment import load_experiment

    config = {
        "tokenizer": {"name": "sentencepiece", "config": {"path": str(folder / "spm.model")}},
        "prompt": "{speech}<fr>",
        "data": {
            "train": str(folder / "train.tsv"),
            "dev": str(folder / "dev.tsv"),
            "target_language": "fr",
            "batch_size": 32,
            "mix": mix,
            **({} if policy == "as-is" else {"inspect": policy, "on_bad_rows": "drop"}),
        },
        "encoder": {"name": "conformer", "config": {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 32}},
        "adapter": {"name": "linear"},
        "llm": {"name": "transformer_lm", "config": {"model_dim": 16, "num_layers": 2, "num_heads": 2}},
        "layer_selection": {"name": "fixed", "config": {"layers": [0]}},
        "alignment": [{"name": "ot"}],
    }
    with tempfile.TemporaryDirectory() as passing:
        path = Path(passing) / "config.yaml"
        path.write_text(dump_yaml(config), encoding="utf-8")
        return load_experiment(path)


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
