"""Scores by what rows are for and by the direction of translation: each with the metrics of its language."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from aista.engine.inputs import Split
from aista.errors import RunError
from aista.registry import nearest
from aista.schema import Component
from aista.scoring.base import Score
from aista.scoring.hypotheses import HypothesisRow
from aista.scoring.utterance_inputs import UtteranceInputs
from aista.tasks.experiment import Experiment
from aista.tasks.preflight import build_metrics, task_class

__all__ = ["Directions", "Scorer", "choose_row_task", "split_chain"]

log = logging.getLogger("aista.evaluate")

Directions = Mapping[str, tuple[Score, ...]]
"""``en-fr`` -> its scores."""


def choose_row_task(experiment: Experiment, asked: str, *, from_text: bool) -> str:
    """What rows are read for: as asked, or the usual; empty where a run does not tell rows apart.

    Args:
        experiment: The run's.
        asked: Name of a task, or empty.
        from_text: Whether transcripts are translated in place of the speech.

    Raises:
        RunError: the run was not trained on it.
    """
    tasks = experiment.sections.data.tasks or task_class(experiment).row_tasks[:1]
    if asked and asked not in tasks:
        raise RunError(
            f"--task: the run was trained on {', '.join(tasks) or 'rows of one kind'}, got {asked!r}"
            f"{nearest(asked, tasks)}; name one of these, or leave it out"
        )
    if not experiment.sections.data.tasks:
        return ""
    if not from_text:
        return asked or tasks[0]
    written = [name for name in ("mt", "st") if name in tasks]
    if not written or asked not in ("", *written):
        raise RunError(
            f"--from-transcript and --transcripts translate texts, which the run was not trained on for "
            f"{asked or 'any task'} (data.tasks: {', '.join(tasks)}); leave them out"
        )
    return asked or written[0]


class Scorer:
    """The metrics of what is scored, built for the language of each direction before anything is decoded.

    Args:
        experiment: The run's.
        metrics: In place of the run's; none for these.
        row_task: What the rows are for; empty where a run does not tell rows apart.
        split: What is to be scored.

    Attributes:
        places: Id -> where the row stands in the split.

    Raises:
        ConfigError: a metric cannot be built.
        DataError: a row lacks what a metric needs.
    """

    def __init__(self, experiment: Experiment, metrics: Sequence[Component], row_task: str, split: Split) -> None:
        rows, base = split.dataset.rows, split.inspections[0].manifest.resolve().parent
        self._inputs = UtteranceInputs(
            rows.texts("src_text"), [str(base / path) if path else "" for path in rows.texts("audio")]
        )
        self.places = {id: place for place, id in enumerate(rows.texts("id"))}
        languages = zip(rows.texts("src_lang"), rows.texts("tgt_lang"), strict=True)
        pairs = [(f"{source or '?'}-{target or '?'}", target) for source, target in languages]
        named = {target.casefold(): target for _, target in pairs if target}
        if len(named) < 2:
            pairs = [("", next(iter(named.values()), ""))] * len(rows)
        self._directions = [name for name, _ in pairs]
        self._metrics = {
            name: build_metrics(experiment, metrics, row_task=row_task, language=language)
            for name, language in sorted(set(pairs))
        }
        for metric in next(iter(self._metrics.values())):
            self._inputs.of(metric.needs, len(rows), metric.name)

    def score(self, outputs: Sequence[HypothesisRow]) -> tuple[tuple[Score, ...], Directions]:
        """The scores, and those of each direction where there are several: the former are their means then."""
        found = {}
        for name, metrics in self._metrics.items():
            some = [row for row in outputs if self._directions[self.places[row.id]] == name]
            hypotheses, references = [row.hypothesis for row in some], [row.reference for row in some]
            inputs = self._inputs.at([self.places[row.id] for row in some])
            found[name] = tuple(metric.score(hypotheses, references, inputs) for metric in metrics)
        return (found[""], {}) if "" in found else (_macro_average(found), found)


def _macro_average(directions: Directions) -> tuple[Score, ...]:
    """The mean of each metric over the directions."""
    averaged = []
    for scores in zip(*directions.values(), strict=True):
        value = math.fsum(score.value for score in scores) / len(scores)
        signatures = dict.fromkeys(score.signature for score in scores)
        signature = f"macro average of {', '.join(directions)}: {' and '.join(signatures)}"
        of_references = [score.references for score in scores if score.references is not None]
        gold = math.fsum(of_references) / len(scores) if of_references else None
        averaged.append(replace(scores[0], value=value, signature=signature, references=gold))
    return tuple(averaged)


def split_chain(
    rows: Sequence[HypothesisRow], marker: str, place: str
) -> tuple[list[HypothesisRow], list[HypothesisRow]]:
    """Outputs of the task ``cot`` as transcripts and as translations, both with their references.

    An output without the marker is all transcript: its translation is empty, and is counted in the log.
    """
    transcripts, translations, without = [], [], 0
    for row in rows:
        said, found, translation = row.hypothesis.partition(marker)
        without += not found
        reference = row.reference.removeprefix(f"{row.src_text} {marker} ")
        transcripts.append(replace(row, reference=row.src_text, hypothesis=said.strip()))
        translations.append(replace(row, reference=reference, hypothesis=translation.strip()))
    if without:
        log.warning(
            "%s: %d of %d outputs hold no marker %r: their translation is empty", place, without, len(rows), marker
        )
    return transcripts, translations
