"""Decodes batches to translations and n-best lists, by the options of generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from aista import registry
from aista.errors import AistaError, ConfigError, Fault
from aista.modules.llms.search import GenerationConfig, Utility
from aista.scoring.base import Metric
from aista.scoring.bayes_risk import rank_by_utility
from aista.scoring.candidates import Candidate
from aista.tasks.base import Task
from aista.tasks.experiment import Experiment
from aista.types import Hypothesis, SpeechBatch

__all__ = ["Decoded", "Decoder"]


@dataclass(frozen=True)
class Decoded:
    """The decoding result of a row.

    Attributes:
        text: The translation.
        candidates: All hypotheses of the search, best first, so that the first is the translation; with ``mbr`` one for
            each distinct text. Empty where the task does not search.
        guarded: Whether ``no_repeat_ngram`` changed a step of the search.
    """

    text: str
    candidates: tuple[Candidate, ...] = ()
    guarded: bool = False


class Decoder:
    """Decodes batches with one task and one set of options.

    Args:
        experiment: Gives the languages.
        task: The task that decodes.
        generation: Search options; None means the experiment's.

    Raises:
        ConfigError: the utility of ``mbr`` cannot be built.
    """

    def __init__(self, experiment: Experiment, task: Task, generation: GenerationConfig | None = None) -> None:
        self.task = task
        self.generation = generation or experiment.sections.evaluation.generation
        data = experiment.sections.data
        self._language = data.target_language if task.scores_translations else data.source_language
        self._utilities: dict[str, Metric | None] = {}
        self._utility("")

    def decode(
        self, model: nn.Module, batch: SpeechBatch, *, from_text: bool = False, languages: Sequence[str] = ()
    ) -> list[Decoded]:
        """The translations of a batch, from the bare model.

        Args:
            model: The bare model.
            batch: B rows.
            from_text: Translate their transcripts.
            languages: Target language of each row, for the utility of ``mbr``; empty ones are the experiment's.
        """
        if not self.task.searches:
            decode = self.task.decode_text if from_text else self.task.decode
            return [Decoded(text) for text in decode(model, batch, self.generation)]
        found = self.task.hypotheses(model, batch, self.generation, from_text=from_text)
        of_rows = languages or [""] * len(found)
        return [self._choose(*row) for row in zip(found, map(self._utility, of_rows), strict=True)]

    def require_n_best(self, count: int) -> None:
        """Raise AistaError unless the search can list this number of candidates."""
        if not self.task.searches:
            raise AistaError(
                f"--n-best {count}: this run's task does not search, so it has no n-best list; leave it out"
            )
        if count > self.generation.beam_size:
            raise AistaError(
                f"--n-best {count}: must be at most the beam size of the search, which is {self.generation.beam_size}; "
                f"lower it, or add --beam-size {count}"
            )

    def _utility(self, language: str) -> Metric | None:
        language = language or self._language
        if language not in self._utilities:
            self._utilities[language] = _utility(self.generation.mbr, language)
        return self._utilities[language]

    def _choose(self, hypotheses: Sequence[Hypothesis], utility: Metric | None) -> Decoded:
        candidates = tuple(self._candidate(hypothesis) for hypothesis in hypotheses)
        if self.generation.mbr is not None and utility is not None:
            candidates = tuple(rank_by_utility(candidates, utility, self.generation.mbr.scale))
        return Decoded(candidates[0].text, candidates, hypotheses[0].guarded)

    def _candidate(self, hypothesis: Hypothesis) -> Candidate:
        return Candidate(
            text=self.task.tokenizer.decode(hypothesis.ids),
            score=hypothesis.score(self.generation.length_penalty),
            log_probability=hypothesis.log_probability,
            num_tokens=hypothesis.num_tokens,
        )


def _utility(spec: Utility | None, language: str) -> Metric | None:
    if spec is None:
        return None
    at = "evaluation.generation.mbr"
    metric: Metric = registry.build("metric", spec, at=at, target_language=language)
    if metric.needs:
        problem = (
            f"compares texts of a row with each other, but {spec.name!r} needs the {' and '.join(metric.needs)} too"
        )
        raise ConfigError([Fault(at, problem, "choose a metric of texts alone, such as chrf")])
    return metric
