"""``aista score SYSTEM... [--reference FILE]``: scores of translations in text files."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aista.cli.arguments import add_plugin_argument
from aista.cli.option_arguments import add_metric_argument, add_option_arguments, read_metrics, read_options
from aista.console import say
from aista.errors import AistaError
from aista.report.report_options import ResamplingOptions

if TYPE_CHECKING:
    from aista.report.text_scores import Texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "systems",
        type=Path,
        nargs="+",
        metavar="SYSTEM",
        help="text with one utterance per line, or hypotheses of an evaluated run; the first is the baseline",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="text with one reference per line (default: the first SYSTEM's)",
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="FILE",
        help="source texts, for metrics that read them: a manifest, or text with one transcript per line "
        "(default: src_text of the first file of hypotheses)",
    )
    parser.add_argument(
        "--resegment",
        action="store_true",
        help="first resegment each SYSTEM, a talk segmented differently, to the references by minimum word edits",
    )
    parser.add_argument("--target-language", default="", metavar="CODE", help="language of the texts, e.g. fr or zh-CN")
    add_metric_argument(parser, "bleu and chrf")
    add_option_arguments(parser, ResamplingOptions)
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write all numbers as JSON")
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print scores with signatures and, of several systems, differences with intervals and p-values."""
    from aista import registry
    from aista.files import require_writable, write_json
    from aista.report.metric_inputs import read_inputs
    from aista.report.printed_tables import print_table
    from aista.report.tables import score_table
    from aista.report.text_scores import score_texts
    from aista.run_folder.run_names import RunNames
    from aista.scoring.metric_set import metric_set
    from aista.terminal import result_console

    options = read_options(args, ResamplingOptions)
    if args.out is not None:
        require_writable(args.out)
    registry.load_plugins(args.plugin)
    specs = read_metrics(args, ("bleu", "chrf"))
    metrics = metric_set(specs, at="--metric", target_language=args.target_language)
    read = _resegmented(args) if args.resegment else _read(args)
    references = read.references
    result = score_texts(
        read.systems, references, metrics, options, read_inputs(args.source, read.files, len(references))
    )
    signatures = {metric: signature + read.signed for metric, signature in result.signatures.items()}
    named = RunNames.of([row.name for row in result.systems], cut_ends=True)
    shown = [replace(row, name=name) for row, name in zip(result.systems, named.names, strict=True)]
    print_table(result_console(), score_table(shown, f"{len(references)} utterances"))
    for note in named.notes:
        say(note)
    for metric, signature in signatures.items():
        say(f"{metric}: {signature}")
    for note in result.notes:
        say(note)
    if args.out is not None:
        record = {"num_utterances": len(references), "systems": [asdict(row) for row in result.systems]}
        write_json(args.out, {**record, "signatures": signatures})
        say(f"written: {args.out}")
    return 0


class _Read(NamedTuple):
    """The texts to score, their files, and the note on resegmentation for signatures."""

    references: tuple[str, ...]
    systems: dict[str, tuple[str, ...]]
    files: list[Texts]
    signed: str = ""


def _read(args: argparse.Namespace) -> _Read:
    """Read the systems as they are."""
    from aista.report.text_scores import read_texts

    texts = {str(path): read_texts(path) for path in args.systems}
    files = [*([] if args.reference is None else [read_texts(args.reference)]), *texts.values()]
    references = files[0].references if args.reference is None else _references(files[0])
    if references is None:
        raise AistaError(f"{args.systems[0]}: holds no references; give them with --reference FILE, one in each line")
    return _Read(references, {name: each.hypotheses for name, each in texts.items()}, files)


def _resegmented(args: argparse.Namespace) -> _Read:
    """Read the systems, resegmented to the references' segments."""
    from aista.report.talk_texts import resegment_talk
    from aista.report.text_scores import read_texts
    from aista.scoring.resegmentation import SIGNATURE

    if args.reference is None:
        raise AistaError("--resegment needs the segments to divide a talk into; give them with --reference FILE")
    reference = read_texts(args.reference)
    systems = {}
    for path in args.systems:
        systems[str(path)], note = resegment_talk(path, _references(reference), args.target_language)
        say(note)
    return _Read(_references(reference), systems, [reference], f"|{SIGNATURE}")


def _references(file: Texts) -> tuple[str, ...]:
    """The references that the file contains, or its lines."""
    return file.hypotheses if file.references is None else file.references
