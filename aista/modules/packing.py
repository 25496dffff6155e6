"""Rows of the language model's input: ``[BOS] prefix (speech | transcript) suffix target``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aista.modules.llms.base import LanguageModel
from aista.modules.prompt import PromptIds
from aista.types import RowPrompts, length_mask, zero_padding

__all__ = ["PackedRows", "Prompt", "append_eos", "fill_padding"]


class PackedRows(NamedTuple):
    """Right-padded rows for ``LanguageModel.forward``.

    Attributes:
        embeddings: ``[B, N, D]``, zeros in the padding.
        lengths: ``[B]`` positions, at least 1: a row without content holds one zero vector.
        middle_start: ``[B]`` where the speech or transcript begins; a number where that is the same in every row.
        target_start: ``[B]`` position of each row's first target token.
    """

    embeddings: Tensor
    lengths: Tensor
    middle_start: Tensor | int
    target_start: Tensor

    def middle(self, states: Tensor, lengths: Tensor, size: int) -> Tensor:
        """Cut the speech or transcript positions out of ``[B, N, D]`` states: ``[B, size, D]``, zero-padded."""
        if isinstance(self.middle_start, int):
            cut = states[:, self.middle_start : self.middle_start + size]
            return zero_padding(functional.pad(cut, (0, 0, 0, size - cut.size(1))), lengths)
        index_BN = self.middle_start[:, None] + torch.arange(size, device=states.device)
        index_BND = index_BN.clamp(max=states.size(1) - 1)[..., None].expand(-1, -1, states.size(2))
        return zero_padding(states.gather(1, index_BND), lengths)


class Prompt(nn.Module):
    """The ids around speech or transcript, and the packing of rows. Has no parameters.

    Args:
        prompt: The same ids around each row; None where rows have their own.
        bos_id: BOS, before them.
    """

    head: Tensor
    suffix: Tensor

    def __init__(self, prompt: PromptIds | None, bos_id: int | None) -> None:
        super().__init__()
        self.is_fixed = prompt is not None
        prompt = prompt or PromptIds()
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
        prompts: RowPrompts | None = None,
    ) -> PackedRows:
        """Join head, middle, suffix and target without gaps.

        Args:
            llm: Embeds the prompt and the target.
            middle: ``[B, M, D]`` embeddings of speech or transcript.
            lengths: ``[B]`` their lengths; 0 is allowed.
            target: ``[B, U]`` ids; None for none.
            target_lengths: ``[B]``.
            with_suffix: False where nothing after the middle is needed.
            prompts: A prompt for each row, in place of this one.

        Raises:
            DataError: the longest row exceeds the language model's positions.
        """
        if prompts is not None:
            return _pack_each(llm, prompts, middle, lengths, target, target_lengths, with_suffix=with_suffix)
        assert self.is_fixed, "each row must bring its prompt: serve the rows from a dataset with prompts"
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


def _pack_each(
    llm: LanguageModel,
    prompts: RowPrompts,
    middle: Tensor,
    lengths: Tensor,
    target: Tensor | None,
    target_lengths: Tensor | None,
    *,
    with_suffix: bool,
) -> PackedRows:
    """``Prompt.pack`` with a different prompt in each row."""
    dtype = middle.dtype
    parts = [(llm.embed(prompts.head).to(dtype), prompts.head_lengths), (middle, lengths)]
    if with_suffix:
        parts.append((llm.embed(prompts.suffix).to(dtype), prompts.suffix_lengths))
    target_start = torch.stack([size for _, size in parts]).sum(0)
    if target is not None and target_lengths is not None:
        parts.append((llm.embed(target).to(dtype), target_lengths))
    totals = torch.stack([size for _, size in parts]).sum(0)
    longest = max(int(totals.max()), 1)
    llm.check_positions(totals, longest)
    pool_BSD = torch.cat([*(part for part, _ in parts), middle.new_zeros(len(lengths), 1, middle.size(2))], dim=1)
    position_N = torch.arange(longest, device=middle.device)
    index_BN = torch.full((len(lengths), longest), pool_BSD.size(1) - 1, device=middle.device)
    start_B, offset = torch.zeros_like(lengths), 0
    for part, size_B in parts:
        place_BN = position_N - start_B[:, None]
        index_BN = torch.where((place_BN >= 0) & (place_BN < size_B[:, None]), place_BN + offset, index_BN)
        start_B, offset = start_B + size_B, offset + part.size(1)
    rows_BND = pool_BSD.gather(1, index_BN[..., None].expand(-1, -1, middle.size(2)))
    return PackedRows(rows_BND, totals.clamp(min=1), prompts.head_lengths, target_start)


def fill_padding(ids: Tensor, lengths: Tensor, pad_id: int) -> Tensor:
    """``[B, T]`` ids with ``pad_id`` beyond each row's length."""
    return ids.masked_fill(~length_mask(lengths, ids.size(1)), pad_id)


def append_eos(ids: Tensor, lengths: Tensor, eos_id: int) -> Tensor:
    """``[B, U]`` ids -> ``[B, U + 1]`` with EOS right after each row's content."""
    return functional.pad(ids, (0, 1)).scatter(1, lengths[:, None], eos_id)
