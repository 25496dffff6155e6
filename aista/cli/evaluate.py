"""``aista evaluate RUN [--split test]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aista.cli.arguments import add_run_arguments, whole
from aista.cli.option_arguments import add_change_arguments, add_metric_argument, read_changes, read_metrics
from aista.console import align_columns, say
from aista.data.row_tasks import TASKS
from aista.errors import AistaError, shown
from aista.modules.llms.search import GenerationConfig
from aista.schema import structure

if TYPE_CHECKING:
    from aista.report.suite_outputs import Hearing2TranslateSamples
    from aista.run_folder.evaluations import Evaluation
    from aista.scoring.length_sweep import LengthSweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--split", default="test", help="dev, test, or the path of a manifest (default: test)")
    parser.add_argument(
        "--batch-size",
        type=whole(1),
        default=0,
        help="rows decoded together (default: the run's); changes only the speed",
    )
    parser.add_argument(
        "--task",
        choices=tuple(TASKS),
        default="",
        help="which of the run's data.tasks to evaluate (default: the first); results get the label SPLIT+task=TASK, "
        "by which `aista compare --split` names them",
    )
    add_change_arguments(parser, GenerationConfig)
    add_metric_argument(parser, "the run's")
    _add_inputs(parser)
    parser.add_argument(
        "--n-best",
        type=whole(1),
        default=0,
        metavar="N",
        help="also write the N best texts of each search, with their scores",
    )
    parser.add_argument(
        "--sweep",
        type=_exponents,
        default=(),
        metavar="length_penalty=A,B,...",
        help="also rerank the hypotheses with these length penalties and score each result; tune on dev, not test",
    )
    parser.add_argument(
        "--shuffled-speech",
        action="store_true",
        help="also measure the NLL of the references with shuffled speech; if equal, the model ignores the audio",
    )


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from-transcript",
        action="store_true",
        help="translate the manifest's transcripts, not the speech, with the same language model, to measure its text "
        "translation; results get the label SPLIT_transcript",
    )
    parser.add_argument(
        "--transcripts",
        type=Path,
        metavar="FILE",
        help="translate these recognised transcripts, as a cascade does: a TSV with the columns id and text; results "
        "get the label SPLIT_cascade-STEM-HASH",
    )
    parser.add_argument(
        "--export",
        nargs=3,
        metavar=("hearing2translate", "MANIFEST", "OUT"),
        help="also write the hypotheses in the format of the Hearing-to-Translate suite, in the order of its MANIFEST",
    )


def _exponents(text: str) -> tuple[float, ...]:
    name, _, values = text.partition("=")
    try:
        exponents = [float(value) for value in values.split(",")]
    except ValueError:
        exponents = []
    if name != "length_penalty" or not exponents:
        raise argparse.ArgumentTypeError(f"must be length_penalty=NUMBER,NUMBER,..., got {shown(text)}")
    for exponent in exponents:
        structure(GenerationConfig, {name: exponent}, source="--sweep")
    return tuple(exponents)


def _say_sweep(sweep: LengthSweep) -> None:
    for line in align_columns(sweep.table()):
        say(line)
    best, metric = sweep.best, sweep.best.scores[0].name
    say(
        f"one search with length_penalty {sweep.own:g}, its hypotheses ranked under each; best by {metric}, for the "
        "config:\n"
        f"evaluation: {{generation: {{length_penalty: {best.length_penalty:g}}}}}"
    )


def run(args: argparse.Namespace) -> int:
    """Decode, score, and print the scores with their signatures."""
    from aista.terminal import configure_logging

    configure_logging()
    from aista.engine.export.load import load_plugins_for
    from aista.engine.inference.evaluate import evaluate
    from aista.engine.inference.text_input import TextInput
    from aista.run_folder.paths import RunPaths

    if args.from_transcript and args.transcripts:
        raise AistaError("--from-transcript and --transcripts exclude each other; choose one of them")
    load_plugins_for(args.run, args.plugin, verify=args.verify)
    exported = None if args.export is None else _samples(*args.export)
    result = evaluate(
        args.run,
        args.split,
        which=args.checkpoint,
        batch_size=args.batch_size,
        device=args.device,
        base=dict(args.base),
        verify=args.verify,
        shuffled_speech=args.shuffled_speech,
        text=TextInput(args.transcripts) if args.from_transcript or args.transcripts else None,
        search=read_changes(args, GenerationConfig),
        metrics=read_metrics(args),
        row_task=args.task,
        n_best=args.n_best,
        length_penalties=args.sweep,
    )
    _say_result(result)
    folder = RunPaths(args.run).scores_file(result.label).parent
    say(f"{len(result.rows)} utterances in {result.seconds:.1f} s; hypotheses and scores in {folder}")
    if exported is not None:
        others = exported.write(result.rows, Path(args.export[2]))
        more = f"; {others} hypotheses of others were left out" if others else ""
        say(f"written: {args.export[2]}, {len(exported.samples)} outputs in the order of {exported.path}{more}")
    return 0


def _say_result(result: Evaluation) -> None:
    for name, scores in result.directions.items():
        say("  ".join([name, *map(str, scores)]))
    for score in result.scores:
        say(f"{score}  {score.signature}")
    if result.shuffled_speech is not None:
        say(
            "NLL: {nll:.3f} nats per token with the right speech, {nll_shuffled_speech:.3f} with shuffled speech "
            "({num_rows} rows, {num_tokens} tokens)".format(**result.shuffled_speech)
        )
    if result.guarded_rows is not None:
        say(f"no_repeat_ngram changed the search of {result.guarded_rows} of {len(result.rows)} utterances")
    if result.length_sweep is not None:
        _say_sweep(result.length_sweep)


def _samples(layout: str, manifest: str, out: str) -> Hearing2TranslateSamples:
    """Read and check the samples to export, before decoding."""
    from aista.files import require_writable
    from aista.report.suite_outputs import Hearing2TranslateSamples

    if layout != "hearing2translate":
        raise AistaError(f"--export: must name hearing2translate, MANIFEST and OUT, got {layout!r}; no other is known")
    require_writable(Path(out))
    return Hearing2TranslateSamples.read(Path(manifest))
