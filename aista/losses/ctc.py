"""CTC of the transcript, with the speech states classified by the language model's embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from aista.errors import DataError
from aista.losses.arguments import check_devices, described
from aista.losses.base import AlignmentContext, AlignmentLoss, AlignmentResult
from aista.losses.contrast import transcripts_of
from aista.losses.sides import row_result, sides
from aista.losses.solvers.pairwise import no_autocast
from aista.registry import register
from aista.schema import Options, option
from aista.types import LayerStates, length_mask

__all__ = ["NEVER", "CTCAlignment", "class_log_probs"]

NEVER = -1e30
"""Logit of probability 0, finite so that gradients stay finite."""


@register("alignment_loss", "ctc")
@dataclass(frozen=True, kw_only=True)
class CTCAlignment(Options, AlignmentLoss):
    """CTC of the transcript on the speech states, with the LLM's embeddings as classifier: no parameters of its own.

    ``p(v | h) = softmax_v(cos(h, e_v) / tau)`` with ``e_v`` the language model's input embeddings, i.e. its text states
    of layer 0; ``-log sum_paths prod_t p(path_t | h_t) / T``, over all paths that merge to the transcript; the blank is
    a token that no transcript contains. In nats per token, for any batch size. With ``detach_text`` the embeddings are
    fixed. The text states themselves are not used.

    With ``classes: batch`` the softmax is over the blank and the tokens of the batch's transcripts alone, as in a
    sampled softmax: the cost no longer grows with V (which is 262,144 for Gemma), the loss of a row depends on the
    other rows, and the temperature may be milder, since fewer tokens compete.

    Needs the transcript's ids, the ``[V, D]`` embeddings (a copy of that size) and at least as many speech positions as
    the transcript has tokens, plus one between equal neighbours: rows with fewer have loss 0 and are counted in
    the diagnostic ``infeasible``; an adapter of a smaller stride helps. Cost: ``P V D`` per row and layer; one row's
    ``P V`` in memory at a time, computed again in backward.

    Sources: Graves et al. 2006 (CTC); reading states of inner layers with an LLM's own matrix is the "logit lens"
    (nostalgebraist 2020), there the output matrix behind the final norm. The input matrix and the cosine are aista's
    choice: every LLM here has them, at any layer. Choose it to make speech positions predict the transcript's tokens in
    order; ``soft_dtw`` and ``ot`` compare with states in context instead.
    """

    needs = ("transcripts", "vocabulary")  # with classes: batch an object has its own, and its own batch_statistic

    temperature: float = option(
        0.1, "Temperature of the cosines of state and embedding; a smaller one sharpens the distribution.", above=0
    )
    blank_id: int | None = option(
        None, "Token whose embedding is used for the blank; null: the tokenizer's padding token.", minimum=0
    )
    classes: Literal["vocabulary", "batch"] = option(
        "vocabulary", "Tokens in the softmax: the whole vocabulary, or those of the batch's transcripts."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes == "batch":
            if self.blank_id is not None:
                raise ValueError(
                    "blank_id must be null with classes: batch, where the blank is the tokenizer's padding token"
                )
            object.__setattr__(self, "batch_statistic", True)
            object.__setattr__(self, "needs", ("transcripts", "batch_vocabulary"))

    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        """Return each row's loss; see ``AlignmentLoss``.

        Raises:
            ValueError: the context lacks transcripts or vocabulary, or a token or the blank is not in the vocabulary.
            DataError: a transcript contains the blank.
        """
        both = sides(states, detach_text=detach_text)
        vocabulary = _embeddings(both, context)
        vocabulary = vocabulary.detach() if detach_text else vocabulary
        transcripts = transcripts_of(both, context)
        with no_autocast(both.speech.device):
            rows = both.present.nonzero().squeeze(1)
            tokens = transcripts.repeat(context.num_layers, 1)[rows]
            lengths = both.speech_lengths[rows], both.text_lengths[rows]
            known = context.vocabulary_ids
            size = len(vocabulary) if known is None else int(known[-1]) + 1
            blank = self._blank(context, size)
            self._check(tokens, lengths[1], blank, size)
            if self.batch_statistic:
                tokens, batch_tokens, blank = _of_the_batch(tokens, lengths[1], blank)
                vocabulary = vocabulary[batch_tokens if known is None else torch.searchsorted(known, batch_tokens)]
            embeddings_VD = functional.normalize(vocabulary.to(both.speech.dtype), dim=-1)
            nll = self._nll(both.speech[rows], tokens, lengths, embeddings_VD, blank)
        zeros = both.speech.new_zeros(len(both.speech))
        values = zeros.index_copy(0, rows, nll / lengths[1].clamp_min(1))
        infeasible = zeros.index_copy(0, rows, (nll.detach() == 0).to(zeros.dtype))
        return row_result(values, both.present, infeasible=infeasible)

    def _blank(self, context: AlignmentContext, size: int) -> int:
        blank = context.pad_id if self.blank_id is None else self.blank_id
        if not 0 <= blank < size:
            raise ValueError(f"blank_id must be a token, 0 to {size - 1}, got {blank}")
        return blank

    def _check(self, tokens: Tensor, lengths: Tensor, blank: int, size: int) -> None:
        is_wrong = (tokens == blank) | (tokens < 0) | (tokens >= size)
        wrong = tokens[is_wrong & length_mask(lengths, tokens.shape[1])].tolist()
        strange = [token for token in wrong if token != blank]
        if strange:
            raise ValueError(f"transcripts must hold tokens of the vocabulary, 0 to {size - 1}, got {strange[0]}")
        if wrong:
            more = ", with classes: vocabulary" if self.batch_statistic else ""
            raise DataError(
                f"a transcript contains the token {blank}, which is CTC's blank; name a token that none contains in "
                f"the option blank_id of the alignment loss ctc{more}"
            )

    def _nll(
        self, speech: Tensor, tokens: Tensor, lengths: tuple[Tensor, Tensor], embeddings: Tensor, blank: int
    ) -> Tensor:
        """``[N]`` negative log-likelihood; 0 where the transcript does not fit into the speech."""
        if not len(speech):
            return speech.sum(dim=(1, 2))  # none, but part of the graph
        size = int(lengths[1].max())
        logp, targets = [], []
        for x_PD, ids_T, p, t in zip(speech, tokens, *(z.tolist() for z in lengths), strict=True):
            arguments = (x_PD[:p], embeddings, ids_T[:t], blank, self.temperature)
            logp_PC = checkpoint(class_log_probs, *arguments, use_reentrant=False, preserve_rng_state=False)
            logp.append(functional.pad(logp_PC, (0, size - t, 0, speech.shape[1] - p)))
            targets.append(functional.pad(_classes(ids_T[:t]), (0, size - t)))
        return functional.ctc_loss(
            torch.stack(logp, dim=1), torch.stack(targets), *lengths, blank=0, reduction="none", zero_infinity=True
        )


def _embeddings(states: LayerStates, context: AlignmentContext) -> Tensor:
    """The context's vocabulary, which must fit the states."""
    vocabulary, width = context.vocabulary, states.speech.shape[2]
    if not isinstance(vocabulary, Tensor) or vocabulary.dim() != 2 or vocabulary.shape[1] != width:
        raise ValueError(
            f"vocabulary must be embeddings [V, {width}] in the loss's context, got {described(vocabulary)}"
        )
    check_devices(speech=states.speech, vocabulary=vocabulary)
    return vocabulary


