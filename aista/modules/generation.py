"""Beam search over a batch of ragged prompts, shared by all language models, and its helpers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from aista.errors import RunError
from aista.modules.llms.base import GenerationConfig
from aista.modules.repetition_guard import RepetitionGuard
from aista.types import Hypothesis

__all__ = ["Decoding", "beam_search", "evaluating", "left_pad"]


class Decoding(Protocol):
    """A language model's cached state of R sequences that grow by one token at a time."""

    def step(self, tokens: Tensor) -> Tensor:
        """Append ``[R]`` token ids; returns ``[R, V]`` logits of the next ones."""

    def reorder(self, order: Tensor) -> None:
        """Keep sequences ``order`` ``[R']`` (with repetitions) in this order."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; afterwards every submodule has the mode it had."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for child, mode in modes.items():
            child.training = mode


def left_pad(embeddings: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Move right-padded rows to the right edge, so that all of them end in the same column.

    Args:
        embeddings: ``[B, N, D]``.
        lengths: ``[B]``.

    Returns:
        ``[B, N, D]`` with zeros on the left, and the ``[B, N]`` mask of its content.
    """
    size = embeddings.size(1)
    columns_BN = torch.arange(size, device=embeddings.device) - (size - lengths)[:, None]
    content_BN = columns_BN >= 0
    index_BND = columns_BN.clamp(min=0)[..., None].expand_as(embeddings)
    return embeddings.gather(1, index_BND).masked_fill(~content_BN[..., None], 0), content_BN


def beam_search(
    logits: Tensor,
    decoding: Decoding,
    config: GenerationConfig,
    *,
    eos_id: int,
    pad_id: int,
    num_tokens: int | None = None,
) -> list[list[Hypothesis]]:
    r"""Search the continuations of each row with the highest normalised log-probability.

    A hypothesis ``y`` with its EOS has length n and score ``log p(y | prompt) / n ** length_penalty``.
    At each step an EOS among the ``beam_size`` best candidates ends a hypothesis, and the
    ``beam_size`` best other candidates go on. A row is done with ``beam_size`` hypotheses, or where
    ``no_repeat_ngram`` leaves no other candidate. At ``max_new_tokens`` the remaining beams are ended by EOS
    at its true probability, so that every row has a result and all scores are those of whole sequences.

    Candidates of a step are equally long, so ``length_penalty`` affects only the final ranking, not the steps.

    Args:
        logits: ``[B, V]`` of the first new token.
        decoding: The model's cache of the B prompts, changed in place.
        config: Search options.
        eos_id: Token that ends a translation.
        pad_id: Token never produced.
        num_tokens: Ids from here on are never produced (rows of an embedding that has been padded
            beyond the tokenizer's vocabulary); None allows all.

    Returns:
        For each row every hypothesis that ended, best first: usually ``beam_size``, as several may end in the last
        step up to ``2 * beam_size - 1``.

    Raises:
        RunError: the model's logits are not numbers.
    """
    rows = list(range(logits.size(0)))
    ended: list[list[tuple[tuple[int, ...], float]]] = [[] for _ in rows]
    guard = RepetitionGuard(config.no_repeat_ngram)
    scores_RK = logits.new_zeros(len(rows), 1, dtype=torch.float32)
    tokens_RKN = torch.empty(len(rows), 1, 0, dtype=torch.long, device=logits.device)
    for length in range(1, config.max_new_tokens + 1):
        last = length == config.max_new_tokens
        logp = _log_probabilities(logits, eos_id, pad_id, num_tokens, last)
        forbidden = None if last else guard.forbid(logp, scores_RK, tokens_RKN)
        top = _best_candidates(scores_RK, logp, config.beam_size)
        ends_RK = (top.tokens[:, : config.beam_size] == eos_id) & torch.isfinite(top.scores[:, : config.beam_size])
        _collect(ended, rows, top, tokens_RKN, ends_RK)
        onward = _open(top, config.beam_size, eos_id)
        alive = torch.isfinite(onward.scores[:, 0]).tolist()
        going = [r for r, row in enumerate(rows) if alive[r] and len(ended[row]) < config.beam_size]
        if forbidden is not None:
            guard.note(forbidden, rows, _lowest_used(top, ends_RK, onward, going))
        if last or not going:
            break
        rows = [rows[r] for r in going]
        going_R = torch.tensor(going, device=logits.device)
        scores_RK, parents_RK, next_RK = (part[going_R] for part in (onward.scores, onward.parents, onward.tokens))
        tokens_RKN = torch.cat([tokens_RKN[going_R[:, None], parents_RK], next_RK[..., None]], dim=-1)
        order = (going_R[:, None] * top.beams + parents_RK).flatten()
        if not torch.equal(order, torch.arange(logits.size(0), device=order.device)):
            decoding.reorder(order)
        logits = decoding.step(next_RK.flatten())
    found = [[Hypothesis(*item, guarded=row in guard.changed) for item in items] for row, items in enumerate(ended)]
    return [sorted(items, key=lambda item: -item.score(config.length_penalty)) for items in found]


