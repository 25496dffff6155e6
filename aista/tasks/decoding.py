"""Decodes batches to translations and n-best lists, by the options of generation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from aista import registry
from aista.errors import AistaError, ConfigError, Fault
from aista.modules.llms.search import GenerationConfig, Utility
from aista.scoring.base import Metric
from aista.scoring.bayes_risk import rank_by_utility
from aista.scoring.candidates import Candidate
from aista.scoring.utterance_inputs import NO_INPUTS, UtteranceInputs
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
        language: Target language, in place of the experiment's.
        chooses_late: Whether ``prepare`` and ``choose`` are called before and after all is decoded, so that the utility
            of ``mbr`` may need more than texts.

    Raises:
        ConfigError: the utility of ``mbr`` cannot be built, or needs more than texts.
    """

    def __init__(
        self,
        experiment: Experiment,
        task: Task,
        generation: GenerationConfig | None = None,
        *,
        language: str = "",
        chooses_late: bool = False,
    ) -> None:
        self.task = task
        self.generation = generation or experiment.sections.evaluation.generation
        data = experiment.sections.data
        usual = data.target_language if task.scores_translations else data.source_language
        self._language = language or usual
        self._chooses_late = chooses_late
        self._utilities: dict[str, Metric | None] = {}
        if self._language or not chooses_late:
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
        decoded = [self._decoded(hypotheses) for hypotheses in found]
        return decoded if self.needs else self._ranked(decoded, NO_INPUTS, languages)

    @property
    def needs(self) -> tuple[str, ...]:
        """Inputs other than texts that the utility of ``mbr`` needs; empty before it is built."""
        return next((utility.needs for utility in self._utilities.values() if utility is not None), ())

    def prepare(self, languages: Iterable[str], inputs: UtteranceInputs, size: int) -> None:
        """Check that ``size`` rows have what the utility of ``mbr`` needs.

        Args:
            languages: Target languages of the rows; empty ones are the experiment's.
            inputs: Inputs of the rows.
            size: Number of rows.

        Raises:
            ConfigError: the utility cannot be built for a language.
            DataError: rows lack what it needs.
        """
        for utility in map(self._utility, dict.fromkeys(languages)):
            if utility is not None:
                inputs.of(utility.needs, size, f"mbr by {utility.name}")

    def choose(
        self, decoded: Sequence[Decoded], inputs: UtteranceInputs, languages: Sequence[str] = ()
    ) -> list[Decoded]:
        """By a utility that needs more than texts, in one call for all rows; what needs none is chosen already.

        Args:
            decoded: Rows.
            inputs: Inputs of the rows.
            languages: As in ``decode``.

        Raises:
            DataError: a row lacks what the utility needs.
        """
        return self._ranked(decoded, inputs, languages) if self.needs else list(decoded)

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
            self._utilities[language] = _utility(self.generation.mbr, language, self._chooses_late)
        return self._utilities[language]

    def _decoded(self, hypotheses: Sequence[Hypothesis]) -> Decoded:
        candidates = tuple(map(self._candidate, hypotheses))
        return Decoded(candidates[0].text, candidates, hypotheses[0].guarded)

    def _ranked(self, decoded: Sequence[Decoded], inputs: UtteranceInputs, languages: Sequence[str]) -> list[Decoded]:
        ranked, of_rows = list(decoded), list(languages) or [""] * len(decoded)
        if self.generation.mbr is None or not self.task.searches:
            return ranked
        for language in dict.fromkeys(of_rows):
            places = [place for place, other in enumerate(of_rows) if other == language]
            rows = [decoded[place].candidates for place in places]
            utility = self._utility(language)
            assert utility is not None  # mbr is set
            found = rank_by_utility(rows, utility, self.generation.mbr.scale, inputs.at(places))
            for place, items in zip(places, found, strict=True):
                ranked[place] = replace(decoded[place], text=items[0].text, candidates=tuple(items))
        return ranked

    def _candidate(self, hypothesis: Hypothesis) -> Candidate:
        return Candidate(
            text=self.task.tokenizer.decode(hypothesis.ids),
            score=hypothesis.score(self.generation.length_penalty),
            log_probability=hypothesis.log_probability,
            num_tokens=hypothesis.num_tokens,
        )


def _utility(spec: Utility | None, language: str, chooses_late: bool) -> Metric | None:
    if spec is None:
        return None
    at = "evaluation.generation.mbr"
    metric: Metric = registry.build("metric", spec, at=at, target_language=language)
    if metric.needs and not chooses_late:
        problem = (
            f"compares texts of a row with each other, but {spec.name!r} needs the {' and '.join(metric.needs)} too"
        )
        remedy = "choose a metric that needs only texts, such as chrf; `aista evaluate --mbr` takes this one as well"
        raise ConfigError([Fault(at, problem, remedy)])
    return metric