def class_log_probs(states: Tensor, embeddings: Tensor, tokens: Tensor, blank: int, temperature: float) -> Tensor:
    """The log-probabilities over the vocabulary that CTC needs for one row.

    Args:
        states: ``[P, D]`` speech states.
        embeddings: ``[V, D]`` unit vectors.
        tokens: ``[T]`` ids of the transcript.
        blank: The blank's id.
        temperature: Divides the cosines.

    Returns:
        ``[P, 2 + T]`` log-probabilities: of the blank, of all other tokens together, and of each token of the
        transcript where it first occurs (of probability 0 where it occurs again). They add up to 1.
    """
    logits_PV = functional.normalize(states, dim=-1) @ embeddings.mT / temperature
    named = torch.cat([tokens.new_full((1,), blank), tokens])
    rest_P = logits_PV.index_fill(1, named, NEVER).logsumexp(1)
    is_again = _classes(tokens) != torch.arange(2, 2 + len(tokens), device=tokens.device)
    logits_PT = logits_PV[:, tokens].masked_fill(is_again, NEVER)
    return torch.cat([logits_PV[:, blank : blank + 1], rest_P[:, None], logits_PT], dim=1).log_softmax(1)


def _of_the_batch(tokens: Tensor, lengths: Tensor, blank: int) -> tuple[Tensor, Tensor, int]:
    """Ids ``[N, T]`` among the batch's own tokens, those ``[C]`` tokens, and the blank's id among them."""
    is_token = length_mask(lengths, tokens.shape[1])
    batch_tokens = torch.unique(torch.cat([tokens[is_token], tokens.new_tensor([blank])]))
    ids = torch.searchsorted(batch_tokens, tokens.masked_fill(~is_token, blank))
    return ids, batch_tokens, int(torch.searchsorted(batch_tokens, blank))


def _classes(tokens: Tensor) -> Tensor:
    """``[T]`` column of each token in the log-probabilities: 2 + where it first occurs."""
    return 2 + (tokens[:, None] == tokens[None, :]).to(torch.uint8).argmax(1)
