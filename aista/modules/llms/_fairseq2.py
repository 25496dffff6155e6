"""The implementation of ``transformer_lm``: fairseq2's blocks, run and decoded by aista."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from fairseq2.gang import Gangs, create_fake_gangs
from fairseq2.models.transformer import (
    AttentionBiasCache,
    CausalAttentionBias,
    FeedForwardNetwork,
    GLUFeedForwardNetwork,
    StandardFeedForwardNetwork,
    StandardMultiheadAttention,
    TransformerNormOrder,
)
from fairseq2.models.transformer.sdpa.base import SDPA
from fairseq2.models.transformer_lm import StandardTransformerLMDecoderLayer
from fairseq2.nn import (
    BatchLayout,
    IncrementalStateBag,
    LayerNorm,
    Linear,
    RMSNorm,
    RotaryEncoder,
    StandardEmbedding,
    StandardLayerNorm,
)
from torch import Tensor, nn
from torch.nn import functional

from aista.modules.llms._beam_search import beam_search
from aista.modules.llms._common import check_capture, check_positions, evaluating, left_pad, zero_padding
from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.types import Hypothesis

if TYPE_CHECKING:
    from typing_extensions import Self

    from aista.modules.llms.transformer_lm import TransformerLMConfig

__all__ = ["Fairseq2LM"]

_CAUSAL = CausalAttentionBias()
_MASK = "aista_mask"


class Fairseq2LM(LanguageModel):
    """Pre-norm causal transformer with rotary positions.

    Embeddings enter unscaled, with standard deviation ``model_dim ** -0.5``, as in LLaMA and Qwen: under
    Adam a small model learns several times faster so than with embeddings scaled to unit variance.
    """

    def __init__(self, config: TransformerLMConfig, vocab_size: int) -> None:
        super().__init__()
        self.model_dim = config.model_dim
        self.num_layers = config.num_layers
        self.max_positions = config.max_positions
        self.embedding = StandardEmbedding(vocab_size, config.model_dim, init_fn=_init_embedding)
        self.dropout = nn.Dropout(config.dropout)
        # One table of rotary frequencies serves all blocks; +1 because decoding counts one step beyond.
        self.positions = RotaryEncoder(
            config.model_dim // config.num_heads, config.max_positions + 1, theta=config.rope_theta
        )
        self.blocks = nn.ModuleList(_block(config, self.positions) for _ in range(config.num_layers))
        self.norm = _norm(config)
        self.projection = None if config.tied_embeddings else Linear(config.model_dim, vocab_size, bias=False)

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks."""
        return self.blocks

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids -> embeddings."""
        embeddings: Tensor = self.embedding(ids)
        return embeddings

    def forward(
        self, embeddings: Tensor, lengths: Tensor, *, capture: Sequence[int] = (), stop_at_capture: bool = False
    ) -> tuple[Tensor | None, tuple[Tensor, ...]]:
        """Run the blocks; see ``LanguageModel.forward``."""
        check_capture(capture, self.num_layers)
        check_positions(lengths, embeddings.size(1), self.max_positions)
        deepest = max(capture, default=0) if stop_at_capture else self.num_layers
        # Right padding is invisible to a causal model: no mask, and so the fused attention kernel.
        state = self.dropout(zero_padding(embeddings, lengths))
        states = self._run(state, AttentionBiasCache(), deepest)
        captured = tuple(states[layer] for layer in capture)
        return (None if stop_at_capture else self.norm(states[-1])), captured

    def project(self, states: Tensor) -> Tensor:
        """Final states -> logits."""
        if self.projection is None:
            weight: Tensor = self.embedding.weight
            return functional.linear(states, weight)
        logits: Tensor = self.projection(states)
        return logits

    def generate(
        self, embeddings: Tensor, lengths: Tensor, config: GenerationConfig, *, eos_id: int, pad_id: int
    ) -> list[list[Hypothesis]]:
        """Beam search; see ``LanguageModel.generate``."""
        check_positions(lengths, embeddings.size(1), self.max_positions, new_tokens=config.max_new_tokens)
        with evaluating(self):
            decoding = _Fairseq2Decoding(self, lengths, embeddings.size(1) + config.max_new_tokens)
            logits = decoding.prefill(embeddings, lengths)
            return beam_search(logits, decoding, config, eos_id=eos_id, pad_id=pad_id)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Keep the rotary table in fp32 when the model is moved or cast: bf16 cannot tell positions apart."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.positions.freqs.dtype != torch.float32:
            self.positions.freqs = self.positions.freqs.float()
            self.positions.reset_non_persistent_buffers()
        return self

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
            masks.set(_CAUSAL, _MASK, ((content_BN[:, None, :] & causal_NN) | itself_NN)[:, None])
        return self._next_logits(embeddings, masks)

    def step(self, tokens: Tensor) -> Tensor:
        masks = AttentionBiasCache()
        if self.content is not None:
            self.content = functional.pad(self.content, (0, 1), value=True)
            masks.set(_CAUSAL, _MASK, self.content[:, None, None])
        return self._next_logits(self.model.embed(tokens[:, None]), masks)

    def reorder(self, order: Tensor) -> None:
        self.memory.reorder(order)
        if self.content is not None:
            self.content = self.content.index_select(0, order)

    def _next_logits(self, state: Tensor, masks: AttentionBiasCache) -> Tensor:
        states = self.model._run(state, masks, self.model.num_layers, self.memory)
        self.memory.increment_step_nr(state.size(1))
        return self.model.project(self.model.norm(states[-1][:, -1]))


class _CausalAttention(SDPA):
    """PyTorch's fused attention: causal without a mask, or with the one that decoding put into the cache.

    fairseq2's own builds a bias of B x N x N in a Python loop over padded rows.
    """

    def forward(
        self,
        q: Tensor,
        q_layout: BatchLayout,
        k: Tensor,
        k_layout: BatchLayout,
        v: Tensor,
        bias_cache: AttentionBiasCache,
        *,
        needs_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """``[B, N, H, K]`` queries, keys and values -> attention values of the same shape."""
        if needs_weights:
            raise NotImplementedError("transformer_lm computes no attention weights")
        mask = bias_cache.maybe_get(_CAUSAL, _MASK, Tensor)
        values = functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=mask,
            is_causal=mask is None and q.size(1) > 1,
        )
        return values.transpose(1, 2), None


def _block(config: TransformerLMConfig, positions: RotaryEncoder) -> StandardTransformerLMDecoderLayer:
    # Given explicitly, because fairseq2 would initialise its whole runtime to look them up.
    device = torch.get_default_device()
    gangs = create_fake_gangs(device)
    attention = StandardMultiheadAttention(
        config.model_dim,
        config.num_heads,
        _CausalAttention(),
        num_key_value_heads=config.num_key_value_heads,
        pos_encoder=positions,
        bias=False,
        gangs=gangs,
        device=device,
    )
    return StandardTransformerLMDecoderLayer(
        attention,
        _norm(config),
        _ffn(config, gangs, device),
        _norm(config),
        norm_order=TransformerNormOrder.PRE,
        dropout_p=config.dropout,
    )


def _ffn(config: TransformerLMConfig, gangs: Gangs, device: torch.device) -> FeedForwardNetwork:
    if config.ffn == "swiglu":
        # Two thirds of 4 x model_dim: three matrices then cost what two do (arXiv 2002.05202).
        inner_dim = config.ffn_dim or -(-8 * config.model_dim // 3)
        return GLUFeedForwardNetwork(
            config.model_dim, inner_dim, bias=False, inner_dim_scale=1.0, gangs=gangs, device=device
        )
    inner_dim = config.ffn_dim or 4 * config.model_dim
    return StandardFeedForwardNetwork(
        config.model_dim, inner_dim, bias=False, inner_activation=nn.GELU(), gangs=gangs, device=device
    )


def _norm(config: TransformerLMConfig) -> LayerNorm:
    if config.norm == "rms_norm":
        return RMSNorm(config.model_dim, bias=False)
    return StandardLayerNorm(config.model_dim, bias=True)


def _init_embedding(embedding: StandardEmbedding) -> None:
    nn.init.normal_(embedding.weight, std=embedding.embed_dim**-0.5)
