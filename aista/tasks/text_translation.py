"""Text translation: trains a small LLM on the two languages before it reads speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from aista.data.manifest import Row
from aista.data.row_checks import Limit
from aista.data.tokenizers.base import TextTokenizer
from aista.modules.llms.base import GenerationConfig
from aista.modules.text_translation_model import TextTranslationModel
from aista.registry import register
from aista.schema import Component, Options, component, option
from aista.tasks.base import Logged, Task, TaskLoss
from aista.tasks.limits import position_limit
from aista.tasks.parts import TunedPart
from aista.tasks.prompting import ChatPrompt
from aista.tasks.prompts import Prompts, check_prompts
from aista.types import Hypothesis, SpeechBatch

__all__ = ["TextTranslationConfig", "TextTranslationTask"]


@dataclass(frozen=True, kw_only=True)
class TextTranslationConfig(Options):
    """Options of the task ``text_translation``."""

    llm: TunedPart = component("llm", "transformer_lm", "Decoder-only language model.", type=TunedPart)
    prompt: str | ChatPrompt = option(
        "{speech}", "The speech task's prompt, a text or a chat; the transcript takes the speech's place."
    )
    prompts: dict[str, str | ChatPrompt | tuple[str | ChatPrompt, ...]] = option(
        {}, "The speech task's prompts; the one of `mt` is used here, if there is one."
    )
    source_weight: float = option(0.5, "Weight of the language-model loss on the source text.", minimum=0)
    freeze_params: tuple[str, ...] = option((), "Parameters not trained; see `aista.modules.freezing`.", inherit=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompts(self.prompt, self.prompts)


@register("task", "text_translation", config=TextTranslationConfig)
class TextTranslationTask(Task):
    """Translate transcripts. Choose it as the first stage where no pretrained LLM knows the languages."""

    uses_audio = False
    translates_text = True
    default_metrics = (Component("bleu"), Component("chrf"))

    def __init__(self, config: TextTranslationConfig, *, tokenizer: TextTokenizer) -> None:
        super().__init__(config, tokenizer=tokenizer)
        self.prompts: Prompts = Prompts(config.prompt, config.prompts, tokenizer, usual="mt")

    def build_model(self) -> TextTranslationModel:
        tokenizer = self.tokenizer
        llm = self.build_part("llm", vocab_size=tokenizer.vocab_size)
        first = self.prompts.first
        ids = None if self.prompts.vary else first.ids
        return TextTranslationModel(llm, prompt=ids, bos_id=first.bos_id, eos_id=first.eos_id, pad_id=tokenizer.pad_id)

    def loss(self, model: nn.Module, batch: SpeechBatch) -> TaskLoss:
        """Cross-entropy on the translation, and on the source text with ``source_weight``."""
        with_source = self.config.source_weight > 0
        texts = (batch.source, batch.source_lengths, batch.target, batch.target_lengths)
        out = model(*texts, with_source=with_source, prompts=batch.prompts)
        num_targets = batch.num_targets
        metrics: dict[str, Logged] = {"nll": (out.nll.detach().sum() / num_targets, float(num_targets))}
        total = out.nll.sum()
        if with_source:
            num_source = batch.source_lengths.sum().clamp_min(1)
            metrics["source_nll"] = (out.source_nll.detach().sum() / num_source, num_source)
            total = total + self.config.source_weight * out.source_nll.sum()
        return TaskLoss(total, num_targets, metrics)

    def hypotheses(
        self, model: nn.Module, batch: SpeechBatch, generation: GenerationConfig, *, from_text: bool = False
    ) -> list[list[Hypothesis]]:
        """Translate the transcripts by beam search, the only input of this task."""
        assert isinstance(model, TextTranslationModel)
        return model.generate(batch.source, batch.source_lengths, generation, prompts=batch.prompts)

    def positions(
        self, model: nn.Module, seconds: Sequence[float], source: Tensor, target: Tensor, *, max_new_tokens: int = 0
    ) -> Tensor:
        assert isinstance(model, TextTranslationModel)
        return source + target.clamp(min=max_new_tokens) + self.prompts.num_positions

    def limits(self, model: nn.Module, *, max_new_tokens: int = 0) -> tuple[Limit, ...]:
        assert isinstance(model, TextTranslationModel)
        measure = partial(self.positions, model, max_new_tokens=max_new_tokens)
        return (position_limit(model.llm, self.tokenizer, measure),)

    def references(self, batch: SpeechBatch) -> tuple[str, ...]:
        return batch.target_text

    def reject(self, row: Row) -> str:
        """Only speech translation uses rows without a transcript."""
        return "" if row.src_text else "no transcript"
