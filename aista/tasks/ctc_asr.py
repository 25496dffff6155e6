"""CTC speech recognition: trains a small speech encoder before joint training with the LLM."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from aista.data.features.base import Feature
from aista.data.manifest import Row
from aista.data.row_checks import Limit
from aista.modules.ctc_model import CtcModel
from aista.modules.llms.base import GenerationConfig
from aista.registry import register
from aista.schema import Component, Options, component, option
from aista.tasks.base import Task, TaskLoss
from aista.tasks.limits import input_limit
from aista.tasks.parts import TunedPart
from aista.types import SpeechBatch

__all__ = ["CtcAsrConfig", "CtcAsrTask"]


@dataclass(frozen=True, kw_only=True)
class CtcAsrConfig(Options):
    """Options of the task ``ctc_asr``."""

    encoder: TunedPart = component("encoder", "conformer", "Speech encoder.", type=TunedPart)
    freeze_params: tuple[str, ...] = option((), "Parameters not trained; see `aista.modules.freezing`.", inherit=False)


@register("task", "ctc_asr", config=CtcAsrConfig)
class CtcAsrTask(Task):
    """Recognise transcripts with CTC (Graves et al. 2006). Choose it where no pretrained encoder fits."""

    takes_states = True
    scores_translations = False
    default_metrics = (Component("wer"), Component("cer"))
    feature: Feature

    def build_model(self) -> CtcModel:
        """The encoder under a linear CTC head over the tokenizer's pieces."""
        encoder = self.build_part("encoder", feature_dim=self.feature.dim)
        return CtcModel(encoder, self.tokenizer.vocab_size)

    def loss(self, model: nn.Module, batch: SpeechBatch) -> TaskLoss:
        """CTC negative log-likelihood; rows with more tokens than frames are left out and counted."""
        out = model(batch.audio, batch.audio_lengths, batch.source, batch.source_lengths, encoded=batch.encoded)
        num_targets = max(int(out.num_targets.sum()), 1)
        metrics = {
            "nll": (out.nll.detach().sum() / num_targets, float(num_targets)),
            "rows_too_short_for_ctc": (out.num_infeasible.float() / len(batch), float(len(batch))),
        }
        return TaskLoss(out.nll.sum(), num_targets, metrics)

    def decode(self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig) -> list[str]:
        """Greedy CTC decoding; ``generation`` does not apply."""
        assert isinstance(model, CtcModel)
        rows = model.greedy(batch.audio, batch.audio_lengths, encoded=batch.encoded)
        return [self.tokenizer.decode(ids) for ids in rows]

    def limits(self, model: nn.Module, *, max_new_tokens: int = 0) -> tuple[Limit, ...]:
        assert isinstance(model, CtcModel)
        return (input_limit(model.encoder, self.feature),)

    def references(self, batch: SpeechBatch) -> tuple[str, ...]:
        return batch.source_text

    def reject(self, row: Row) -> str:
        """Only speech translation uses rows without a transcript."""
        return "" if row.src_text else "no transcript"
