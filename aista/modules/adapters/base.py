"""Base classes of length and modality adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from aista.types import RowTerm

__all__ = ["OUTPUT_NORM", "Adapter", "AdapterOutput", "NormedAdapter", "block_width"]

OUTPUT_NORM = "End with a layer norm, so that untrained outputs have the scale of the LLM's token embeddings."


class AdapterOutput(NamedTuple):
    """Result of ``Adapter.adapt``.

    Attributes:
        positions: ``[B, P, D]`` speech embeddings.
        lengths: ``[B]``.
        terms: Losses of the adapter, and values to log (weight 0).
    """

    positions: Tensor
    lengths: Tensor
    terms: tuple[RowTerm, ...] = ()


class Adapter(nn.Module, ABC):
    """Base of adapters: encoder frames -> positions of the LLM's width, usually fewer.

    A component of kind ``adapter`` is called as ``factory(config, *, input_dim, output_dim)``; a factory that
    also has a parameter ``vocab_size`` gets the number of the tokenizer's ids. An adapter with losses of its
    own overrides ``adapt`` and lets ``forward`` return ``self.adapt(states, lengths)[:2]``.
    """

    exact_lengths: ClassVar[bool] = True
    """Whether ``output_lengths`` gives the exact lengths of ``forward``; False where these depend on the states
    and ``output_lengths`` is an upper bound."""

    @property
    def even_in_time(self) -> bool:
        """Whether position p of P covers the fraction p / P to (p + 1) / P of the speech."""
        return self.exact_lengths

    @abstractmethod
    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Adapt a padded batch, as in inference.

        Args:
            states: ``[B, S, E]`` encoder states.
            lengths: ``[B]``, each at least 1.

        Returns:
            ``[B, P, D]`` speech embeddings and their ``[B]`` lengths, each at least 1. The content of the padding never
            changes a row's output.
        """

    def adapt(
        self, states: Tensor, lengths: Tensor, source: Tensor | None = None, source_lengths: Tensor | None = None
    ) -> AdapterOutput:
        """Adapt a padded batch and compute the adapter's losses, given the transcripts.

        The transcripts may change the positions only in training mode.

        Args:
            states: ``[B, S, E]`` encoder states.
            lengths: ``[B]``, each at least 1.
            source: ``[B, T]`` transcript ids; None for none.
            source_lengths: ``[B]``; 0 where a row has no transcript.

        Returns:
            The result of ``forward``, and losses per row, which do not depend on the other rows.
        """
        return AdapterOutput(*self(states, lengths))

    @abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Compute the lengths that ``forward`` returns, ``[B]`` -> ``[B]``, without running it.

        An upper bound on them, and on those of ``adapt``, where ``exact_lengths`` is False.
        """

    def match_output_scale(self, rms: float) -> None:
        """Scale the outputs of an untrained adapter to this root mean square per coordinate.

        Called once with the RMS of the LLM's token embeddings, so that speech enters the LLM at their scale. Does
        nothing unless the adapter overrides it.
        """


def block_width(model_dim: int | None, input_dim: int, num_heads: int, *, per_head: int = 1) -> int:
    """Width of attention blocks: ``model_dim``, else the encoder's; raises ValueError where heads do not divide it."""
    dim = model_dim or input_dim
    if dim % (per_head * num_heads):
        width = "model_dim" if model_dim else "the encoder's width, taken for model_dim,"
        factor = f"{per_head} * num_heads" if per_head > 1 else "num_heads"
        raise ValueError(
            f"{width} must be a multiple of {factor}, got {dim} with {num_heads} heads; choose another model_dim or "
            "num_heads"
        )
    return dim


class NormedAdapter(Adapter):
    """An adapter that ends with a layer norm if its option ``output_norm`` is set: ``forward`` ends with ``normalize``.

    Attributes:
        output_norm: The norm, whose gain is the scale of the outputs.
    """

    def __init__(self, output_dim: int, output_norm: bool) -> None:
        super().__init__()
        self.output_norm: nn.Module = nn.LayerNorm(output_dim) if output_norm else nn.Identity()

    def match_output_scale(self, rms: float) -> None:
        """Set the layer norm's gain to ``rms``."""
        if isinstance(self.output_norm, nn.LayerNorm):
            with torch.no_grad():
                self.output_norm.weight.fill_(rms)

    def normalize(self, x_BPD: Tensor) -> Tensor:
        """Apply the output norm."""
        normed: Tensor = self.output_norm(x_BPD)
        return normed
