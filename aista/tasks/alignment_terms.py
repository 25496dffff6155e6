"""The alignment losses of a run: their weights over the steps, and their weighted sum over a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from aista import registry
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import ConfigError, Fault
from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.schedules.base import WeightSchedule
from aista.modules.packing import fill_padding
from aista.modules.predictions import Divergence
from aista.schema import Component, component, option
from aista.selection.base import SelectedLayers
from aista.selection.collapse_metrics import collapse_metrics
from aista.tasks.base import Logged, LossPart
from aista.types import LayerStates, LsmOutput, SpeechBatch

__all__ = ["AlignmentTerm", "AlignmentTerms", "WeightedAlignment", "build_terms"]


@dataclass(frozen=True)
class WeightedAlignment(Component):
    """An alignment loss and its weight lambda in the total loss."""

    weight: float = option(1.0, "lambda: weight of this alignment loss beside the cross-entropy per token.", minimum=0)
    schedule: Component = component("weight_schedule", "constant", "How lambda changes over the training steps.")


@dataclass(frozen=True)
class AlignmentTerm:
    """One alignment loss of the total, ``weight * schedule.factor(step) * loss``; its metrics begin with ``name``."""

    loss: AlignmentLoss
    weight: float
    schedule: WeightSchedule
    name: str


class AlignmentTerms:
    """All alignment losses of a run.

    Attributes:
        terms: In the order of the config.
        state_terms: Terms that compare the states of both branches at the selected layers.
        prediction_terms: Terms that compare both branches' predictions of the target tokens.
        divergences: The losses of ``prediction_terms`` in the form that the model takes.
        factors: Factor of each term's weight in this step; 1 where ``start_step`` is not called.
    """

    def __init__(self, terms: Iterable[AlignmentTerm], *, text_gradient: bool) -> None:
        self.terms = tuple(terms)
        self.state_terms = tuple(term for term in self.terms if term.loss.compares == "states")
        self.prediction_terms = tuple(term for term in self.terms if term.loss.compares == "predictions")
        self.divergences = tuple(
            as_divergence(term.loss, detach_text=not text_gradient) for term in self.prediction_terms
        )
        self.factors = (1.0,) * len(self.terms)
        self._detach_text = not text_gradient
        self._needs = {name for term in self.terms for name in term.loss.needs}

    @property
    def needs_words(self) -> bool:
        """Whether a loss needs word times."""
        return "words" in self._needs

    @property
    def watches_validation(self) -> bool:
        """Whether a weight depends on validation."""
        return any(term.schedule.watches_validation for term in self.terms)

    @property
    def is_active(self) -> bool:
        """Whether a term is active in this step."""
        return any(self.factors)

    def start_step(self, step: int, num_steps: int) -> None:
        """Set the weights of the step."""
        self.factors = tuple(term.schedule.factor(step, num_steps) for term in self.terms)

    def end_validation(self, step: int, score: float) -> None:
        """Pass the score on to the schedules."""
        for term in self.terms:
            term.schedule.observe(step, score)

    def vocabulary(self, batch: SpeechBatch, tokenizer: TextTokenizer) -> Tensor | None:
        """The tokens whose embeddings the losses need, ascending; a token that occurs often may be repeated."""
        device = batch.source.device
        if "vocabulary" in self._needs:
            return torch.arange(tokenizer.vocab_size, device=device)
        if "batch_vocabulary" in self._needs:
            tokens = fill_padding(batch.source, batch.source_lengths, tokenizer.pad_id).flatten()
            return functional.pad(tokens, (0, 1), value=tokenizer.pad_id).sort().values
        return None

    def loss(self, out: LsmOutput, selected: SelectedLayers, context: AlignmentContext) -> LossPart:
        """The weighted losses, summed over rows; logs weights, the number of aligned rows, and means over these.

        Args:
            out: In steps that count, with the states of the selected layers and the divergences that the terms need.
            selected: The layers and their weights.
            context: Inputs of the losses other than the states.
        """
        weights = [term.weight * factor for term, factor in zip(self.terms, self.factors, strict=True)]
        total = out.nll.new_zeros(())
        metrics: dict[str, Logged] = {
            f"{term.name}_weight": (torch.full((), weight, dtype=torch.float64, device=total.device), 1.0)
            for term, weight in zip(self.terms, weights, strict=True)
        }
        if not self.is_active:
            return LossPart(total, metrics)
        num_aligned = ((out.text_lengths > 0) & (out.speech_lengths > 0)).sum()
        metrics["aligned_rows"] = (num_aligned, None)
        values = self._predictions(out, num_aligned) | self._states(out, selected, context, num_aligned)
        for term, weight in zip(self.terms, weights, strict=True):
            total = total + weight * values[term.name].total
        seen = collapse_metrics(out, selected.layers) if self.state_terms else {}
        for term in self.terms:
            seen |= values[term.name].means
        metrics |= {name: (mean, num_aligned) for name, mean in seen.items()}
        return LossPart(total, metrics)

    def _states(
        self, out: LsmOutput, selected: SelectedLayers, context: AlignmentContext, num_aligned: Tensor
    ) -> dict[str, _Value]:
        """Term -> its loss on the states of all layers at once."""
        if not self.state_terms:
            return {}
        states = fold_layers(out)
        return {
            term.name: _of_states(
                term, term.loss(states, context, detach_text=self._detach_text), out, selected, num_aligned
            )
            for term in self.state_terms
        }

    def _predictions(self, out: LsmOutput, num_aligned: Tensor) -> dict[str, _Value]:
        """Term -> its loss on the predictions."""
        values = {}
        for term, divergence_B in zip(self.prediction_terms, out.divergences, strict=True):
            mean = (divergence_B.detach() / out.num_targets).sum() / num_aligned.clamp_min(1)
            values[term.name] = _Value(divergence_B.sum(), {f"{term.name}_predictions": mean})
        return values


class _Value(NamedTuple):
    """A term's sum over rows, before its weight, and means over the rows with a transcript."""

    total: Tensor
    means: dict[str, Tensor]


