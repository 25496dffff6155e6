"""The page that `test_pretrained.py` writes of its results."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from aista.files import write_text
from benchmarks.shapes import SHAPES, Folders
from benchmarks.turns import Result, surroundings

__all__ = ["write"]

COMMAND = "OMP_NUM_THREADS=1 python -m pytest benchmarks/test_pretrained.py -s"
SETTINGS = """\
One model in both systems: the encoder of a Whisper model (frozen), a convolutional adapter (stride 4), a causal LM
with LoRA (r 16, dropout 0.05) on all projections of its blocks; fp32, AdamW, gradients clipped at 1, batches of 8
utterances of 2 to 8 s with random features and texts. No states are cached. Rows take turns within a round; a ratio
is the median over {rounds} rounds of those within a round, in brackets its quartiles.
{weights}

The rival is written with transformers and peft alone: `WhisperModel.encoder`, projector, causal LM with peft's LoRA,
speech in the places of placeholder tokens, a collator that pads on the right, `transformers.Trainer`. Its step is
timed between `on_step_begin` and `on_step_end`. Hugging Face's encoder takes 30 s and nothing else; states behind a
clip's end are dropped afterwards. In a second row it gets aista's encoder, which takes clips at their own length: the
ratio to that row compares the same function. Before anything is timed, loss (to 1e-5), gradients (1e-4) and the
encoders' states at 30 s are checked to be equal. aista's step is a bare loop; what the engine adds to one is in
[training_step_cpu.md](training_step_cpu.md).

Decoding starts from the same embeddings of prompt and speech: 8 rows of similar length, at most 32 new tokens. Both
sides give the same tokens, which is checked. `generate` is set to aista's conventions: `early_stopping`, no padding
produced, and EOS at the limit at its own probability.
"""


def write(results: Sequence[Result], file: Path, folders: Folders, *, real: bool) -> None:
    """Tables of all results, and whether they meet the goals."""
    origin = surroundings()
    weights = f"Random weights of the shapes of {SHAPES['smollm'].title}."
    if real:
        weights = f"Weights of {folders.whisper.name} and {folders.llm.name}."
    command = COMMAND + (f" --whisper {folders.whisper.name} --llm {folders.llm.name}" if real else "")
    versions = ", ".join(f"{name} {origin[name]}" for name in ("torch", "transformers", "peft"))
    parts = [
        "# A pretrained model's training and decoding beside plain transformers, on a CPU",
        f"{datetime.date.today()}, commit {origin['commit']}; {origin['device']}, threads: {origin['threads']}, "
        f"Python {origin['python']}, {versions}. Written by",
        f"    {command}",
        SETTINGS.format(weights=weights, rounds=results[0].rounds).strip(),
    ]
    for question in dict.fromkeys(result.question for result in results):
        parts += _section(question, [result for result in results if result.question == question])
    write_text(file, "\n\n".join(parts) + "\n")


def _section(question: str, results: Sequence[Result]) -> list[str]:
    title, goal = {
        "training": ("Training", "Goal: CE only at least 1.2 times the speed of the plain loop at clips' own length."),
        "training, 30 s": ("Training beside what Hugging Face's encoder asks for", "Goal: as above."),
        "alignment": ("What AI-STA adds", "Goal: at most 1.05 of the time of CE only."),
        "decoding": ("Decoding", "Goal: at least the speed of `generate`."),
    }[question]
    return [f"## {title}", _table(question, results), f"{goal} {_verdict(question, results)}"]


def _table(question: str, results: Sequence[Result]) -> str:
    as_time = question == "alignment"
    lines = [
        f"| workload | row | s, median | target tokens/s | positions/s | {'time' if as_time else 'speed'}, ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for result in results:
        low, middle, high = result.ratio_q25, result.ratio, result.ratio_q75
        if as_time:
            low, middle, high = 1 / high, 1 / middle, 1 / low
        ratio = "1" if result.row == result.against else f"**{middle:.3f}** ({low:.3f} to {high:.3f})"
        lines.append(
            f"| {result.workload} | {result.row} | {result.p50_s:.2f} | {result.tokens_per_s:.1f} | "
            f"{result.positions_per_s:.0f} | {ratio} |"
        )
    return "\n".join(lines)


def _verdict(question: str, results: Sequence[Result]) -> str:
    bound = {"training": 1.2, "training, 30 s": 1.2, "alignment": 1 / 1.05, "decoding": 1.0}[question]
    ours = [result for result in results if result.row.startswith("aista") and result.row != result.against]
    ours = [result for result in ours if not question.startswith("training") or "CE only" in result.row]
    return "; ".join(f"{result.workload}: {'met' if result.ratio >= bound else 'missed'}" for result in ours) + "."
