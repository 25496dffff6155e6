"""Comparison of a whole training step with a loop of plain transformers: checked, then timed.

python -m benchmarks.training_step --preset tiny
python -m benchmarks.training_step --device cuda --preset small large --rounds 30
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from aista.console import align_columns
from aista.engine.cost.device import UTILIZATION
from aista.errors import AistaError
from benchmarks.ot.clock import make_clock
from benchmarks.shapes import SHAPES, make_folders
from benchmarks.training_step import gates, record
from benchmarks.training_step.prediction import Layers, Prediction, find_device, predict
from benchmarks.training_step.record import GIB, StepResult
from benchmarks.training_step.systems import PLAIN, Step, Systems
from benchmarks.turns import summarize, take_turns

__all__ = ["main"]

BATCH_SIZES = {"tiny": 2, "small": 32, "large": 16}
SETTINGS = """\
Random weights of the shapes of {title}: frozen encoder, convolutional adapter (stride 4), LoRA (r 16, dropout 0.05)
on all projections of the LLM; {precision}; AdamW, gradients clipped at 1; {batch_size} utterances of 2 to 8 s with
random features and texts. The plain loop is `benchmarks/plain.py`: transformers and peft alone, in a bare loop as
aista here, with aista's encoder, which takes clips at their own length, and once with transformers' own, which takes
30 s. Rows take turns within a round, {rounds} rounds; speed is the median of the rounds' ratios to the plain loop.

MFU is the operations that the step must do, over its time and {peak}. They are traced (`docs/cost.md`); a plain
loop's are those of aista's CE only, whatever it computes beside. Peak memory counts a row's own weights, optimizer
state and what the step adds, on a GPU. Predictions are those of `aista train --dry-run` for the same rows, times at
{utilization:.0%} of the peak rate."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a gate failed, 2 the user's mistake."""
    args = _parser().parse_args(argv)
    try:
        if args.device == "cuda" and not torch.cuda.is_available():
            raise AistaError("--device cuda: torch finds no GPU here")
        return max(_run(preset, args) for preset in args.preset)
    except AistaError as error:
        print(f"benchmarks.training_step: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_step", description="Time a training step beside plain transformers."
    )
    presets = "; ".join(f"{name}: {SHAPES[name].title}" for name in BATCH_SIZES)
    parser.add_argument("--preset", nargs="+", choices=tuple(BATCH_SIZES), default=["small"], help=presets)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to measure (default: cpu)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="default: float32, on a GPU bfloat16 (LLM's weights and autocast)",
    )
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="timed rounds (default: 15)")
    parser.add_argument(
        "--peak-tflops",
        type=float,
        metavar="X",
        help="peak rate for MFU, of a device whose data sheet is not known here",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: runs/bench")
    return parser


def _run(preset: str, args: argparse.Namespace) -> int:
    """Check the steps of a preset, time them, write the files."""
    dtype = getattr(torch, args.dtype or ("float32" if args.device == "cpu" else "bfloat16"))
    with tempfile.TemporaryDirectory() as folder:
        folders = make_folders(Path(folder), SHAPES[preset])
        systems = Systems(folders, BATCH_SIZES[preset], device=args.device, dtype=dtype)
        steps, passed = systems.steps(), []
        systems.train(False)
        for gate in gates.check(steps, dtype):
            print(f"{preset}: {gate}", flush=True)
            passed.append(gate)
        if not all(gate.holds for gate in passed):
            return 1
        predictions = predict(folders, systems.batch.to("cpu"), [step.layers for step in steps.values()], dtype)
    systems.train(True)
    clock = make_clock(args.device)
    seconds = take_turns({name: partial(clock, step) for name, step in steps.items()}, args.rounds)
    results = _results(preset, args, dtype, systems, steps, seconds, predictions)
    table = record.make_table(results)
    print("\n".join(align_columns([table.columns, *table.rows])))
    file = args.out / f"training_step_{preset}_{args.device}.md"
    settings, command = _settings(preset, args, dtype), " ".join(["python -m benchmarks.training_step", *sys.argv[1:]])
    record.write(results, passed, file=file, device=args.device, settings=settings, command=command)
    print(f"{file}, {file.with_suffix('.csv')}")
    return 0


def _settings(preset: str, args: argparse.Namespace, dtype: torch.dtype) -> str:
    peak, source = _peak(args, dtype)
    return SETTINGS.format(
        title=SHAPES[preset].title,
        precision="fp32" if dtype == torch.float32 else "the LLM's weights and autocast in bf16, all else in fp32",
        batch_size=BATCH_SIZES[preset],
        rounds=args.rounds,
        utilization=UTILIZATION,
        peak="a peak rate that is not known for this device" if math.isnan(peak) else f"{peak:g} TFLOP/s ({source})",
    )


def _results(
    preset: str,
    args: argparse.Namespace,
    dtype: torch.dtype,
    systems: Systems,
    steps: Mapping[str, Step],
    seconds: Mapping[str, list[float]],
    predictions: Mapping[Layers, Prediction],
) -> list[StepResult]:
    peak, _ = _peak(args, dtype)
    sheet = find_device(torch.cuda.get_device_name()) if args.device == "cuda" else None
    sizes = {"tokens": systems.batch.num_targets, "positions": systems.num_positions}
    title = f"{SHAPES[preset].title}, {BATCH_SIZES[preset]} utterances, {args.device}"
    results = []
    for row in summarize(dict(seconds), question="training step", workload=title, against=PLAIN, **sizes):
        step, prediction = steps[row.row], predictions[steps[row.row].layers]
        own = row.row.startswith("aista")
        results.append(
            StepResult(
                **asdict(row),
                tflop=prediction.operations / 1e12,
                peak_tflops=peak,
                mfu=prediction.operations / 1e12 / row.p50_s / peak,
                peak_gib=_peak_gib(step) if args.device == "cuda" else math.nan,
                predicted_ms=1000 * prediction.seconds(sheet) if own and sheet else math.nan,
                predicted_gib=prediction.memory / GIB if own else math.nan,
            )
        )
    return results


def _peak(args: argparse.Namespace, dtype: torch.dtype) -> tuple[float, str]:
    """Peak rate in TFLOP/s, and its source."""
    if args.peak_tflops:
        return args.peak_tflops, "--peak-tflops"
    sheet = find_device(torch.cuda.get_device_name()) if args.device == "cuda" else None
    if sheet is None:
        return math.nan, ""
    return (sheet.bfloat16 if dtype == torch.bfloat16 else sheet.float32) / 1e12, sheet.source


def _peak_gib(step: Step) -> float:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return (step.resident_bytes() + torch.cuda.max_memory_allocated() - before) / GIB


if __name__ == "__main__":
    sys.exit(main())
