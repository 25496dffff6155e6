"""Beam search over a batch of ragged prompts, the same for every language model, and what it needs around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from aista.errors import RunError
from aista.modules.llms.base import GenerationConfig
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
    r"""Search each row for the continuations of highest normalised log-probability.

    A hypothesis ``y`` with its EOS has length n and score ``log p(y | prompt) / n ** length_penalty``.
    At each step an EOS among the ``beam_size`` best candidates ends a hypothesis, and the
    ``beam_size`` best other candidates go on. A row is done with ``beam_size`` hypotheses. At
    ``max_new_tokens`` the remaining beams are ended by EOS at its true probability, so that every row
    has a result and all scores are those of whole sequences.

    Args:
        logits: ``[B, V]`` of the first new token.
        decoding: The model's memory of the B prompts, changed in place.
        config: Search options.
        eos_id: Token that ends a translation.
        pad_id: Token never produced.
        num_tokens: Ids from here on are never produced (rows of an embedding that has been padded
            beyond the tokenizer's vocabulary); None allows all.

    Returns:
        For each row at most ``beam_size`` hypotheses, best first.

    Raises:
        RunError: the model's logits are not numbers.
    """
    rows = list(range(logits.size(0)))
    results: list[list[Hypothesis]] = [[] for _ in rows]
    scores_RK = logits.new_zeros(len(rows), 1, dtype=torch.float32)
    tokens_RKN = torch.empty(len(rows), 1, 0, dtype=torch.long, device=logits.device)
    for length in range(1, config.max_new_tokens + 1):
        last = length == config.max_new_tokens
        logp = _log_probabilities(logits, eos_id, pad_id, num_tokens, last)
        top = _best_candidates(scores_RK, logp, config.beam_size)
        _collect(results, rows, top, tokens_RKN, config, eos_id, length)
        going = [r for r, row in enumerate(rows) if len(results[row]) < config.beam_size]
        if last or not going:
            break
        rows = [rows[r] for r in going]
        scores_RK, parents_RK, next_RK = _continue(top, going, config.beam_size, eos_id)
        going_R = torch.tensor(going, device=logits.device)
        tokens_RKN = torch.cat([tokens_RKN[going_R[:, None], parents_RK], next_RK[..., None]], dim=-1)
        order = (going_R[:, None] * top.beams + parents_RK).flatten()
        if not torch.equal(order, torch.arange(logits.size(0), device=order.device)):
            decoding.reorder(order)
        logits = decoding.step(next_RK.flatten())
    return [sorted(hypotheses, key=lambda h: -h.score)[: config.beam_size] for hypotheses in results]


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
    results: list[list[Hypothesis]],
    rows: list[int],
    top: _Candidates,
    tokens_RKN: Tensor,
    config: GenerationConfig,
    eos_id: int,
    length: int,
) -> None:
    size = config.beam_size
    ended = (top.tokens[:, :size] == eos_id) & torch.isfinite(top.scores[:, :size])
    for r, c in ended.nonzero().tolist():
        ids = tuple(tokens_RKN[r, top.parents[r, c]].tolist())
        results[rows[r]].append(Hypothesis(ids, float(top.scores[r, c]) / length**config.length_penalty))


def _continue(top: _Candidates, going: list[int], beam_size: int, eos_id: int) -> tuple[Tensor, Tensor, Tensor]:
    scores, parents, tokens = top.scores[going], top.parents[going], top.tokens[going]
    open_scores = scores.masked_fill(tokens == eos_id, -torch.inf)
    best, index = open_scores.topk(min(beam_size, scores.size(1)), dim=1)
    return best, parents.gather(1, index), tokens.gather(1, index)
