"""Rows of the language model's input: ``[BOS] prefix (speech | transcript) suffix target``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aista.modules.llms.base import LanguageModel
from aista.modules.prompt import PromptIds
from aista.types import length_mask, zero_padding

__all__ = ["PackedRows", "Prompt", "append_eos", "fill_padding"]


class PackedRows(NamedTuple):
    """Right-padded rows for ``LanguageModel.forward``.

    Attributes:
        embeddings: ``[B, N, D]``, zeros in the padding.
        lengths: ``[B]`` positions, at least 1: a row without content holds one zero vector.
        middle_start: Where the speech or transcript begins, in every row.
        target_start: ``[B]`` position of each row's first target token.
    """

    embeddings: Tensor
    lengths: Tensor
    middle_start: int
    target_start: Tensor

    def middle(self, states: Tensor, lengths: Tensor, size: int) -> Tensor:
        """Cut the speech or transcript positions out of ``[B, N, D]`` states: ``[B, size, D]``, zero-padded."""
        cut = states[:, self.middle_start : self.middle_start + size]
        cut = functional.pad(cut, (0, 0, 0, size - cut.size(1)))
        return zero_padding(cut, lengths)


class Prompt(nn.Module):
    """The fixed ids around speech or transcript, and the packing of rows. Has no parameters."""

    head: Tensor
    suffix: Tensor

    def __init__(self, prompt: PromptIds, bos_id: int | None) -> None:
        super().__init__()
        head = (() if bos_id is None else (bos_id,)) + tuple(prompt.prefix)
        self.register_buffer("head", torch.tensor(head, dtype=torch.long), persistent=False)
        self.register_buffer("suffix", torch.tensor(prompt.suffix, dtype=torch.long), persistent=False)

    @property
    def num_positions(self) -> int:
        """Positions that the prompt takes beside speech or transcript and target, BOS included."""
        return len(self.head) + len(self.suffix)

    def pack(
        self,
        llm: LanguageModel,
        middle: Tensor,
        lengths: Tensor,
        target: Tensor | None = None,
        target_lengths: Tensor | None = None,
        *,
        with_suffix: bool = True,
    ) -> PackedRows:
        """Join head, middle, suffix and target without gaps.

        Args:
            llm: Embeds the prompt and the target.
            middle: ``[B, M, D]`` embeddings of speech or transcript.
            lengths: ``[B]`` their lengths; 0 is allowed.
            target: ``[B, U]`` ids; None for none.
            target_lengths: ``[B]``.
            with_suffix: False where nothing that follows the middle is wanted.

        Raises:
            DataError: the longest row exceeds the language model's positions.
        """
        batch, size = middle.shape[:2]
        head, suffix = self.head, self.suffix if with_suffix else self.suffix[:0]
        prompt_D = llm.embed(torch.cat([head, suffix])[None]).to(middle.dtype).expand(batch, -1, -1)
        parts = [prompt_D[:, : len(head)], middle, prompt_D[:, len(head) :]]
        target_start = lengths + (len(head) + len(suffix))
        totals = target_start
        if target is not None and target_lengths is not None:
            parts.append(llm.embed(target).to(middle.dtype))
            totals = target_start + target_lengths
        # One zero vector at the end stands for rows without any content.
        pool_BSD = torch.cat([*parts, middle.new_zeros(batch, 1, middle.size(2))], dim=1)
        longest = max(int(totals.max()), 1)
        llm.check_positions(totals, longest)
        position_N = torch.arange(longest, device=middle.device)
        # Up to the end of the middle a row reads the pool as it is; behind it the middle's padding is skipped.
        behind_BN = position_N >= (len(head) + lengths)[:, None]
        index_BN = position_N + behind_BN * (size - lengths)[:, None]
        index_BN = torch.where(length_mask(totals, longest), index_BN, pool_BSD.size(1) - 1)
        rows_BND = pool_BSD.gather(1, index_BN[..., None].expand(-1, -1, middle.size(2)))
        return PackedRows(rows_BND, totals.clamp(min=1), len(head), target_start)


def fill_padding(ids: Tensor, lengths: Tensor, pad_id: int) -> Tensor:
    """``[B, T]`` ids with ``pad_id`` beyond each row's length."""
    return ids.masked_fill(~length_mask(lengths, ids.size(1)), pad_id)


def append_eos(ids: Tensor, lengths: Tensor, eos_id: int) -> Tensor:
    """``[B, U]`` ids -> ``[B, U + 1]`` with EOS right after each row's content."""
    return functional.pad(ids, (0, 1)).scatter(1, lengths[:, None], eos_id)
