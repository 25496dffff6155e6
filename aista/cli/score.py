"""``aista score SYSTEM... [--reference FILE]``: scores of texts, whoever made them."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from aista.cli.arguments import add_plugin_argument
from aista.cli.option_arguments import add_metric_argument, add_option_arguments, read_metrics, read_options
from aista.console import say
from aista.errors import AistaError
from aista.report.report_options import ResamplingOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "systems",
        type=Path,
        nargs="+",
        metavar="SYSTEM",
        help="text with an utterance in each line, or hypotheses of an evaluated run; the first is the baseline",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="text with a reference in each line (default: the first SYSTEM's)",
    )
    parser.add_argument(
        "--resegment",
        action="store_true",
        help="divide each SYSTEM, a talk in other segments, among the references by the fewest word edits first",
    )
    parser.add_argument("--target-language", default="", metavar="CODE", help="of the texts, e.g. fr or zh-CN")
    add_metric_argument(parser, "bleu and chrf")
    add_option_arguments(parser, ResamplingOptions)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all numbers as JSON too")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print scores with signatures and, of several systems, differences with intervals and p-values."""
    from rich.console import Console

    from aista import registry
    from aista.files import require_writable, write_json
    from aista.report.tables import score_table, to_rich
    from aista.report.text_scores import read_texts, score_texts

    options = read_options(args, ResamplingOptions)
    if args.out is not None:
        require_writable(args.out)
    registry.load_plugins(args.plugin)
    specs = read_metrics(args, ("bleu", "chrf"))
    metrics = [registry.build("metric", spec, at="--metric", target_language=args.target_language) for spec in specs]
    if args.resegment:
        references, systems, signed = _resegmented(args)
    else:
        texts = {str(path): read_texts(path) for path in args.systems}
        references = _references(args.reference, texts[str(args.systems[0])].references, args.systems[0])
        systems, signed = {name: each.hypotheses for name, each in texts.items()}, ""
    result = score_texts(systems, references, metrics, options)
    signatures = {metric: signature + signed for metric, signature in result.signatures.items()}
    Console().print(to_rich(score_table(result.systems, f"{len(references)} utterances")))
    for metric, signature in signatures.items():
        say(f"{metric}: {signature}")
    for note in result.notes:
        say(note)
    if args.out is not None:
        record = {"num_utterances": len(references), "systems": [asdict(row) for row in result.systems]}
        write_json(args.out, {**record, "signatures": signatures})
        say(f"written: {args.out}")
    return 0


def _resegmented(args: argparse.Namespace) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], str]:
    """References, the systems in their segments, and what signatures say of that."""
    from aista.report.talk_texts import resegment_talk
    from aista.scoring.resegmentation import SIGNATURE

    if args.reference is None:
        raise AistaError("--resegment needs the segments to divide a talk into; give them with --reference FILE")
    references = _references(args.reference, None, args.systems[0])
    systems = {}
    for path in args.systems:
        systems[str(path)], note = resegment_talk(path, references, args.target_language)
        say(note)
    return references, systems, f"|{SIGNATURE}"


def _references(file: Path | None, own: tuple[str, ...] | None, first: Path) -> tuple[str, ...]:
    from aista.report.text_scores import read_texts

    if file is not None:
        texts = read_texts(file)
        return texts.hypotheses if texts.references is None else texts.references
    if own is None:
        raise AistaError(f"{first}: holds no references; give them with --reference FILE, one in each line")
    return own
