"""Speech translation with inner alignment: L = CE + sum_k lambda_k(step) sum_l w_l OT_k,l (+ mt_weight MT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from aista import registry
from aista.data.features.base import Feature
from aista.data.row_checks import Limit
from aista.data.row_tasks import TASKS
from aista.data.tokenizers.base import TextTokenizer
from aista.errors import ConfigError, Fault
from aista.losses.base import AlignmentContext
from aista.modules.llms.base import GenerationConfig
from aista.modules.lsm import ForwardRequest, LargeSpeechTextModel
from aista.registry import register
from aista.schema import Component, Options, component, components, option
from aista.selection.base import LayerSelection, SelectedLayers
from aista.selection.retrieval_probe import RetrievalProbe
from aista.tasks.alignment_checks import check_layers, check_schedules, is_probed, probes_words
from aista.tasks.alignment_terms import AlignmentTerms, WeightedAlignment, build_terms
from aista.tasks.base import Logged, LossPart, Task, TaskLoss
from aista.tasks.experiment import Sections
from aista.tasks.limits import input_lengths, input_limit, position_limit
from aista.tasks.parts import TunedPart
from aista.tasks.prompting import ChatPrompt
from aista.tasks.prompts import Prompts, check_prompts
from aista.tasks.row_task_checks import check_row_tasks
from aista.types import Hypothesis, LsmOutput, SpeechBatch

__all__ = ["SpeechTranslationConfig", "SpeechTranslationTask"]


@dataclass(frozen=True, kw_only=True)
class SpeechTranslationConfig(Options):
    """Options of the task ``speech_translation``."""

    encoder: TunedPart = component("encoder", "conformer", "Speech encoder.", type=TunedPart)
    adapter: TunedPart = component("adapter", "conv", "Length and modality adapter.", type=TunedPart)
    llm: TunedPart = component("llm", "transformer_lm", "Decoder-only language model.", type=TunedPart)
    prompt: str | ChatPrompt = option(
        "{speech}",
        "Text with {speech} for the speech (or its transcript), or {user: ..., system: ...} for a chat model.",
    )
    prompts: dict[str, str | ChatPrompt | tuple[str | ChatPrompt, ...]] = option(
        {},
        "Prompts by task of the row (data.tasks), in place of `prompt`. From a list of several wordings, one is drawn "
        "for each row and epoch; the first is used outside training. {src_lang} and {tgt_lang} stand for the row's "
        "language codes, {tgt_lang:name} for a name such as French.",
    )
    alignment: tuple[WeightedAlignment, ...] = components(
        "alignment_loss", "Alignment losses; an empty list trains on cross-entropy alone.", type=WeightedAlignment
    )
    layer_selection: Component = component("layer_selection", "fixed", "Which LLM layers are aligned.")
    aligned_tasks: tuple[str, ...] = option(
        ("st", "asr", "cot"), "Tasks of `data.tasks` whose rows are aligned.", choices=("st", "asr", "cot")
    )
    text_gradient: bool = option(
        False, "Also train the text states by the alignment loss (at the cost of a backward pass)."
    )
    translation_weight: float = option(
        1.0,
        "Weight of the cross-entropy on the translation; 0 trains on alignment alone, at a fraction of the cost.",
        minimum=0,
    )
    mt_weight: float = option(0.0, "Weight of the text-translation loss from the transcript.", minimum=0)
    freeze_params: tuple[str, ...] = option(
        (), "Parameters not trained, e.g. [llm]; see `aista.modules.freezing`.", inherit=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompts(self.prompt, self.prompts)
        if not self.translation_weight and not self.mt_weight and not self.alignment:
            raise ValueError("translation_weight 0 leaves nothing to train on; name an alignment loss or raise it")


@register("task", "speech_translation", config=SpeechTranslationConfig)
class SpeechTranslationTask(Task):
    """Translate speech with an LLM, aligning its inner speech and text states (AI-STA, arXiv 2503.10211).

    The alignment term of a batch is the mean over its utterances weighted by their target tokens, so
    that the total is a sum over rows: the same for any number of processes or micro-batches. Rows
    without a transcript take part in the cross-entropy only. Alignment alone also takes rows without a
    translation, which count as many tokens as their transcripts have.

    Choose it for every speech LLM: with ``data.tasks`` it also learns recognition, or to write the transcript first.
    """

    takes_states = True
    translates_text = True
    row_tasks = tuple(TASKS)
    default_metrics = (Component("bleu"), Component("chrf"))
    feature: Feature

    def __init__(self, config: SpeechTranslationConfig, *, tokenizer: TextTokenizer, feature: Feature) -> None:
        super().__init__(config, tokenizer=tokenizer, feature=feature)
        self.prompts: Prompts = Prompts(config.prompt, config.prompts, tokenizer, usual="st")
        self.alignment = AlignmentTerms(build_terms(config.alignment), text_gradient=config.text_gradient)
        self.selected: SelectedLayers | None = None

    @property
    def needs_translations(self) -> bool:
        """False only where training uses nothing but an alignment of states."""
        config = self.config
        return bool(config.translation_weight or config.mt_weight or self.alignment.prediction_terms)

    @property
    def needs_words(self) -> bool:
        return self.alignment.needs_words

    @property
    def probes_words(self) -> bool:
        return bool(self.alignment.terms) and probes_words(self.config.layer_selection)

    @property
    def ends_early(self) -> bool:
        """Whether the speech branch ends at the deepest aligned layer in training, because the NLL is not needed."""
        terms = self.alignment
        return not self.config.translation_weight and bool(terms.state_terms) and not terms.prediction_terms

    @property
    def skips_parameters(self) -> bool:
        """True where LLM layers above the deepest aligned layer get no gradient from either branch.

        Also where all rows of a process may be texts, so that encoder and adapter get none.
        """
        if "mt" in self.prompts.tasks:
            return True
        is_trained = any(part.trainable for part in self.parameters.parts if part.part == "llm")
        return is_trained and self.ends_early and not self.config.mt_weight

    @property
    def min_transcripts(self) -> Mapping[str, int]:
        needs = {"train": 1} if self.alignment.terms or self.config.mt_weight > 0 else {}
        return needs | ({"dev": 2} if self.alignment.terms and is_probed(self.config.layer_selection) else {})

    @property
    def watches_validation(self) -> bool:
        return self.alignment.watches_validation

    @classmethod
    def check_options(cls, config: SpeechTranslationConfig, sections: Sections) -> list[Fault]:
        return check_layers(config.layer_selection, config.llm, sections) if config.alignment else []

    def check(self, sections: Sections) -> list[Fault]:
        config, schedules = self.config, [spec.schedule for spec in self.config.alignment]
        faults = check_schedules(self.alignment.terms, schedules, sections)
        aligned = config.aligned_tasks if config.alignment else None
        probed, weight = is_probed(config.layer_selection), config.mt_weight
        return faults + check_row_tasks(sections, self.tokenizer, aligned=aligned, probed=probed, mt_weight=weight)

    def start_step(self, step: int, num_steps: int) -> None:
        self.alignment.start_step(step, num_steps)

    def end_validation(self, step: int, score: float) -> None:
        self.alignment.end_validation(step, score)

    def build_model(self) -> LargeSpeechTextModel:
        tokenizer = self.tokenizer
        encoder = self.build_part("encoder", feature_dim=self.feature.dim)
        llm = self.build_part("llm", vocab_size=tokenizer.vocab_size)
        widths = {"input_dim": encoder.output_dim, "output_dim": llm.model_dim}
        adapter = self.build_part("adapter", **widths, vocab_size=tokenizer.vocab_size)
        if not adapter.even_in_time and (self.needs_words or self.probes_words):
            at = "alignment" if self.needs_words else "layer_selection"
            raise ConfigError([_uneven(self.config.adapter.name, at)])
        return LargeSpeechTextModel(
            encoder,
            adapter,
            llm,
            prompt=None if self.prompts.vary else self.prompts.first.ids,
            bos_id=self.prompts.first.bos_id,
            eos_id=self.prompts.first.eos_id,
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
        request = self._request(batch, is_training=model.training)
        out: LsmOutput = model(batch, request)
        out = out._replace(num_targets=batch.row_weights)
        cross_entropy = self._cross_entropy(out, batch, with_translation=request.translate)
        parts = [cross_entropy, _adapter_part(out)]
        if self.selected is not None:
            context = AlignmentContext(
                num_layers=len(request.capture),
                transcripts=batch.source,
                vocabulary=out.vocabulary,
                vocabulary_ids=request.vocabulary,
                pad_id=self.tokenizer.pad_id,
                words=batch.words,
            )
            aligned = out._replace(speech_lengths=out.speech_lengths.where(self._is_aligned(batch), 0))
            parts.append(self.alignment.loss(aligned, self.selected, context))
        return TaskLoss.of_parts(*parts, num_targets=batch.num_targets)

    def states_request(self, layers: tuple[int, ...]) -> ForwardRequest:
        """A request for the states of these layers, from the rows that are aligned."""
        return ForwardRequest(capture=layers, mt=self.config.mt_weight > 0)

    def probe_request(self, probe: RetrievalProbe) -> ForwardRequest:
        """A request for the states and readings that a probe measures."""
        request = self.states_request(probe.layers)
        return replace(request, readings=probe.readings, input_gradient=probe.agreement is not None)

    def _request(self, batch: SpeechBatch, *, is_training: bool) -> ForwardRequest:
        """A request for the outputs that the losses of this step need."""
        config, alignment = self.config, self.alignment
        is_aligning = self.selected is not None and alignment.is_active
        layers: tuple[int, ...] = ()
        if self.selected is not None and is_aligning and alignment.state_terms:
            layers = self.selected.layers
        return ForwardRequest(
            translate=not (is_training and layers and self.ends_early),
            mt=config.mt_weight > 0,
            capture=layers,
            divergences=alignment.divergences if is_aligning else (),
            vocabulary=alignment.vocabulary(batch, self.tokenizer) if is_aligning else None,
            text_gradient=config.text_gradient,
        )

    def _cross_entropy(self, out: LsmOutput, batch: SpeechBatch, *, with_translation: bool) -> LossPart:
        """Cross-entropy of the translation given the speech, and given the transcript in rows that have one."""
        config, has_target_B, num_targets = self.config, batch.target_lengths > 0, batch.num_translated
        nll_B = out.nll.where(has_target_B, 0.0)
        nll, metrics = nll_B.sum(), dict[str, Logged]()
        total = config.translation_weight * nll
        if with_translation and num_targets:
            metrics["nll"] = (nll.detach() / num_targets, float(num_targets))
            for name in dict.fromkeys(batch.tasks):
                metrics[f"nll_{name}"] = _mean(nll_B, batch, _are(batch, (name,)) & has_target_B)
        if config.mt_weight > 0:
            is_translated_B = has_target_B if not batch.tasks else has_target_B & _are(batch, ("st",))
            mt_nll_B = out.mt_nll.where(is_translated_B, 0.0)
            total = total + config.mt_weight * mt_nll_B.sum()
            if num_targets:
                metrics["mt_nll"] = _mean(mt_nll_B, batch, is_translated_B)
        return LossPart(total, metrics)

    def _is_aligned(self, batch: SpeechBatch) -> Tensor:
        """``[B]`` whether the alignment losses compare a row."""
        if not batch.tasks:
            return batch.audio_lengths > 0
        return _are(batch, self.config.aligned_tasks)

    def hypotheses(
        self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig, *, from_text: bool = False
    ) -> list[list[Hypothesis]]:
        """Translate by beam search: speech by the speech branch, transcripts (also those of ``mt``) by the text one."""
        assert isinstance(model, LargeSpeechTextModel)
        prompts = batch.prompts
        if from_text or (batch.spoken is not None and not len(batch.spoken)):
            return model.generate_from_text(batch.source, batch.source_lengths, generation, prompts=prompts)
        return model.generate(batch.audio, batch.audio_lengths, generation, encoded=batch.encoded, prompts=prompts)

    def positions(
        self, model: nn.Module, seconds: Sequence[float], source: Tensor, target: Tensor, *, max_new_tokens: int = 0
    ) -> Tensor:
        assert isinstance(model, LargeSpeechTextModel)
        is_speech = torch.tensor(seconds) > 0  # text rows have the transcript in its place
        speech = model.speech_positions(input_lengths(seconds, self.feature)).where(is_speech, source)
        in_speech_branch = speech + target.clamp(min=max_new_tokens) + self.prompts.num_positions
        in_text_branch = source + self.prompts.head_positions  # ends behind the transcript, unless trained on it
        if self.config.mt_weight > 0 or self.alignment.prediction_terms:
            in_text_branch = source + target + self.prompts.num_positions
        return torch.maximum(in_speech_branch, in_text_branch)

    def limits(self, model: nn.Module, *, max_new_tokens: int = 0) -> tuple[Limit, ...]:
        """Limits of the encoder's input, and of the language model's positions in both branches."""
        assert isinstance(model, LargeSpeechTextModel)
        measure = partial(self.positions, model, max_new_tokens=max_new_tokens)
        return input_limit(model.encoder, self.feature), position_limit(model.llm, self.tokenizer, measure)

    def references(self, batch: SpeechBatch) -> tuple[str, ...]:
        return batch.target_text

    def __repr__(self) -> str:
        losses: list[Any] = [spec.name for spec in self.config.alignment]
        return f"SpeechTranslationTask(alignment={losses}, selected={self.selected})"


def _are(batch: SpeechBatch, tasks: Sequence[str]) -> Tensor:
    """``[B]`` whether a row is for one of the tasks."""
    return torch.tensor([task in tasks for task in batch.tasks], device=batch.audio_lengths.device)


def _mean(nll_B: Tensor, batch: SpeechBatch, rows_B: Tensor) -> Logged:
    """NLL per target token of some rows."""
    weight = batch.row_weights.where(rows_B, 0).sum()
    return nll_B.detach().where(rows_B, 0).sum() / weight, weight


def _uneven(adapter: str, option: str) -> Fault:
    """The fault of an adapter whose positions have no fixed times."""
    problem = f"positions of {adapter!r} are not even in time, but {option} compares words by their times"
    return Fault("adapter", problem, f"choose conv, frame_stack or another that keeps time, or change {option}")


def _adapter_part(out: LsmOutput) -> LossPart:
    """The adapter's own losses, weighted by target tokens as the alignment is."""
    total, metrics = out.nll.new_zeros(()), {}
    for term in out.terms:
        total = total + term.weight * (term.value @ out.num_targets.to(term.value.dtype))
        num_rows = term.applies.sum()
        metrics[f"adapter_{term.name}"] = (term.value.detach().sum() / num_rows.clamp_min(1), num_rows)
    return LossPart(total, metrics)