class _Candidates:
    """The best extensions of each row's beams, best first: ``[R, C]`` scores, parent beams and tokens."""

    def __init__(self, scores: Tensor, parents: Tensor, tokens: Tensor, beams: int) -> None:
        self.scores, self.parents, self.tokens, self.beams = scores, parents, tokens, beams


def _log_probabilities(logits: Tensor, eos_id: int, pad_id: int, num_tokens: int | None, last: bool) -> Tensor:
    logp = torch.log_softmax(logits.float(), dim=-1)
    if last:
        ended = logp[:, eos_id].clone()
        logp.fill_(-torch.inf)
        logp[:, eos_id] = ended
        return logp
    if pad_id != eos_id and 0 <= pad_id < logp.size(1):
        logp[:, pad_id] = -torch.inf
    if num_tokens is not None:
        logp[:, num_tokens:] = -torch.inf
    return logp


def _best_candidates(scores_RK: Tensor, logp: Tensor, beam_size: int) -> _Candidates:
    num_rows, beams = scores_RK.shape
    vocabulary = logp.size(1)
    total = (scores_RK[..., None] + logp.view(num_rows, beams, vocabulary)).flatten(1)
    # Each beam has one EOS, so twice as many candidates leave beam_size that go on.
    scores, index = total.topk(min(2 * beam_size, total.size(1)), dim=1)
    if not torch.isfinite(scores[:, 0]).all():
        raise RunError(
            "the language model's output is not a number (NaN or infinite): the checkpoint has diverged, or its "
            "precision cannot hold so large an input"
        )
    return _Candidates(scores, index // vocabulary, index % vocabulary, beams)


def _collect(
    ended: list[list[tuple[tuple[int, ...], float]]],
    rows: list[int],
    top: _Candidates,
    tokens_RKN: Tensor,
    ends_RK: Tensor,
) -> None:
    for r, c in ends_RK.nonzero().tolist():
        ids = tuple(tokens_RKN[r, top.parents[r, c]].tolist())
        ended[rows[r]].append((ids, float(top.scores[r, c])))


def _open(top: _Candidates, beam_size: int, eos_id: int) -> _Candidates:
    """The ``beam_size`` best candidates that do not end."""
    open_scores = top.scores.masked_fill(top.tokens == eos_id, -torch.inf)
    best, index = open_scores.topk(min(beam_size, open_scores.size(1)), dim=1)
    return _Candidates(best, top.parents.gather(1, index), top.tokens.gather(1, index), top.beams)


def _lowest_used(top: _Candidates, ends_RK: Tensor, onward: _Candidates, going: list[int]) -> Tensor:
    """``[R]`` the lowest score of a candidate that this step uses: in a row that is done, of one that ends."""
    lowest_R = top.scores[:, : ends_RK.size(1)].masked_fill(~ends_RK, torch.inf).amin(1)
    lowest_R[going] = onward.scores[going].amin(1)
    return lowest_R
