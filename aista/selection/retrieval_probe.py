"""Accumulates states over batches and computes the probe curve."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from aista.errors import RunError
from aista.pooling import POOLINGS, pool
from aista.selection.bootstrap import resample
from aista.selection.curve import LayerDiagnostics, LayerProbe, ProbeCurve
from aista.selection.gradient_measure import GradientAgreement
from aista.selection.layer_measures import pooled_measures, row_measures, transport_measures
from aista.selection.metrics import TIE, Ranking, RetrievalScores, check_pairs, rank
from aista.selection.pair_transport import PairTransport, all_pairs
from aista.selection.similarity import SIMILARITIES, cosine_matrix, csls_matrix
from aista.selection.state_measures import KeptStates, StateMeasure
from aista.types import LayerStates, LsmOutput

__all__ = ["RetrievalProbe", "diagnose"]

OT_TIE = 1e-6  # solvers work in fp32


class RetrievalProbe:
    """Cross-modal retrieval and its measures over a probe set, for several layers at once.

    Pooled states are kept on the CPU in fp32: 8 * N * D bytes per layer for N utterances of width D. With
    ``transport`` or ``measures`` all states are kept in their own dtype, P + T times as many for P positions and T
    tokens.

        probe = RetrievalProbe(layers)
        for batch in batches:
            output = model(batch, task.probe_request(probe))
            probe.add(output, batch.source_text, tokens=batch.source, words=batch.words)
        curve = probe.compute()

    Args:
        layers: Layers whose states are added, in that order.
        pooling: Pooling of a row's states to one vector.
        similarity: Similarity of retrieval: ``cosine`` or ``csls`` of the pooled states, or ``ot``, the negative
            transport cost between all states of two utterances (N^2 transport problems per layer).
        neighbours: Number of nearest neighbours in CSLS.
        transport: Solves transport problems; None: no transport is measured.
        mismatches: Other utterances that each utterance's transport cost is compared with.
        measures: Further measures of all states.
        readings: Whether the language model's output layer is applied to the speech states (logit lens).
        agreement: Compares each layer's gradients of alignment and translation; None: no gradient is computed.
        resamples: Bootstrap resamples for the intervals of the measures; 0: no intervals.
    """

    def __init__(
        self,
        layers: Sequence[int],
        *,
        pooling: str = "mean",
        similarity: str = "cosine",
        neighbours: int = 10,
        transport: PairTransport | None = None,
        mismatches: int = 4,
        measures: Sequence[StateMeasure] = (),
        readings: bool = False,
        agreement: GradientAgreement | None = None,
        resamples: int = 0,
    ) -> None:
        if not layers:
            raise ValueError("a probe needs at least one layer")
        for what, value, known in (("pooling", pooling, POOLINGS), ("similarity", similarity, SIMILARITIES)):
            if value not in known:
                raise ValueError(f"unknown {what} {value!r}; known: {', '.join(known)}")
        if similarity == "ot" and transport is None:
            raise ValueError("similarity 'ot' needs a transport to solve its problems with")
        self.layers = tuple(layers)
        self.pooling = pooling
        self.similarity = similarity
        self.neighbours = neighbours
        self.transport = transport
        self.mismatches = mismatches
        self.measures = tuple(measures)
        self.readings = readings
        self.agreement = agreement
        self.resamples = resamples
        self.num_skipped = 0
        self._speech: list[list[Tensor]] = [[] for _ in layers]
        self._text: list[list[Tensor]] = [[] for _ in layers]
        self._groups: list[Hashable] = []
        self._kept = [KeptStates(groups=self._groups) for _ in layers]
        self._values: list[dict[str, list[Tensor]]] = [{} for _ in layers]

    @property
    def num_utterances(self) -> int:
        """Utterances added so far, without the skipped ones."""
        return len(self._groups)

    def add(
        self,
        output: LsmOutput,
        texts: Sequence[str] = (),
        *,
        tokens: Tensor | None = None,
        words: Tensor | None = None,
    ) -> None:
        """Add a batch; ``output`` holds this probe's layers in their order.

        Args:
            output: The model's output for ``task.probe_request(probe)``, or with ``capture=layers``.
            texts: The rows' transcripts, by which utterances with the same words are recognised;
                empty: each row counts as its own.
            tokens: ``[B, T]`` their token ids, which some measures need; None: those are left out.
            words: ``[B, N, 4]`` places of the words, as ``SpeechBatch.words``; None: unknown.
        """
        if len(output.speech) != len(self.layers):
            raise ValueError(f"expects the states of layers {self.layers}, got {len(output.speech)} layers")
        states = [output.layer(index) for index in range(len(self.layers))]
        self.add_states(states, texts, tokens=tokens, words=words)
        present = states[0].present.cpu()
        for index, values in enumerate(self._row_values(output)):
            for name, values_B in values.items():
                self._values[index].setdefault(name, []).append(values_B[present])

    @torch.no_grad()
    def add_states(
        self,
        states: Sequence[LayerStates],
        texts: Sequence[str] = (),
        *,
        tokens: Tensor | None = None,
        words: Tensor | None = None,
    ) -> None:
        """Add a batch given one ``LayerStates`` per layer of this probe; see ``add``."""
        if len(states) != len(self.layers):
            raise ValueError(f"expects the states of layers {self.layers}, got {len(states)} layers")
        first = states[0]
        if texts and len(texts) != len(first.text_lengths):
            raise ValueError(f"expects {len(first.text_lengths)} transcripts, one per row, got {len(texts)}")
        keep = first.present
        rows = keep.nonzero().flatten()
        self.num_skipped += len(keep) - len(rows)
        if not len(rows):
            return
        for index, layer in enumerate(states):
            self._speech[index].append(pool(layer.speech[rows].float(), layer.speech_lengths[rows], self.pooling).cpu())
            self._text[index].append(pool(layer.text[rows].float(), layer.text_lengths[rows], self.pooling).cpu())
            if self.transport is not None or self.measures:
                of_rows = (None if given is None else given[rows] for given in (tokens, words))
                self._kept[index].add(LayerStates(*(part[rows] for part in layer)), *of_rows)
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
        counts_RN = resample(self.num_utterances, self.resamples) if self.resamples else None
        return ProbeCurve(
            layers=tuple(self._layer(index, counts_RN) for index in range(len(self.layers))),
            num_utterances=self.num_utterances,
            num_skipped=self.num_skipped,
            num_transcripts=len(set(self._groups)),
            pooling=self.pooling,
            similarity=self.similarity,
            resamples=self.resamples,
        )

    def _layer(self, index: int, counts_RN: Tensor | None) -> LayerProbe:
        speech_ND, text_ND = torch.cat(self._speech[index]), torch.cat(self._text[index])
        try:
            check_pairs(speech_ND, text_ND, self._groups)
            cosine_NN = cosine_matrix(speech_ND, text_ND)
            ranking = rank(cosine_NN, self._groups)
            scores = self._scores(index, cosine_NN, ranking)
            measures = pooled_measures(
                *(speech_ND, text_ND, self._groups, cosine_NN, ranking),
                neighbours=self.neighbours,
                counts_RN=counts_RN,
            )
            if self.transport is not None:
                kept = self._kept[index]
                measures |= transport_measures(
                    *(kept.speech, kept.text, self._groups, self.transport),
                    mismatches=self.mismatches,
                    counts_RN=counts_RN,
                    device=kept.device,
                )
            for measure in self.measures:
                measures |= measure(self._kept[index], counts_RN)
            measures |= row_measures({name: torch.cat(parts) for name, parts in self._values[index].items()}, counts_RN)
        except ValueError as error:
            raise RunError(f"probe of layer {self.layers[index]}: {error}") from error
        return LayerProbe(self.layers[index], scores, diagnose(speech_ND, text_ND), measures)

    def _row_values(self, output: LsmOutput) -> list[dict[str, Tensor]]:
        """Per layer, values of each row of a batch: name -> ``[B]``."""
        values: list[dict[str, Tensor]] = [{} for _ in self.layers]
        for layer, readings_BT2 in zip(values, output.readings, strict=False):
            means_B2 = readings_BT2.double().sum(1).cpu() / output.text_lengths.clamp_min(1).cpu()[:, None]
            layer |= {"lens_mrr": means_B2[:, 0], "lens_probability": means_B2[:, 1]}
        if self.agreement is not None:
            for layer, cosines_B in zip(values, self.agreement(output), strict=True):
                layer["gradient_cosine"] = cosines_B
        return values

    def _scores(self, index: int, cosine_NN: Tensor, ranking: Ranking) -> RetrievalScores:
        """Retrieval by this probe's similarity."""
        if self.similarity == "cosine":
            return ranking.scores
        if self.similarity == "csls":
            return rank(csls_matrix(cosine_NN, self.neighbours), self._groups, tie=TIE).scores
        assert self.transport is not None
        kept, size = self._kept[index], self.num_utterances
        costs, _ = self.transport(kept.speech, kept.text, all_pairs(size), kept.device)
        return rank(-costs.view(size, size), self._groups, tie=OT_TIE).scores


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
