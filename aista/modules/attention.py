"""Multi-head attention and pre-norm blocks in plain PyTorch, for sequences of any length."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["Attention", "AttentionBlock", "rotate"]


def rotate(x_BHNK: Tensor) -> Tensor:
    """Rotate channels by an angle that grows with the position (rotary encoding, Su et al. 2021, arXiv 2104.09864).

    ``(a, b) -> (a cos - b sin, a sin + b cos)`` for channels k and k + K/2 of position n, at the angle
    ``n * 10000^(-2k/K)``: products of rotated vectors depend on how far apart they are, at any length.
    """
    half = x_BHNK.size(-1) // 2
    index_K = torch.arange(half, device=x_BHNK.device, dtype=torch.float32)
    position_N = torch.arange(x_BHNK.size(-2), device=x_BHNK.device, dtype=torch.float32)
    angle_NK = position_N[:, None] * 10_000.0 ** (-index_K / half)
    cos, sin = angle_NK.cos(), angle_NK.sin()
    a, b = x_BHNK[..., :half], x_BHNK[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x_BHNK.dtype)


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762) with padding masked, optionally rotary."""

    def __init__(
        self, dim: int, num_heads: int, *, memory_dim: int | None = None, rotary: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"the width must be a multiple of num_heads, got {dim} with {num_heads} heads")
        if rotary and dim // num_heads % 2:
            raise ValueError(
                f"the width must be a multiple of 2 * num_heads (rotary positions turn pairs), "
                f"got {dim} with {num_heads} heads"
            )
        self.num_heads, self.rotary, self.dropout = num_heads, rotary, dropout
        memory_dim = memory_dim or dim
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(memory_dim, dim, bias=False)  # a bias would add the same to all scores of a query
        self.value = nn.Linear(memory_dim, dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, x_BND: Tensor, memory_BSE: Tensor, mask_BS: Tensor | None) -> Tensor:
        """Attend from ``[B, N, D]`` to ``[B, S, E]`` where the mask is True, at least once in a row.

        The memory's padding must be finite: zero it before.
        """
        q, k, v = (self._split(x) for x in (self.query(x_BND), self.key(memory_BSE), self.value(memory_BSE)))
        if self.rotary:
            q, k = rotate(q), rotate(k)
        mask = None if mask_BS is None else mask_BS[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        values_BHNK = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        out: Tensor = self.output(values_BHNK.transpose(1, 2).flatten(2))
        return out

    def _split(self, x_BND: Tensor) -> Tensor:
        batch, size, dim = x_BND.shape
        return x_BND.reshape(batch, size, self.num_heads, dim // self.num_heads).transpose(1, 2)


class AttentionBlock(nn.Module):
    """Pre-norm self-attention (if ``among_itself``), cross-attention (if ``memory_dim``), feed-forward with GELU."""

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int,
        ffn_dim: int | None = None,
        memory_dim: int | None = None,
        among_itself: bool = True,
        rotary: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.self_norm = self.self_attention = self.cross_norm = self.cross_attention = None
        if among_itself:
            self.self_norm = nn.LayerNorm(dim)
            self.self_attention = Attention(dim, num_heads, rotary=rotary, dropout=dropout)
        if memory_dim is not None:
            self.cross_norm = nn.LayerNorm(dim)
            self.cross_attention = Attention(dim, num_heads, memory_dim=memory_dim, dropout=dropout)
        self.ffn_norm = nn.LayerNorm(dim)
        inner_dim = ffn_dim or 4 * dim
        self.ffn = nn.Sequential(nn.Linear(dim, inner_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(inner_dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_BND: Tensor,
        mask_BN: Tensor | None,
        memory_BSE: Tensor | None = None,
        memory_mask_BS: Tensor | None = None,
    ) -> Tensor:
        """``[B, N, D]`` -> ``[B, N, D]``; masks are True where there is content, None where there is nothing else."""
        if self.self_attention is not None and self.self_norm is not None:
            y_BND = self.self_norm(x_BND)
            x_BND = x_BND + self.dropout(self.self_attention(y_BND, y_BND, mask_BN))
        if self.cross_attention is not None and self.cross_norm is not None and memory_BSE is not None:
            x_BND = x_BND + self.dropout(self.cross_attention(self.cross_norm(x_BND), memory_BSE, memory_mask_BS))
        out: Tensor = x_BND + self.dropout(self.ffn(self.ffn_norm(x_BND)))
        return out
