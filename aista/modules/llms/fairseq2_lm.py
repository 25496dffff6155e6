"""Decoder-only models of fairseq2's blocks, run and decoded by aista."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from fairseq2.models.transformer import AttentionBiasCache
from fairseq2.nn import (
    BatchLayout,
    IncrementalStateBag,
    LayerNorm,
    PositionEncoder,
    Projection,
    StandardEmbedding,
)
from torch import Tensor, nn
from torch.nn import functional

from aista.modules.generation import beam_search, evaluating, left_pad
from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.modules.llms.fairseq2_block import CAUSAL, MASK
from aista.types import Hypothesis, zero_padding

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Fairseq2LM", "Parts"]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a model.

    Attributes:
        embedding: Token embeddings.
        positions: The rotary encoder that all blocks share.
        blocks: Pre-norm blocks, with ``CausalAttention`` in them.
        norm: Final norm, after the last block.
        projection: Projection to logits; None if tied to the embedding.
        max_positions: Longest sequence.
        num_tokens: Ids from here on are never produced.
        dropout: Dropout of the embeddings.
    """

    embedding: StandardEmbedding
    positions: PositionEncoder
    blocks: nn.ModuleList
    norm: LayerNorm
    projection: Projection | None
    max_positions: int
    num_tokens: int
    dropout: float = 0.0


class Fairseq2LM(LanguageModel):
    """Pre-norm causal transformer with rotary positions; embeddings enter unscaled, as in LLaMA and Qwen."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.model_dim = parts.embedding.embed_dim
        self.num_layers = len(parts.blocks)
        self.max_positions = parts.max_positions
        self.num_tokens = parts.num_tokens
        self.embedding = parts.embedding
        self.dropout = nn.Dropout(parts.dropout)
        self.positions = parts.positions
        self.blocks = parts.blocks
        self.norm = parts.norm
        self.projection = parts.projection

    @property
    def layers(self) -> nn.ModuleList:
        return self.blocks

    def embed(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self.embedding(ids)
        return embeddings

    def forward(
        self, embeddings: Tensor, lengths: Tensor, *, capture: Sequence[int] = (), stop_at_capture: bool = False
    ) -> tuple[Tensor | None, tuple[Tensor, ...]]:
        self.check_capture(capture)
        self.check_positions(lengths, embeddings.size(1))
        deepest = max(capture, default=0) if stop_at_capture else self.num_layers
        # Right padding is invisible to a causal model: no mask, and so the fused attention kernel.
        state = self.dropout(zero_padding(embeddings, lengths))
        states = self._run(state, AttentionBiasCache(), deepest)
        captured = tuple(states[layer] for layer in capture)
        return (None if stop_at_capture else self.normalize(states[-1])), captured

    def normalize(self, states: Tensor) -> Tensor:
        normalized: Tensor = self.norm(states)
        return normalized

    def project(self, states: Tensor) -> Tensor:
        if self.projection is None:
            weight: Tensor = self.embedding.weight
            return functional.linear(states, weight)
        logits: Tensor = self.projection(states)
        return logits

    def generate(
        self, embeddings: Tensor, lengths: Tensor, config: GenerationConfig, *, eos_id: int, pad_id: int
    ) -> list[list[Hypothesis]]:
        self.check_positions(lengths, embeddings.size(1), new_tokens=config.max_new_tokens)
        with evaluating(self):
            decoding = _Fairseq2Decoding(self, lengths, embeddings.size(1) + config.max_new_tokens)
            logits = decoding.prefill(embeddings, lengths)
            return beam_search(logits, decoding, config, eos_id=eos_id, pad_id=pad_id, num_tokens=self.num_tokens)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Keep the rotary table in fp32 when the model is moved or cast: bf16 cannot represent distinct positions."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        tables = dict(self.positions.named_buffers())
        if any(table.dtype != torch.float32 for table in tables.values()):
            for name, table in tables.items():
                setattr(self.positions, name, table.float())
            self.reset_positions()
        return self

    def reset_positions(self) -> None:
        """Compute the rotary table, which no checkpoint holds."""
        self.positions.reset_non_persistent_buffers()  # type: ignore[operator]

    def _run(
        self, state: Tensor, masks: AttentionBiasCache, deepest: int, memory: IncrementalStateBag | None = None
    ) -> list[Tensor]:
        layout = BatchLayout.of(state)
        states = [state]
        for block in list(self.blocks)[:deepest]:
            states.append(block(states[-1], layout, masks, state_bag=memory))
        return states


class _Fairseq2Decoding:
    """Keys and values of prompts that all end in the same column: ragged prompts are padded on the left.

    Rotary positions are relative, so a shift of a whole row changes nothing; fairseq2's incremental
    attention then sees unpadded rows, and the mask hides the columns before a row's beginning.
    """

    def __init__(self, model: Fairseq2LM, lengths: Tensor, capacity: int) -> None:
        self.model = model
        self.memory = IncrementalStateBag(capacity + 1)
        self.content: Tensor | None = None

    def prefill(self, embeddings: Tensor, lengths: Tensor) -> Tensor:
        size = embeddings.size(1)
        embeddings, content_BN = left_pad(embeddings, lengths)
        masks = AttentionBiasCache()
        if not bool(content_BN.all()):
            self.content = content_BN
            causal_NN = torch.ones(size, size, dtype=torch.bool, device=embeddings.device).tril()
            itself_NN = torch.eye(size, dtype=torch.bool, device=embeddings.device)  # no query without any key
            masks.set(CAUSAL, MASK, ((content_BN[:, None, :] & causal_NN) | itself_NN)[:, None])
        return self._next_logits(embeddings, masks)

    def step(self, tokens: Tensor) -> Tensor:
        masks = AttentionBiasCache()
        if self.content is not None:
            self.content = functional.pad(self.content, (0, 1), value=True)
            masks.set(CAUSAL, MASK, self.content[:, None, None])
        return self._next_logits(self.model.embed(tokens[:, None]), masks)

    def reorder(self, order: Tensor) -> None:
        self.memory.reorder(order)
        if self.content is not None:
            self.content = self.content.index_select(0, order)

    def _next_logits(self, state: Tensor, masks: AttentionBiasCache) -> Tensor:
        states = self.model._run(state, masks, self.model.num_layers, self.memory)
        self.memory.increment_step_nr(state.size(1))
        return self.model.project(self.model.normalize(states[-1][:, -1]))
