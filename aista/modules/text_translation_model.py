"""The model of the task ``text_translation``, which pretrains a language model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aista.modules.freezing import FrozenInEval
from aista.modules.generation import evaluating
from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.modules.packing import Prompt, append_eos, fill_padding
from aista.modules.predictions import Tokens, token_nll
from aista.modules.prompt import PromptIds
from aista.types import Hypothesis, RowPrompts, length_mask

__all__ = ["TextTranslationModel", "TextTranslationOutput"]


class TextTranslationOutput(NamedTuple):
    """Result of one forward pass, in fp32 nats per row.

    Attributes:
        nll: ``[B]`` summed NLL of each row's target tokens and EOS; 0 for rows without source.
        num_targets: ``[B]`` number of those tokens; 0 for rows without source.
        source_nll: ``[B]`` summed NLL of the source tokens given what precedes them; zeros unless asked for.
        num_sources: ``[B]`` number of those tokens; zeros unless asked for.
    """

    nll: Tensor
    num_targets: Tensor
    source_nll: Tensor
    num_sources: Tensor


class TextTranslationModel(FrozenInEval):
    """The text branch of the large speech-text model: the same rows, with the transcript in place of the speech.

    ``LargeSpeechTextModel`` can start from its checkpoint's ``llm``.
    """

    def __init__(
        self, llm: LanguageModel, *, prompt: PromptIds | None, bos_id: int | None, eos_id: int, pad_id: int
    ) -> None:
        super().__init__()
        self.llm = llm
        self.prompt = Prompt(prompt, bos_id)
        self.eos_id = eos_id
        self.pad_id = pad_id

    def forward(
        self,
        source: Tensor,
        source_lengths: Tensor,
        target: Tensor,
        target_lengths: Tensor,
        *,
        with_source: bool = False,
        prompts: RowPrompts | None = None,
    ) -> TextTranslationOutput:
        """NLL of the targets, and of the source tokens if asked for (a language-model loss on the source).

        Args:
            source: ``[B, T]`` ids without BOS and EOS.
            source_lengths: ``[B]``; rows of length 0 are left out of both sums.
            target: ``[B, U]`` ids without EOS.
            target_lengths: ``[B]``.
            with_source: Whether to compute ``source_nll``. Without BOS and prefix the first source token
                has nothing before it and is left out.
            prompts: The prompt of each row; None: the model's own prompt in all rows.

        Raises:
            DataError: a row needs more positions than the language model has.
        """
        source = fill_padding(source, source_lengths, self.pad_id)
        target = fill_padding(target, target_lengths, self.pad_id)
        middle = self.llm.embed(source)
        rows = self.prompt.pack(self.llm, middle, source_lengths, target, target_lengths, prompts=prompts)
        labels = append_eos(target, target_lengths, self.eos_id)
        valid_BU = length_mask(target_lengths + 1, labels.size(1)) & (source_lengths > 0)[:, None]
        targets = Tokens.of(valid_BU)
        start = torch.as_tensor(rows.middle_start, device=source.device).expand_as(source_lengths)
        if with_source:
            valid_BT = length_mask(source_lengths, source.size(1)).clone()
            valid_BT[:, :1] &= (start > 0)[:, None]
            sources = Tokens.of(valid_BT)
        states, _ = self.llm(rows.embeddings, rows.lengths)
        nll = token_nll(self.llm, states, rows.target_start, labels, targets)
        source_nll, num_sources = torch.zeros_like(nll), torch.zeros_like(source_lengths)
        if with_source:
            source_nll, num_sources = token_nll(self.llm, states, start, source, sources), valid_BT.sum(dim=1)
        return TextTranslationOutput(nll, valid_BU.sum(dim=1), source_nll, num_sources)

    def generate(
        self,
        source: Tensor,
        source_lengths: Tensor,
        config: GenerationConfig,
        *,
        prompts: RowPrompts | None = None,
    ) -> list[list[Hypothesis]]:
        """Translate a batch of texts; a row's result does not depend on the others.

        Returns:
            All final hypotheses of each row, best first; at least one.

        Raises:
            DataError: prompt, source and ``max_new_tokens`` exceed the language model's positions.
        """
        with evaluating(self):
            source = fill_padding(source, source_lengths, self.pad_id)
            rows = self.prompt.pack(self.llm, self.llm.embed(source), source_lengths, prompts=prompts)
            return self.llm.generate(rows.embeddings, rows.lengths, config, eos_id=self.eos_id, pad_id=self.pad_id)
