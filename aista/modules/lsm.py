"""The large speech-text model: speech encoder -> adapter -> language model, with both branches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from aista.modules.adapters.base import Adapter
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.freezing import FrozenInEval
from aista.modules.llms._common import evaluating
from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.modules.packing import Prompt, append_eos, token_nll
from aista.modules.prompt import PromptIds
from aista.types import Hypothesis, LsmOutput, length_mask

__all__ = ["LargeSpeechTextModel"]


class LargeSpeechTextModel(FrozenInEval):
    """Translates speech; in training it also shows the layer states of speech and transcript.

    A row of the language model reads ``[BOS] prefix speech suffix target EOS`` in the speech branch and
    ``[BOS] prefix transcript suffix target EOS`` in the text branch (arXiv 2503.10211). The loss is on
    target tokens and EOS alone.

    Attributes:
        encoder: The speech encoder.
        adapter: Encoder frames -> positions of the language model.
        llm: The language model, shared by both branches.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        adapter: Adapter,
        llm: LanguageModel,
        *,
        prompt: PromptIds,
        bos_id: int | None,
        eos_id: int,
        pad_id: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.adapter = adapter
        self.llm = llm
        self.prompt = Prompt(prompt, bos_id)
        self.eos_id = eos_id
        self.pad_id = pad_id

    def forward(
        self,
        audio: Tensor,
        audio_lengths: Tensor,
        source: Tensor,
        source_lengths: Tensor,
        target: Tensor,
        target_lengths: Tensor,
        *,
        capture: tuple[int, ...] = (),
        text_gradient: bool = False,
        mt: bool = False,
    ) -> LsmOutput:
        """Run both branches in one call, as data-parallel wrappers need it.

        The text branch runs only for ``capture`` or ``mt``. For ``capture`` alone it ends at the deepest
        captured layer. It runs for a batch without any transcript too, so that all ranks of a sharded
        model take the same steps.

        Args:
            audio: ``[B, W]`` waveform or ``[B, F, M]`` features.
            audio_lengths: ``[B]``.
            source: ``[B, T]`` transcript ids.
            source_lengths: ``[B]``; 0 where a row has no transcript.
            target: ``[B, U]`` translation ids, without EOS.
            target_lengths: ``[B]``.
            capture: Layers whose states to return, each in 0..num_layers.
            text_gradient: Whether gradients flow through the captured text states.
            mt: Whether to return the NLL of the targets given the transcripts as well (with gradients;
                0 for rows without a transcript).

        Raises:
            DataError: a row needs more positions than the language model has.
            ValueError: a captured layer does not exist.
        """
        source = source.masked_fill(~length_mask(source_lengths, source.size(1)), self.pad_id)
        target = target.masked_fill(~length_mask(target_lengths, target.size(1)), self.pad_id)
        goal = _Target(target, target_lengths, append_eos(target, target_lengths, self.eos_id))
        states_BSE, lengths = self._encode(audio, audio_lengths)
        adapted = self.adapter.adapt(states_BSE, lengths, source, source_lengths)
        speech_BPD, speech_lengths = _cast(adapted.positions, self.llm), adapted.lengths
        # The speech branch goes first: autocast reuses its casts of the weights, and those made by a pass
        # without gradients would cut the weights off.
        nll, speech = self._branch(speech_BPD, speech_lengths, goal, capture)
        text: tuple[Tensor, ...] = ()
        mt_nll = torch.zeros_like(nll)
        if capture or mt:
            with torch.set_grad_enabled(torch.is_grad_enabled() and (text_gradient or mt)):
                text_BTD = self.llm.embed(source)
                text_nll, text = self._branch(text_BTD, source_lengths, goal if mt else None, capture)
            if not text_gradient:
                text = tuple(states.detach() for states in text)
            mt_nll = text_nll if mt else mt_nll
        return LsmOutput(nll, target_lengths + 1, speech, speech_lengths, text, source_lengths, mt_nll, adapted.terms)

    @torch.no_grad()
    def match_scales(self, vocab_size: int) -> None:
        """Let a fresh adapter put out embeddings as large as those of the ``vocab_size`` tokens."""
        ids = torch.arange(vocab_size, device=next(self.llm.parameters()).device)
        self.adapter.match_output_scale(float(self.llm.embed(ids[None]).float().square().mean().sqrt()))

    def encode_speech(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Audio -> ``[B, P, D]`` embeddings for the language model, and their ``[B]`` lengths."""
        speech_BPD, lengths = self.adapter(*self._encode(audio, lengths))
        return _cast(speech_BPD, self.llm), lengths

    def speech_positions(self, audio_lengths: Tensor) -> Tensor:
        """Positions ``[B]`` that audio of ``[B]`` lengths takes in the language model.

        An upper bound on them where the adapter's ``exact_lengths`` is False.
        """
        return self.adapter.output_lengths(self.encoder.output_lengths(audio_lengths))

    def generate(self, audio: Tensor, audio_lengths: Tensor, config: GenerationConfig) -> list[list[Hypothesis]]:
        """Translate a batch of utterances; a row's result does not depend on the others.

        Returns:
            For each row at most ``config.beam_size`` hypotheses, best first.

        Raises:
            DataError: prompt, speech and ``max_new_tokens`` exceed the language model's positions.
        """
        with evaluating(self):
            rows = self.prompt.pack(self.llm, *self.encode_speech(audio, audio_lengths))
            return self.llm.generate(rows.embeddings, rows.lengths, config, eos_id=self.eos_id, pad_id=self.pad_id)

    def _encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Audio -> ``[B, S, E]`` encoder states as the adapter takes them, and their ``[B]`` lengths."""
        states_BSE, lengths = self.encoder(_cast(audio, self.encoder), lengths)
        return _cast(states_BSE, self.adapter), lengths

    def _branch(
        self, middle: Tensor, lengths: Tensor, goal: _Target | None, capture: tuple[int, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One pass of the language model: NLL ``[B]`` of the goal (zeros without one) and captured states."""
        if goal is None:
            rows = self.prompt.pack(self.llm, middle, lengths, with_suffix=False)
        else:
            rows = self.prompt.pack(self.llm, middle, lengths, goal.ids, goal.lengths)
        states, captured = self.llm(rows.embeddings, rows.lengths, capture=capture, stop_at_capture=goal is None)
        captured = tuple(rows.middle(layer, lengths, middle.size(1)) for layer in captured)
        if goal is None:
            return middle.new_zeros(len(lengths), dtype=torch.float32), captured
        valid_BU = length_mask(goal.lengths + 1, goal.labels.size(1)) & (lengths > 0)[:, None]
        return token_nll(self.llm, states, rows.target_start, goal.labels, valid_BU), captured


class _Target(NamedTuple):
    """``[B, U]`` ids, their ``[B]`` lengths, and the ``[B, U + 1]`` labels with EOS."""

    ids: Tensor
    lengths: Tensor
    labels: Tensor


def _cast(x: Tensor, module: nn.Module) -> Tensor:
    """``x`` in the dtype of the module's weights: FSDP2's validation runs without its casting hooks."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), None)
    return x if weight is None or not x.is_floating_point() else x.to(weight.dtype)
