"""The large speech-text model: speech encoder -> adapter -> language model, with both branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aista.modules.adapters.base import Adapter, AdapterOutput
from aista.modules.encoders.base import SpeechEncoder
from aista.modules.freezing import FrozenInEval
from aista.modules.generation import evaluating
from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.modules.packing import Prompt, append_eos, fill_padding
from aista.modules.predictions import Divergence, Tokens, token_divergence, token_nll
from aista.modules.prompt import PromptIds
from aista.modules.spoken_rows import speech_or_text, spread_rows
from aista.modules.token_reading import read_tokens
from aista.types import Hypothesis, LsmOutput, RowPrompts, SpeechBatch, length_mask, zero_padding

__all__ = ["ForwardRequest", "LargeSpeechTextModel"]


@dataclass(frozen=True, kw_only=True)
class ForwardRequest:
    """The outputs to compute in one forward pass of the model.

    Attributes:
        translate: The NLL of the targets given the speech. If not, it is 0 and the speech branch ends at the deepest
            captured layer.
        mt: The NLL of the targets given the transcripts too, with gradients; 0 for rows without a transcript.
        capture: Layers whose states of both branches are returned, each in 0..num_layers.
        divergences: Comparisons of the branches' predictions of each target token; rows without a transcript are
            left out.
        vocabulary: ``[C]`` tokens whose embeddings are returned.
        text_gradient: Whether gradients flow through the captured text states and those embeddings.
        readings: Whether the output layer is applied to the captured speech states (logit lens, ``token_reading``).
        input_gradient: Whether the speech branch keeps its graph from the adapter's output, which is returned as
            ``embedded``, even where gradients are off outside. Encoder and adapter have no gradient then.
    """

    translate: bool = True
    mt: bool = False
    capture: tuple[int, ...] = ()
    divergences: tuple[Divergence, ...] = ()
    vocabulary: Tensor | None = None
    text_gradient: bool = False
    readings: bool = False
    input_gradient: bool = False

    def __post_init__(self) -> None:
        if self.divergences and not self.translate:
            raise ValueError("divergences compare predictions of the targets: they need translate=True")

    @property
    def runs_text_branch(self) -> bool:
        """Whether the transcripts go through the language model."""
        return bool(self.mt or self.capture or self.divergences)


class LargeSpeechTextModel(FrozenInEval):
    """Translates speech; in training it also returns the layer states of speech and transcript.

    A row of the language model reads ``[BOS] prefix speech suffix target EOS`` in the speech branch and
    ``[BOS] prefix transcript suffix target EOS`` in the text branch (arXiv 2503.10211). The loss is on
    target tokens and EOS alone. A row without audio has its transcript in both.

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
        prompt: PromptIds | None,
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

    def forward(self, batch: SpeechBatch, request: ForwardRequest) -> LsmOutput:
        """Run both branches in one call, as data-parallel wrappers require.

        The text branch runs only where the request needs it. It runs for a batch without any transcript too, so
        that all ranks of a sharded model take the same steps.

        Raises:
            DataError: a row needs more positions than the language model has.
            ValueError: a captured layer does not exist.
        """
        source = fill_padding(batch.source, batch.source_lengths, self.pad_id)
        target = fill_padding(batch.target, batch.target_lengths, self.pad_id)
        goal = _Target(target, batch.target_lengths, append_eos(target, batch.target_lengths, self.eos_id))
        adapted = self._hear(batch, source)
        speech_BPD, speech_lengths = adapted.positions, adapted.lengths
        if request.input_gradient:
            speech_BPD = speech_BPD.detach().requires_grad_()
        has_both_B = (speech_lengths > 0) & (batch.source_lengths > 0)
        comparisons = [(divergence, goal.tokens(has_both_B)) for divergence in request.divergences]
        # The speech branch goes first: autocast reuses its casts of the weights, and those made by a pass
        # without gradients would cut the weights off.
        with torch.set_grad_enabled(torch.is_grad_enabled() or request.input_gradient):
            spoken = self._speech_branch(batch, speech_BPD, speech_lengths, source, goal, request)
        written = _Branch(torch.zeros_like(spoken.nll))
        if request.runs_text_branch:
            written = self._text_branch(source, batch.source_lengths, goal, request, batch.prompts)
        vocabulary_CD = self._vocabulary(request)
        divergences = tuple(
            token_divergence(self.llm, divergence, spoken.final(), written.final(), tokens)
            for divergence, tokens in comparisons
        )
        return LsmOutput(
            nll=spoken.nll,
            num_targets=batch.target_lengths + 1,
            speech=spoken.captured,
            speech_lengths=speech_lengths,
            text=written.captured if request.text_gradient else tuple(states.detach() for states in written.captured),
            text_lengths=batch.source_lengths,
            mt_nll=written.nll,
            terms=adapted.terms,
            vocabulary=vocabulary_CD,
            divergences=divergences,
            readings=self._readings(spoken.captured, speech_lengths, source, batch.source_lengths, request),
            embedded=speech_BPD if request.input_gradient else None,
        )

    @torch.no_grad()
    def match_scales(self, vocab_size: int) -> None:
        """Scale a new adapter's output to the size of the embeddings of the ``vocab_size`` tokens."""
        ids = torch.arange(vocab_size, device=next(self.llm.parameters()).device)
        self.adapter.match_output_scale(float(self.llm.embed(ids[None]).float().square().mean().sqrt()))

    def encode_speech(self, audio: Tensor, lengths: Tensor, *, encoded: bool = False) -> tuple[Tensor, Tensor]:
        """Audio (or encoder states) -> ``[B, P, D]`` embeddings for the language model, and their ``[B]`` lengths."""
        speech_BPD, lengths = self.adapter(*self._encode(audio, lengths, encoded))
        return _cast(speech_BPD, self.llm), lengths

    def speech_positions(self, audio_lengths: Tensor) -> Tensor:
        """Positions ``[B]`` that audio of ``[B]`` lengths takes in the language model.

        An upper bound on them where the adapter's ``exact_lengths`` is False.
        """
        return self.adapter.output_lengths(self.encoder.output_lengths(audio_lengths))

    def generate(
        self,
        audio: Tensor,
        audio_lengths: Tensor,
        config: GenerationConfig,
        *,
        encoded: bool = False,
        prompts: RowPrompts | None = None,
    ) -> list[list[Hypothesis]]:
        """Translate a batch of utterances, or of encoder states; a row's result does not depend on the others.

        Rows have the model's prompt, unless ``prompts`` are given.

        Returns:
            All final hypotheses of each row, best first; at least one.

        Raises:
            DataError: prompt, speech and ``max_new_tokens`` exceed the language model's positions.
        """
        with evaluating(self):
            speech = self.encode_speech(audio, audio_lengths, encoded=encoded)
            rows = self.prompt.pack(self.llm, *speech, prompts=prompts)
            return self.llm.generate(rows.embeddings, rows.lengths, config, eos_id=self.eos_id, pad_id=self.pad_id)

    def generate_from_text(
        self, source: Tensor, lengths: Tensor, config: GenerationConfig, *, prompts: RowPrompts | None = None
    ) -> list[list[Hypothesis]]:
        """Like ``generate``, but translates transcripts by the text branch."""
        with evaluating(self):
            source = fill_padding(source, lengths, self.pad_id)
            rows = self.prompt.pack(self.llm, self.llm.embed(source), lengths, prompts=prompts)
            return self.llm.generate(rows.embeddings, rows.lengths, config, eos_id=self.eos_id, pad_id=self.pad_id)

    def _hear(self, batch: SpeechBatch, source: Tensor) -> AdapterOutput:
        """The adapter's output in the language model's dtype; rows without audio have no positions."""
        audio, lengths, source_lengths, spoken = batch.audio, batch.audio_lengths, batch.source_lengths, batch.spoken
        if spoken is not None:
            if not len(spoken):
                return AdapterOutput(self.llm.embed(source)[:, :0], torch.zeros_like(source_lengths))
            spoken = spoken.to(audio.device)
            audio, lengths, source, source_lengths = (x[spoken] for x in (audio, lengths, source, source_lengths))
        adapted = self.adapter.adapt(*self._encode(audio, lengths, batch.encoded), source, source_lengths)
        adapted = adapted._replace(positions=_cast(adapted.positions, self.llm))
        return adapted if spoken is None else spread_rows(adapted, spoken, len(batch))

    def _encode(self, audio: Tensor, lengths: Tensor, encoded: bool) -> tuple[Tensor, Tensor]:
        """Audio -> ``[B, S, E]`` encoder states as the adapter takes them, and their ``[B]`` lengths."""
        states_BSE = _cast(audio, self.encoder)
        if not encoded:
            states_BSE, lengths = self.encoder(states_BSE, lengths)
        return _cast(states_BSE, self.adapter), lengths

    def _speech_branch(
        self,
        batch: SpeechBatch,
        speech_BPD: Tensor,
        lengths: Tensor,
        source: Tensor,
        goal: _Target,
        request: ForwardRequest,
    ) -> _Branch:
        """Run the speech branch; rows without audio use their transcripts, and their states are not captured."""
        goal_or_none = goal if request.translate else None
        if batch.spoken is None:
            return self._branch(speech_BPD, lengths, goal_or_none, request.capture, batch.prompts)
        content = speech_or_text(speech_BPD, lengths, self.llm.embed(source), batch.source_lengths)
        branch = self._branch(*content, goal_or_none, request.capture, batch.prompts)
        return branch._replace(captured=tuple(zero_padding(states, lengths) for states in branch.captured))

    def _text_branch(
        self,
        source: Tensor,
        source_lengths: Tensor,
        goal: _Target,
        request: ForwardRequest,
        prompts: RowPrompts | None,
    ) -> _Branch:
        """Run the text branch; if only captured states are needed, it ends at the deepest captured layer."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and (request.text_gradient or request.mt)):
            text_BTD = self.llm.embed(source)
            goal_or_none = goal if request.mt or request.divergences else None
            return self._branch(text_BTD, source_lengths, goal_or_none, request.capture, prompts, with_nll=request.mt)

    def _readings(
        self,
        captured: tuple[Tensor, ...],
        lengths: Tensor,
        source: Tensor,
        source_lengths: Tensor,
        request: ForwardRequest,
    ) -> tuple[Tensor, ...]:
        """``[B, T, 2]`` per captured layer."""
        if not request.readings:
            return ()
        return tuple(read_tokens(self.llm, states, lengths, source, source_lengths) for states in captured)

    def _vocabulary(self, request: ForwardRequest) -> Tensor | None:
        """``[C, D]`` embeddings of the tokens asked for."""
        if request.vocabulary is None:
            return None
        with torch.set_grad_enabled(torch.is_grad_enabled() and request.text_gradient):
            return self.llm.embed(request.vocabulary[None])[0]

    def _branch(
        self,
        middle: Tensor,
        lengths: Tensor,
        goal: _Target | None,
        capture: tuple[int, ...],
        prompts: RowPrompts | None,
        *,
        with_nll: bool = True,
    ) -> _Branch:
        """Run the language model once; without a target it ends at the deepest captured layer."""
        if goal is None:
            rows = self.prompt.pack(self.llm, middle, lengths, with_suffix=False, prompts=prompts)
        else:
            rows = self.prompt.pack(self.llm, middle, lengths, goal.ids, goal.lengths, prompts=prompts)
        tokens = None if goal is None or not with_nll else goal.tokens(lengths > 0)
        states, captured = self.llm(rows.embeddings, rows.lengths, capture=capture, stop_at_capture=goal is None)
        captured = tuple(rows.middle(layer, lengths, middle.size(1)) for layer in captured)
        nll = middle.new_zeros(len(lengths), dtype=torch.float32)
        if goal is not None and tokens is not None:
            nll = token_nll(self.llm, states, rows.target_start, goal.labels, tokens)
        return _Branch(nll, captured, states, rows.target_start)


class _Branch(NamedTuple):
    """NLL ``[B]`` of the target (zeros without one), captured states, final states, and start of the target."""

    nll: Tensor
    captured: tuple[Tensor, ...] = ()
    states: Tensor | None = None
    target_start: Tensor | None = None

    def final(self) -> tuple[Tensor, Tensor]:
        """States and start, of a branch that ran to its end."""
        assert self.states is not None
        assert self.target_start is not None
        return self.states, self.target_start


class _Target(NamedTuple):
    """``[B, U]`` ids, their ``[B]`` lengths, and the ``[B, U + 1]`` labels with EOS."""

    ids: Tensor
    lengths: Tensor
    labels: Tensor

    def tokens(self, present: Tensor) -> Tokens:
        """The labels that are content, in the ``[B]`` rows that are present."""
        return Tokens.of(length_mask(self.lengths + 1, self.labels.size(1)) & present[:, None])


def _cast(x: Tensor, module: nn.Module) -> Tensor:
    """``x`` in the dtype of the module's weights: FSDP2's validation runs without its casting hooks."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), None)
    return x if weight is None or not x.is_floating_point() else x.to(weight.dtype)
