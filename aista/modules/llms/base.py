"""Interface of decoder-only language models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from aista.errors import DataError
from aista.modules.llms.search import GenerationConfig
from aista.types import Hypothesis

__all__ = ["GenerationConfig", "LanguageModel"]


class LanguageModel(nn.Module, ABC):
    """A causal LM that takes embeddings, returns its layers' states and generates continuations.

    A component of kind ``llm`` is called as ``factory(config, *, vocab_size)``; it raises ValueError
    if its own vocabulary has fewer than ``vocab_size`` tokens. Where building takes long, its options may have
    a method ``outline(*, vocab_size)``: the same model without weights, on the meta device, raising the
    same errors; faults of the model or its tuning are then found before anything is trained. Options that
    name pretrained weights have a method ``skeleton(*, vocab_size)``: the same model with arbitrary weights, which
    an export fills; the pretrained weights are not read. It works on the meta device too.

    Layer states are numbered 0..num_layers: 0 is the input of the first block (with absolute positions,
    if the model has them), k is the output of block k, before the final norm.
    """

    model_dim: int
    num_layers: int
    max_positions: int

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """The blocks, for activation checkpointing and FSDP sharding."""

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Token ids ``[B, N]`` -> embeddings ``[B, N, D]``, scaled as the model does, without positions."""

    @abstractmethod
    def forward(
        self, embeddings: Tensor, lengths: Tensor, *, capture: Sequence[int] = (), stop_at_capture: bool = False
    ) -> tuple[Tensor | None, tuple[Tensor, ...]]:
        """Run the blocks on right-padded embeddings.

        Args:
            embeddings: ``[B, N, D]``.
            lengths: ``[B]``, each at least 1.
            capture: Layers whose states to return, each in 0..num_layers.
            stop_at_capture: Stop after the deepest captured layer.

        Returns:
            The final (normalised) states ``[B, N, D]``, None if stopped early, and one ``[B, N, D]``
            tensor per captured layer in the order of ``capture``.
        """

    @abstractmethod
    def project(self, states: Tensor) -> Tensor:
        """Final states ``[..., D]`` -> logits ``[..., V]``."""

    def normalize(self, states: Tensor) -> Tensor:
        """Apply the final norm: states of the last block ``[..., D]`` -> final states.

        A model without such a norm inherits this. The logit lens applies it to lower layers too.
        """
        return states

    @abstractmethod
    def generate(
        self, embeddings: Tensor, lengths: Tensor, config: GenerationConfig, *, eos_id: int, pad_id: int
    ) -> list[list[Hypothesis]]:
        """Beam search after ragged prompts of embeddings.

        A row's result does not depend on the other rows of the batch. Restores train/eval mode.

        Args:
            embeddings: ``[B, N, D]`` prompts, right-padded.
            lengths: ``[B]``.
            config: Search options.
            eos_id: Token that ends a translation.
            pad_id: Token never produced.

        Returns:
            All final hypotheses of each row, best first by ``length_penalty``; at least one.
        """

    def check_capture(self, capture: Sequence[int]) -> None:
        """Raise ValueError if a layer to capture is not in ``0..num_layers``."""
        for layer in capture:
            if not 0 <= layer <= self.num_layers:
                raise ValueError(
                    f"layer {layer} does not exist: the language model has states 0..{self.num_layers} "
                    f"(0: input of the first block, {self.num_layers}: output of the last); choose layers among them"
                )

    def check_positions(self, lengths: Tensor, needed: int, *, new_tokens: int = 0) -> None:
        """Raise DataError if the longest row, with the tokens still to come, does not fit into the model.

        Args:
            lengths: ``[B]`` positions of each row.
            needed: Positions of the longest row.
            new_tokens: Tokens to generate after each row.
        """
        if needed + new_tokens <= self.max_positions:
            return
        row = int(lengths.argmax())
        plus = f" and {new_tokens} tokens to generate" if new_tokens else ""
        remedy = "lower max_new_tokens, " if new_tokens else ""
        raise DataError(
            f"row {row} of the batch has {needed} positions (prompt, speech or transcript, target){plus}, but the "
            f"language model holds {self.max_positions}; {remedy}leave out or split longer utterances, shorten the "
            f"speech with an adapter of a larger stride, or use a language model with more positions"
        )
