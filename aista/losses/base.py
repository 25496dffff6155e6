"""Interface of alignment losses: arguments, result and base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor

from aista.types import LayerStates

__all__ = ["COMPARES", "NEEDS", "AlignmentContext", "AlignmentLoss", "AlignmentResult"]

NEEDS = ("transcripts", "words", "vocabulary", "batch_vocabulary")
"""Possible entries of a loss's ``needs``; see ``AlignmentContext``."""

COMPARES = ("states", "predictions")
"""Possible values of a loss's ``compares``."""


class AlignmentResult(NamedTuple):
    """The alignment loss of one layer.

    Attributes:
        per_utterance_B: ``[B]`` fp32 loss of each row; 0 with zero gradient where a row has no transcript or no speech.
        diagnostics: Detached scalars for the log, averaged over the rows that take part.
    """

    per_utterance_B: Tensor
    diagnostics: dict[str, Tensor]


class AlignmentContext(NamedTuple):
    """Inputs of a loss other than the states. Fields that no loss of the run needs are None.

    Attributes:
        num_layers: L. The states hold L blocks of B rows, one layer after the other: row ``l * B + i`` is
            utterance ``i`` at the ``l``-th layer.
        transcripts: ``[B, T]`` token ids; ids beyond the rows' ``text_lengths`` must not matter.
        vocabulary: ``[C, D]`` the language model's embeddings, detached unless the text side receives gradients: of all
            tokens if a loss needs ``vocabulary``, else (``batch_vocabulary``) at least of the tokens of the batch's
            transcripts and ``pad_id``.
        vocabulary_ids: ``[C]`` the tokens that they belong to, ascending, with repeats; None where they are all tokens.
        pad_id: A token that no transcript contains.
        words: ``[B, N, 4]`` place of each word in both modalities, as ``SpeechBatch.words``; also None where no row of
            the batch has word times.
    """

    num_layers: int = 1
    transcripts: Tensor | None = None
    vocabulary: Tensor | None = None
    vocabulary_ids: Tensor | None = None
    pad_id: int = 0
    words: Tensor | None = None


class AlignmentLoss(ABC):
    """A component of kind ``alignment_loss``. It has no parameters.

    A subclass overrides these class attributes where its own values differ:

    Attributes:
        needs: Names, among ``NEEDS``, of the context's fields that it reads beside ``num_layers``.
        batch_statistic: Whether the value of a row depends on the other rows of its layer.
        compares: ``"states"`` of layers; or ``"predictions"``: both branches' logits of the next target token, position
            by position, once per batch. Its ``states`` are then ``[B, U, V]`` logits of equal lengths, and ``needs``
            must be empty.
    """

    needs: tuple[str, ...] = ()
    batch_statistic: bool = False
    compares: str = "states"

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Check the class attributes when the subclass is defined. Raises TypeError."""
        super().__init_subclass__(**arguments)
        if not isinstance(cls.needs, tuple) or not set(cls.needs) <= set(NEEDS):
            raise TypeError(
                f"{cls.__name__}.needs must be a tuple of names among {', '.join(NEEDS)}, got {cls.needs!r}"
            )
        if cls.compares not in COMPARES:
            raise TypeError(f"{cls.__name__}.compares must be 'states' or 'predictions', got {cls.compares!r}")
        if not isinstance(cls.batch_statistic, bool):
            raise TypeError(f"{cls.__name__}.batch_statistic must be True or False, got {cls.batch_statistic!r}")
        if cls.compares == "predictions" and cls.needs:
            raise TypeError(f"{cls.__name__} compares predictions, so it can have no needs, got {cls.needs!r}")

    @abstractmethod
    def __call__(self, states: LayerStates, context: AlignmentContext, *, detach_text: bool = True) -> AlignmentResult:
        """Compare the two modalities of one layer.

        Args:
            states: Padded states of both modalities; the content of the padding must not matter.
            context: Number of layers in the states, and the fields that the loss needs.
            detach_text: Whether the text side is a fixed target that receives no gradient.
        """
