"""Scores by task of the rows and direction of translation, each with the metrics of its language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from aista.engine.inputs import Split
from aista.errors import RunError
from aista.registry import nearest
from aista.schema import Component
from aista.scoring.base import Score
from aista.scoring.hypotheses import HypothesisRow, direction_of, has_directions
from aista.scoring.macro_average import MacroAverage
from aista.scoring.utterance_inputs import UtteranceInputs
from aista.tasks.experiment import Experiment
from aista.tasks.preflight import build_direction_metrics, task_class

__all__ = ["Directions", "Scorer", "choose_row_task", "split_chain"]


Directions = Mapping[str, tuple[Score, ...]]
"""``en-fr`` -> its scores."""


def choose_row_task(experiment: Experiment, asked: str, *, from_text: bool) -> str:
    """The task of the rows: as requested, or the default; empty where a run has a single task.

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
        row_task: Task of the rows; empty where a run has a single task.
        split: The split to score.

    Attributes:
        places: Id -> where the row stands in the split.
        inputs: Inputs of the rows, in the split's order.

    Raises:
        ConfigError: a metric cannot be built.
        DataError: a row lacks what a metric needs.
    """

    def __init__(self, experiment: Experiment, metrics: Sequence[Component], row_task: str, split: Split) -> None:
        rows, base = split.dataset.rows, split.inspections[0].manifest.resolve().parent
        self.places = {id: place for place, id in enumerate(rows.texts("id"))}
        pairs = list(zip(rows.texts("src_lang"), rows.texts("tgt_lang"), strict=True))
        self._pairs, self._directions = pairs, [direction_of(*pair) for pair in pairs]
        audio = [str(base / path) if path else "" for path in rows.texts("audio")]
        self.inputs = UtteranceInputs(rows.texts("src_text"), audio, self._directions)
        self._languages = {"": next((target for _, target in pairs if target), "")}
        if has_directions(target for _, target in pairs):
            self._languages = {direction_of(*pair): pair[1] for pair in sorted(pairs)}
        self._metrics = build_direction_metrics(experiment, row_task, self._languages, metrics)
        for metric in self._metrics:
            self.inputs.of(metric.needs, len(rows), metric.name)

    def target_languages(self, ids: Iterable[str]) -> list[str]:
        """Languages of these rows; empty where a row has none."""
        return [self._pairs[self.places[id]][1] for id in ids]

    def with_languages(self, outputs: Sequence[HypothesisRow]) -> list[HypothesisRow]:
        """The outputs with the languages of their rows."""
        pairs = [self._pairs[self.places[row.id]] for row in outputs]
        return [replace(row, src_lang=s, tgt_lang=t) for row, (s, t) in zip(outputs, pairs, strict=True)]

    def score(self, outputs: Sequence[HypothesisRow]) -> tuple[tuple[Score, ...], Directions]:
        """The scores, and those of each direction; with several directions the former are means over them."""
        places = [self.places[row.id] for row in outputs]
        hypotheses, references = [row.hypothesis for row in outputs], [row.reference for row in outputs]
        inputs = self.inputs.at(places)
        scores = tuple(metric.score(hypotheses, references, inputs) for metric in self._metrics)
        if len(self._languages) == 1:
            return scores, {}
        found = {}
        for name in self._languages:
            some = [index for index, place in enumerate(places) if self._directions[place] == name]
            texts = [hypotheses[index] for index in some], [references[index] for index in some], inputs.at(some)
            found[name] = tuple(
                metric.parts[name].score(*texts) for metric in self._metrics if isinstance(metric, MacroAverage)
            )
        return scores, found


def split_chain(rows: Sequence[HypothesisRow], marker: str) -> tuple[list[HypothesisRow], list[HypothesisRow]]:
    """Outputs of the task ``cot`` as transcripts and as translations, both with their references.

    An output without the marker is all transcript: its translation is empty.
    """
    transcripts, translations = [], []
    for row in rows:
        said, _, translation = row.hypothesis.partition(marker)
        reference = row.reference.removeprefix(f"{row.src_text} {marker} ")
        transcripts.append(replace(row, reference=row.src_text, hypothesis=said.strip(), tgt_lang=row.src_lang))
        translations.append(replace(row, reference=reference, hypothesis=translation.strip()))
    return transcripts, translations
