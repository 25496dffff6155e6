"""Accumulates pooled states over batches and computes the probe curve."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from aista.errors import RunError
from aista.selection.curve import LayerDiagnostics, LayerProbe, ProbeCurve
from aista.selection.metrics import POOLINGS, pool, retrieval
from aista.types import LayerStates, LsmOutput

__all__ = ["RetrievalProbe", "diagnose"]


class RetrievalProbe:
    """Cross-modal retrieval over a probe set, for several layers at once.

    Pooled states are kept on the CPU in fp32: 8 * N * D bytes per layer for N utterances of width D.

        probe = RetrievalProbe(layers)
        for batch in batches:
            probe.add(lsm(batch, capture=layers), batch.source_text)
        curve = probe.compute()
    """

    def __init__(self, layers: Sequence[int], *, pooling: str = "mean") -> None:
        if not layers:
            raise ValueError("a probe needs at least one layer")
        if pooling not in POOLINGS:
            raise ValueError(f"unknown pooling {pooling!r}; known: {', '.join(POOLINGS)}")
        self.layers = tuple(layers)
        self.pooling = pooling
        self.num_skipped = 0
        self._speech: list[list[Tensor]] = [[] for _ in layers]
        self._text: list[list[Tensor]] = [[] for _ in layers]
        self._groups: list[Hashable] = []

    @property
    def num_utterances(self) -> int:
        """Utterances added so far, without the skipped ones."""
        return len(self._groups)

    def add(self, output: LsmOutput, texts: Sequence[str] = ()) -> None:
        """Add a batch; ``output`` holds this probe's layers in their order.

        Args:
            output: What the model returned with ``capture=layers``.
            texts: The rows' transcripts, by which utterances with the same words are recognised;
                empty: each row counts as its own.
        """
        if len(output.speech) != len(self.layers):
            raise ValueError(f"expects the states of layers {self.layers}, got {len(output.speech)} layers")
        self.add_states([output.layer(index) for index in range(len(self.layers))], texts)

    @torch.no_grad()
    def add_states(self, states: Sequence[LayerStates], texts: Sequence[str] = ()) -> None:
        """Add a batch given one ``LayerStates`` per layer of this probe."""
        if len(states) != len(self.layers):
            raise ValueError(f"expects the states of layers {self.layers}, got {len(states)} layers")
        first = states[0]
        if texts and len(texts) != len(first.text_lengths):
            raise ValueError(f"expects {len(first.text_lengths)} transcripts, one per row, got {len(texts)}")
        keep = (first.text_lengths > 0) & (first.speech_lengths > 0)
        rows = keep.nonzero().flatten()
        self.num_skipped += len(keep) - len(rows)
        if not len(rows):
            return
        for index, layer in enumerate(states):
            self._speech[index].append(pool(layer.speech[rows], layer.speech_lengths[rows], self.pooling).cpu())
            self._text[index].append(pool(layer.text[rows], layer.text_lengths[rows], self.pooling).cpu())
        start = len(self._groups)
        self._groups += [texts[row] if texts else (start + n,) for n, row in enumerate(rows.tolist())]

    def compute(self) -> ProbeCurve:
        """Scores and diagnostics of each layer over all that was added.

        Raises:
            RunError: fewer than two utterances with transcripts, or states that are not finite.
        """
        if self.num_utterances < 2:
            raise RunError(
                f"the probe needs at least 2 utterances with a transcript, got {self.num_utterances} "
                f"({self.num_skipped} skipped without one); give the probe set transcripts (src_text)"
            )
        return ProbeCurve(
            layers=tuple(self._layer(index) for index in range(len(self.layers))),
            num_utterances=self.num_utterances,
            num_skipped=self.num_skipped,
            num_transcripts=len(set(self._groups)),
            pooling=self.pooling,
        )

    def _layer(self, index: int) -> LayerProbe:
        speech_ND, text_ND = torch.cat(self._speech[index]), torch.cat(self._text[index])
        try:
            scores = retrieval(speech_ND, text_ND, self._groups)
        except ValueError as error:
            raise RunError(f"probe of layer {self.layers[index]}: {error}") from error
        return LayerProbe(self.layers[index], scores, diagnose(speech_ND, text_ND))


def diagnose(speech_ND: Tensor, text_ND: Tensor) -> LayerDiagnostics:
    """Collapse diagnostics of ``[N, D]`` pooled states whose rows are pairs; N is at least 2."""
    speech_norm, speech_variance, speech_spread = _moments(speech_ND)
    text_norm, text_variance, text_spread = _moments(text_ND)
    unit_speech = torch.nn.functional.normalize(speech_ND.double(), dim=1)
    unit_text = torch.nn.functional.normalize(text_ND.double(), dim=1)
    pairs = float((unit_speech * unit_text).sum())
    total = float(unit_speech.sum(dim=0) @ unit_text.sum(dim=0))
    size = len(speech_ND)
    return LayerDiagnostics(
        speech_norm=speech_norm,
        text_norm=text_norm,
        speech_variance=speech_variance,
        text_variance=text_variance,
        speech_spread=speech_spread,
        text_spread=text_spread,
        pair_cosine=pairs / size,
        other_cosine=(total - pairs) / (size * (size - 1)),
    )


def _moments(states_ND: Tensor) -> tuple[float, float, float]:
    """Mean norm, variance, and variance over mean squared norm."""
    states_ND = states_ND.double()
    square = float(states_ND.square().sum(dim=1).mean())
    variance = float((states_ND - states_ND.mean(dim=0)).square().sum(dim=1).mean())
    return float(states_ND.norm(dim=1).mean()), variance, variance / square if square > 0 else 0.0
