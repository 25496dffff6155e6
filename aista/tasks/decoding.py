"""Batches -> translations as the options of generation say, with what else the search found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from aista.errors import AistaError
from aista.modules.llms.base import GenerationConfig
from aista.scoring.candidates import Candidate
from aista.tasks.base import Task
from aista.types import Hypothesis, SpeechBatch

__all__ = ["Decoded", "Decoder"]


@dataclass(frozen=True)
class Decoded:
    """What a row is decoded to.

    Attributes:
        text: The translation.
        candidates: Everything that the search found, best first, the translation being the first; empty where the task
            does not search.
        guarded: Whether ``no_repeat_ngram`` changed a step of the search.
    """

    text: str
    candidates: tuple[Candidate, ...] = ()
    guarded: bool = False


class Decoder:
    """Decodes batches with one task and one set of options."""

    def __init__(self, task: Task, generation: GenerationConfig) -> None:
        self.task = task
        self.generation = generation

    def decode(self, model: nn.Module, batch: SpeechBatch, *, from_text: bool = False) -> list[Decoded]:
        """The translations of a batch, from the bare model; ``from_text``: of its transcripts."""
        if not self.task.searches:
            decode = self.task.decode_text if from_text else self.task.decode
            return [Decoded(text) for text in decode(model, batch, self.generation)]
        found = self.task.hypotheses(model, batch, self.generation, from_text=from_text)
        return [self._choose(hypotheses) for hypotheses in found]

    def require_n_best(self, count: int) -> None:
        """Raise AistaError unless the search can list so many candidates."""
        if not self.task.searches:
            raise AistaError(
                f"--n-best {count}: this run's task does not search, so it has no n-best list; leave it out"
            )
        if count > self.generation.beam_size:
            raise AistaError(
                f"--n-best {count}: must be at most the beam size of the search, which is {self.generation.beam_size}; "
                f"lower it, or add --beam-size {count}"
            )

    def _choose(self, hypotheses: Sequence[Hypothesis]) -> Decoded:
        candidates = tuple(self._candidate(hypothesis) for hypothesis in hypotheses)
        return Decoded(candidates[0].text, candidates, hypotheses[0].guarded)

    def _candidate(self, hypothesis: Hypothesis) -> Candidate:
        return Candidate(
            text=self.task.tokenizer.decode(hypothesis.ids),
            score=hypothesis.score(self.generation.length_penalty),
            log_probability=hypothesis.log_probability,
            num_tokens=hypothesis.num_tokens,
        )
