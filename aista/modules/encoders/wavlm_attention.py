"""WavLM's attention with the padding inside its position bias; imports transformers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

__all__ = ["merge_padding_into_bias"]


def merge_padding_into_bias(attention: Any) -> None:
    """Make a ``WavLMAttention`` accept an additive mask ``[B, 1, 1, S]``; weights and results do not change.

    Its own kernel wants a boolean mask beside a float bias, which PyTorch deprecates with a warning a call.
    """
    attention.__class__ = _MaskedWavLMAttention


class _MaskedWavLMAttention(WavLMAttention):  # type: ignore[misc]
    def torch_multi_head_self_attention(
        self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor, *_: bool
    ) -> tuple[Tensor, None]:
        heads = (*hidden_states.shape[:2], self.num_heads, self.head_dim)
        projections = (self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (projection(hidden_states).view(heads).transpose(1, 2) for projection in projections)
        bias_BHSS = gated_position_bias.view(len(query), self.num_heads, *gated_position_bias.shape[1:])
        if attention_mask is not None:
            bias_BHSS = bias_BHSS + attention_mask
        dropout = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(query, key, value, bias_BHSS, dropout_p=dropout)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), None
