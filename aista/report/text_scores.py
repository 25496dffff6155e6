"""Scores of translations in text files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aista.errors import DataError
from aista.report.report_options import ResamplingOptions
from aista.report.tables import SystemRow
from aista.scoring.base import Metric
from aista.scoring.hypotheses import COLUMNS, read_hypotheses, sameness
from aista.scoring.significance import Comparison, paired_bootstrap
from aista.scoring.utterance_inputs import NO_INPUTS, UtteranceInputs
from aista.text import is_blank, read_lines

__all__ = ["TextScores", "Texts", "compare_texts", "of_references", "read_texts", "score_texts", "system_row"]


@dataclass(frozen=True)
class Texts:
    """A system's texts, one per utterance; references, transcripts and ids where the file has them."""

    hypotheses: tuple[str, ...]
    references: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TextScores:
    """Results of several systems on one set of references.

    Attributes:
        systems: The baseline first; the others compared with it in the first metric.
        signatures: Metric -> signature, with bootstrap samples and seed where systems were compared.
        notes: Notes and warnings to print below the scores.
    """

    systems: tuple[SystemRow, ...]
    signatures: Mapping[str, str]
    notes: tuple[str, ...]


def read_texts(path: Path) -> Texts:
    """Read hypotheses of ``aista evaluate`` (``hypotheses.tsv``), or plain text with one utterance per line.

    Raises:
        DataError: the file cannot be read, is not UTF-8, or is empty.
    """
    lines = read_lines(
        path, "no such file; give a text file with an utterance in each line, or the hypotheses of an evaluated run"
    )
    if not lines:
        raise DataError(f"{path}: is empty; it must have an utterance in each line")
    if set(COLUMNS) <= set(lines[0].split("\t")):
        rows = read_hypotheses(path)
        return Texts(
            hypotheses=tuple(row.hypothesis for row in rows),
            references=tuple(row.reference for row in rows),
            sources=tuple(row.src_text for row in rows),
            ids=tuple(row.id for row in rows),
        )
    return Texts(tuple(lines))


def score_texts(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str],
    metrics: Sequence[Metric],
    options: ResamplingOptions,
    inputs: UtteranceInputs = NO_INPUTS,
) -> TextScores:
    """Score the systems, and compare each with the first by paired bootstrap in each metric.

    Args:
        systems: Label -> texts, the baseline first.
        references: One for each text.
        metrics: The first decides differences and p-values.
        options: Options of the resampling.
        inputs: The translated inputs, for metrics that need them.

    Raises:
        DataError: the numbers of texts and references differ, a score is undefined, or an utterance lacks an input of a
            metric.
    """
    for name, texts in systems.items():
        if len(texts) != len(references):
            raise DataError(
                f"{name}: has {len(texts)} texts for {len(references)} references; give one for each, an empty line "
                "where there is none"
            )
    first, *others = systems
    notes = [*of_references(metrics, references, inputs), *_notes(systems, references)]
    if not others:
        scores = {metric.name: metric.score(systems[first], references, inputs).value for metric in metrics}
        signatures = {metric.name: metric.signature for metric in metrics}
        return TextScores((SystemRow(name=first, scores=scores),), signatures, tuple(notes))
    comparisons = compare_texts(systems, references, metrics, options, inputs)
    signatures = {comparison.metric: comparison.signature for comparison in comparisons}
    return TextScores(tuple(system_row(name, comparisons) for name in systems), signatures, tuple(notes))


def compare_texts(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[str],
    metrics: Sequence[Metric],
    options: ResamplingOptions,
    inputs: UtteranceInputs = NO_INPUTS,
) -> tuple[Comparison, ...]:
    """Compare each of at least two systems with the first, by paired bootstrap in each metric."""
    first, *others = systems
    return tuple(
        paired_bootstrap(
            (first, systems[first]),
            {name: systems[name] for name in others},
            references,
            metric,
            inputs=inputs,
            samples=options.samples,
            seed=options.seed,
        )
        for metric in metrics
    )


def system_row(name: str, comparisons: Sequence[Comparison]) -> SystemRow:
    """A system's scores in all comparisons, and its difference from the baseline in the first."""
    result = comparisons[0].system(name)
    scores = {comparison.metric: comparison.system(name).score for comparison in comparisons}
    if result.p_value is None:  # the baseline
        return SystemRow(name=name, scores=scores)
    return SystemRow(
        name=name,
        scores=scores,
        difference=result.difference,
        interval=result.difference_interval,
        p_value=result.p_value,
    )


def of_references(metrics: Sequence[Metric], references: Sequence[str], inputs: UtteranceInputs) -> Iterator[str]:
    """For each metric in which references need not score perfectly, a line with their score."""
    for metric in metrics:
        if metric.scores_references:
            yield f"{metric.name} of the references: {metric.score(references, references, inputs).value:.2f}"


def _notes(systems: Mapping[str, Sequence[str]], references: Sequence[str]) -> list[str]:
    notes = []
    for name, texts in systems.items():
        empty = sum(is_blank(text) for text in texts)
        if empty:
            notes.append(f"WARNING: {name}: {empty} of {len(texts)} texts are empty; they are scored as such")
        warning = sameness(texts, references)
        if warning:
            notes.append(f"WARNING: {name}: {warning}")
    return notes
