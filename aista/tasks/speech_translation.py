"""Speech translation with inner alignment: L = CE + sum_k lambda_k(step) sum_l w_l OT_k,l (+ mt_weight MT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aista import registry
from aista.data.features.base import Feature
from aista.data.inspection import Limit
from aista.data.manifest import Row
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import ConfigError
from aista.losses.base import AlignmentContext, AlignmentLoss, apply, compares_predictions, needs
from aista.losses.schedules.base import WeightSchedule
from aista.modules.llms.base import GenerationConfig
from aista.modules.lsm import LargeSpeechTextModel
from aista.registry import register
from aista.schema import Component, component, components, option
from aista.selection.base import LayerSelection, SelectedLayers
from aista.selection.collapse import collapse_metrics
from aista.tasks._terms import adapter_terms, as_divergence, fold_layers, uneven_adapter
from aista.tasks.base import Task, TaskLoss
from aista.tasks.limits import input_lengths, input_limit, num_tokens, position_limit
from aista.tasks.parts import TunedPart
from aista.tasks.prompting import ChatPrompt, encode_prompt
from aista.types import LayerStates, LsmOutput, SpeechBatch, length_mask

__all__ = ["SpeechTranslationConfig", "SpeechTranslationTask", "WeightedAlignment"]


@dataclass(frozen=True)
class WeightedAlignment(Component):
    """An alignment loss and its weight lambda in the total loss."""

    weight: float = option(1.0, "lambda: weight of this alignment loss beside the cross-entropy per token.", minimum=0)
    schedule: Component = component("weight_schedule", "constant", "How lambda changes over the training steps.")


@dataclass(frozen=True, kw_only=True)
class SpeechTranslationConfig:
    """Options of the task ``speech_translation``."""

    encoder: TunedPart = component("encoder", "conformer", "Speech encoder.", type=TunedPart)
    adapter: TunedPart = component("adapter", "conv", "Length and modality adapter.", type=TunedPart)
    llm: TunedPart = component("llm", "transformer_lm", "Decoder-only language model.", type=TunedPart)
    prompt: str | ChatPrompt = option(
        "{speech}",
        "Text with {speech} for the speech (or its transcript), or {user: ..., system: ...} for a chat model.",
    )
    alignment: tuple[WeightedAlignment, ...] = components(
        "alignment_loss", "Alignment losses; an empty list trains on cross-entropy alone.", type=WeightedAlignment
    )
    layer_selection: Component = component("layer_selection", "fixed", "Which LLM layers are aligned.")
    text_gradient: bool = option(False, "Let the alignment loss move the text states too (costs a backward pass).")
    translation_weight: float = option(
        1.0,
        "Weight of the cross-entropy on the translation; 0 trains on alignment alone, at a fraction of the cost.",
        minimum=0,
    )
    mt_weight: float = option(0.0, "Weight of the text-translation loss from the transcript.", minimum=0)
    freeze_params: tuple[str, ...] = option((), "Parameters not trained, e.g. [llm]; see `aista.modules.freezing`.")

    def __post_init__(self) -> None:
        if not self.translation_weight and not self.mt_weight and not self.alignment:
            raise ValueError("translation_weight 0 leaves nothing to train on; name an alignment loss or raise it")


@register("task", "speech_translation", config=SpeechTranslationConfig)
class SpeechTranslationTask(Task):
    """Translate speech with an LLM, aligning its inner speech and text states (AI-STA, arXiv 2503.10211).

    The alignment term of a batch is the mean over its utterances weighted by their target tokens, so
    that the total is a sum over rows: the same for any number of processes or micro-batches. Rows
    without a transcript take part in the cross-entropy only.
    """

    takes_states = True
    default_metrics = (Component("bleu"), Component("chrf"))

    def __init__(self, config: SpeechTranslationConfig, *, tokenizer: TextTokenizer, feature_dim: int) -> None:
        super().__init__(config, tokenizer=tokenizer, feature_dim=feature_dim)
        self.prompt = encode_prompt(config.prompt, tokenizer)
        self.losses = [
            registry.build("alignment_loss", spec, at=f"alignment[{index}]")
            for index, spec in enumerate(config.alignment)
        ]
        self.needs = {name for loss in self.losses for name in needs(loss)}
        self.divergences = tuple(
            as_divergence(loss, detach_text=not config.text_gradient)
            for loss in self.losses
            if compares_predictions(loss)
        )
        self.schedules: list[WeightSchedule] = [
            registry.build("weight_schedule", spec.schedule, at=f"alignment[{index}].schedule")
            for index, spec in enumerate(config.alignment)
        ]
        self.factors = [1.0] * len(self.losses)  # of the weights; those of the schedules where steps are announced
        self.selected: SelectedLayers | None = None

    @property
    def needs_words(self) -> bool:
        """Whether a loss needs to know when each word is spoken."""
        return "words" in self.needs

    @property
    def watches_validation(self) -> bool:
        """Whether a weight depends on validation."""
        return any(schedule.watches_validation for schedule in self.schedules)

    def start_step(self, step: int, num_steps: int) -> None:
        """Set the alignment weights of the step."""
        self.factors = [schedule.factor(step, num_steps) for schedule in self.schedules]

    def end_validation(self, step: int, score: float) -> None:
        """Tell the schedules."""
        for schedule in self.schedules:
            schedule.observe(step, score)

    def build_model(self) -> LargeSpeechTextModel:
        """Assemble encoder, adapter and LLM."""
        tokenizer = self.tokenizer
        encoder = self.build_part("encoder", feature_dim=self.feature_dim)
        llm = self.build_part("llm", vocab_size=tokenizer.vocab_size)
        widths = {"input_dim": encoder.output_dim, "output_dim": llm.model_dim}
        adapter = self.build_part("adapter", **widths, vocab_size=tokenizer.vocab_size)
        if self.needs_words and not adapter.even_in_time:
            raise ConfigError([uneven_adapter(self.config.adapter.name)])
        return LargeSpeechTextModel(
            encoder,
            adapter,
            llm,
            prompt=self.prompt.ids,
            bos_id=self.prompt.bos_id,
            eos_id=self.prompt.eos_id,
            pad_id=tokenizer.pad_id,
        )

    def build_selection(self, num_layers: int) -> LayerSelection:
        """The layer-selection strategy for an LLM of ``num_layers`` blocks."""
        selection: LayerSelection = registry.build(
            "layer_selection", self.config.layer_selection, num_layers=num_layers
        )
        return selection

    def loss(self, model: nn.Module, batch: SpeechBatch) -> TaskLoss:
        """Cross-entropy on the translation, plus alignment at the selected layers once they are known."""
        is_aligning = self.selected is not None and any(self.factors)
        on_states = len(self.losses) > len(self.divergences)
        layers = self.selected.layers if self.selected is not None and is_aligning and on_states else ()
        translate = self._translates(model, layers)
        tokens = self._vocabulary(batch) if is_aligning else None
        out = self.forward(model, batch, capture=layers, aligning=is_aligning, vocabulary=tokens, translate=translate)
        num_targets = batch.num_targets
        metrics: dict[str, tuple[Tensor, float]] = {}
        if translate:
            metrics["nll"] = (out.nll.detach().sum() / num_targets, num_targets)
        total = self.config.translation_weight * out.nll.sum()
        if self.config.mt_weight > 0:
            total = total + self.config.mt_weight * out.mt_nll.sum()
            metrics["mt_nll"] = (out.mt_nll.detach().sum() / num_targets, num_targets)
        total = total + adapter_terms(out, metrics)
        if self.selected is not None:
            for number, (spec, factor) in enumerate(zip(self.config.alignment, self.factors, strict=True)):
                weight = torch.tensor(spec.weight * factor, dtype=torch.float64)
                metrics[f"{self._metric_name(number)}_weight"] = (weight, 1.0)
        if is_aligning:
            pad_id = self.tokenizer.pad_id
            context = AlignmentContext(len(layers), batch.source, out.vocabulary, tokens, pad_id, batch.words)
            total = total + self._alignment(out, context, metrics)
        return TaskLoss(total, num_targets, metrics)

    def _translates(self, model: nn.Module, layers: tuple[int, ...]) -> bool:
        """Whether to compute the NLL of the translation: not in training where it has no weight and states suffice."""
        return bool(self.config.translation_weight or self.divergences or not layers or not model.training)

    def forward(
        self,
        model: nn.Module,
        batch: SpeechBatch,
        *,
        capture: tuple[int, ...],
        aligning: bool = False,
        vocabulary: Tensor | None = None,
        translate: bool = True,
    ) -> LsmOutput:
        """One forward of the (wrapped) model on a batch; ``aligning`` adds the losses' comparisons of predictions."""
        output: LsmOutput = model(
            batch.audio,
            batch.audio_lengths,
            batch.source,
            batch.source_lengths,
            batch.target,
            batch.target_lengths,
            capture=capture,
            text_gradient=self.config.text_gradient,
            mt=self.config.mt_weight > 0,
            vocabulary=vocabulary,
            divergences=self.divergences if aligning else (),
            translate=translate,
            encoded=batch.encoded,
        )
        return output

    def _vocabulary(self, batch: SpeechBatch) -> Tensor | None:
        """The tokens whose embeddings the losses need, ascending."""
        device = batch.source.device
        if "vocabulary" in self.needs:
            return torch.arange(self.tokenizer.vocab_size, device=device)
        if "batch_vocabulary" in self.needs:
            tokens = batch.source[length_mask(batch.source_lengths, batch.source.size(1))]
            ids: Tensor = torch.unique(torch.cat([tokens, tokens.new_tensor([self.tokenizer.pad_id])]))
            return ids
        return None

    def _alignment(self, out: LsmOutput, context: AlignmentContext, metrics: dict[str, tuple[Tensor, float]]) -> Tensor:
        """The weighted losses, summed over rows; puts their means over the aligned rows into ``metrics``."""
        num_aligned = float((out.text_lengths > 0).sum())
        states = fold_layers(out) if out.speech else None
        divergences = iter(out.divergences)
        total = out.nll.new_zeros(())
        if num_aligned and states is not None:
            assert self.selected is not None
            seen = collapse_metrics(out, self.selected.layers)
            metrics |= {name: (value, num_aligned) for name, value in seen.items()}
        for number, (spec, loss) in enumerate(zip(self.config.alignment, self.losses, strict=True)):
            name, weight = self._metric_name(number), spec.weight * self.factors[number]
            if compares_predictions(loss):
                divergence_B = next(divergences)
                total = total + weight * divergence_B.sum()
                rows_B = divergence_B.detach() / out.num_targets
                found = {f"{name}_predictions": rows_B.sum() / max(num_aligned, 1)}
            else:
                assert states is not None
                value, found = self._align_states(loss, states, out, context, name, num_aligned)
                total = total + weight * value
            if num_aligned:
                metrics |= {key: (mean, num_aligned) for key, mean in found.items()}
        return total

    def _align_states(
        self,
        loss: AlignmentLoss,
        states: LayerStates,
        out: LsmOutput,
        context: AlignmentContext,
        name: str,
        num_aligned: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One loss on the states of all layers at once, and what to log of it."""
        assert self.selected is not None
        layers = self.selected.layers
        result = apply(loss, states, context, detach_text=not self.config.text_gradient)
        rows_LB = result.per_utterance_B.view(len(layers), -1)
        means_L = rows_LB.detach().sum(dim=1) / max(num_aligned, 1)
        found = {f"{name}_layer_{layer}": mean for layer, mean in zip(layers, means_L, strict=True)}
        found |= {f"{name}_{key}": value for key, value in result.diagnostics.items()}
        weights_L = rows_LB.new_tensor(self.selected.weights)
        return weights_L @ rows_LB @ out.num_targets.to(rows_LB.dtype), found

    def _metric_name(self, number: int) -> str:
        """What the metrics of an alignment loss begin with."""
        return "align" if len(self.losses) == 1 else f"align{number}"

    def decode(self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig) -> list[str]:
        """Translate by beam search; the text branch is not used."""
        assert isinstance(model, LargeSpeechTextModel)
        best = model.generate(batch.audio, batch.audio_lengths, generation, encoded=batch.encoded)
        return [self.tokenizer.decode(hypotheses[0].ids) for hypotheses in best]

    def limits(self, model: nn.Module, feature: Feature | None, *, max_new_tokens: int = 0) -> tuple[Limit, ...]:
        """The encoder's range, and the language model's positions in both branches."""
        assert isinstance(model, LargeSpeechTextModel)
        assert feature is not None

        def positions(rows: Sequence[Row], seconds: Sequence[float]) -> Tensor:
            speech = model.speech_positions(input_lengths(seconds, feature))
            source, target = (
                num_tokens([getattr(row, column) for row in rows], self.tokenizer)
                for column in ("src_text", "tgt_text")
            )
            in_speech_branch = speech + target.clamp(min=max_new_tokens) + model.prompt.num_positions
            in_text_branch = source + len(model.prompt.head)  # ends behind the transcript, unless trained on it
            if self.config.mt_weight > 0 or self.divergences:
                in_text_branch = source + target + model.prompt.num_positions
            return torch.maximum(in_speech_branch, in_text_branch)

        return input_limit(model.encoder, feature), position_limit(model.llm, positions)

    def references(self, batch: SpeechBatch) -> tuple[str, ...]:
        """The reference translations."""
        return batch.target_text

    def reject(self, row: Row) -> str:
        """Every row is meant for this task: one without audio or translation is a fault, not a stranger."""
        return ""

    def __repr__(self) -> str:
        losses: list[Any] = [spec.name for spec in self.config.alignment]
        return f"SpeechTranslationTask(alignment={losses}, selected={self.selected})"