def _of_states(
    term: AlignmentTerm, result: AlignmentResult, out: LsmOutput, selected: SelectedLayers, num_aligned: Tensor
) -> _Value:
    rows_LB = result.per_utterance_B.view(len(selected.layers), -1)
    means_L = rows_LB.detach().sum(dim=1) / num_aligned.clamp_min(1)
    means = {f"{term.name}_layer_{layer}": mean for layer, mean in zip(selected.layers, means_L, strict=True)}
    means |= {f"{term.name}_{key}": value for key, value in result.diagnostics.items()}
    weights_L = torch.tensor(selected.weights, dtype=rows_LB.dtype).to(rows_LB.device, non_blocking=True)
    return _Value(weights_L @ rows_LB @ out.num_targets.to(rows_LB.dtype), means)


def fold_layers(out: LsmOutput) -> LayerStates:
    """All captured layers as one batch of ``L * B`` rows, so that a solver's iterations serve them together."""
    speech_lengths, text_lengths = (
        lengths.repeat(len(out.speech)) for lengths in (out.speech_lengths, out.text_lengths)
    )
    return LayerStates(torch.cat(out.speech), speech_lengths, torch.cat(out.text), text_lengths)


def as_divergence(loss: AlignmentLoss, *, detach_text: bool) -> Divergence:
    """The loss as a comparison of ``[K, V]`` logits: each target token is a row of length 1."""

    def compare(speech_KV: Tensor, text_KV: Tensor) -> Tensor:
        ones = torch.ones(len(speech_KV), dtype=torch.long, device=speech_KV.device)
        states = LayerStates(speech_KV[:, None], ones, text_KV[:, None], ones)
        return loss(states, AlignmentContext(), detach_text=detach_text).per_utterance_B

    return compare


def build_terms(specs: Sequence[WeightedAlignment]) -> Iterator[AlignmentTerm]:
    """The alignment losses that a config names; their metrics are called after them, ``ot`` and ``ot2`` if twice.

    Raises:
        ConfigError: a component is not an alignment loss, or cannot be built.
    """
    seen = Counter[str]()
    for index, spec in enumerate(specs):
        at = f"alignment[{index}]"
        seen[spec.name] += 1
        loss = registry.build("alignment_loss", spec, at=at)
        if not isinstance(loss, AlignmentLoss):
            problem = f"{type(loss).__name__} does not derive from AlignmentLoss"
            raise ConfigError([Fault(f"{at}.name", problem, "see aista.losses.base")])
        yield AlignmentTerm(
            loss,
            spec.weight,
            registry.build("weight_schedule", spec.schedule, at=f"{at}.schedule"),
            name=spec.name if seen[spec.name] == 1 else f"{spec.name}{seen[spec.name]}",
        )
