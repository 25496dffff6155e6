"""What every alignment loss takes and gives back."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from aista.types import LayerStates

__all__ = [
    "NEEDS",
    "AlignmentContext",
    "AlignmentLoss",
    "AlignmentResult",
    "apply",
    "compares_predictions",
    "is_batch_statistic",
    "needs",
]

NEEDS = ("transcripts", "words", "vocabulary", "batch_vocabulary")
"""What a loss can ask for in its ``needs``; see ``AlignmentContext``."""


class AlignmentResult(NamedTuple):
    """The alignment loss of one layer.

    Attributes:
        per_utterance_B: ``[B]`` fp32 loss of each row; 0 with zero gradient where a row has no transcript or no speech.
        diagnostics: Detached scalars for the log, averaged over the rows that take part.
    """

    per_utterance_B: Tensor
    diagnostics: dict[str, Tensor]


class AlignmentContext(NamedTuple):
    """What a loss may know beside the states. Fields that no loss of the run needs are None.

    Attributes:
        num_layers: L. The states hold L blocks of B rows, one layer behind the other: row ``l * B + i`` is
            utterance ``i`` at the ``l``-th layer.
        transcripts: ``[B, T]`` token ids; what lies beyond the rows' ``text_lengths`` must not matter.
        vocabulary: ``[C, D]`` the language model's embeddings, detached unless the text side receives gradients: of all
            tokens if a loss needs ``vocabulary``, else (``batch_vocabulary``) of at least the batch's transcripts' and
            ``pad_id``.
        vocabulary_ids: ``[C]`` the tokens that they belong to, ascending; None where they are all tokens.
        pad_id: The token that no transcript contains.
        words: ``[B, N, 4]`` where each word lies in both modalities, as ``SpeechBatch.words``; None too where no row of
            the batch has word times.
    """

    num_layers: int = 1
    transcripts: Tensor | None = None
    vocabulary: Tensor | None = None
    vocabulary_ids: Tensor | None = None
    pad_id: int = 0
    words: Tensor | None = None


class AlignmentLoss(Protocol):
    """A component of kind ``alignment_loss``, called as ``factory(config)``. It has no parameters.

    Three attributes may say more about it; a loss without them compares states, row by row:

    - ``needs``: names among ``NEEDS``. A loss with needs is called with ``context=AlignmentContext(...)`` too.
    - ``batch_statistic = True``: the value of a row depends on the other rows of its layer.
    - ``compares = "predictions"``: it compares both branches' logits of the next target token in place of
      states, position by position, once per batch. Its ``states`` are ``[B, U, V]`` logits of equal lengths.
    """

    def __call__(self, states: LayerStates, *, detach_text: bool = True) -> AlignmentResult:
        """Compare the two modalities of one layer.

        Args:
            states: Padded states of both modalities; what lies in the padding must not matter.
            detach_text: Whether the text side is a fixed target that receives no gradient.
        """
        ...


def needs(loss: object) -> tuple[str, ...]:
    """What the loss asks for beside the states.

    Raises:
        ValueError: it asks for something that there is not.
    """
    wanted = tuple(getattr(loss, "needs", ()))
    unknown = [name for name in wanted if name not in NEEDS]
    if unknown:
        raise ValueError(
            f"{type(loss).__name__}.needs may name {', '.join(NEEDS)}, got {unknown[0]!r}; "
            f"see aista.losses.base.AlignmentContext"
        )
    return wanted


def compares_predictions(loss: object) -> bool:
    """Whether the loss compares predictions of the target; else it compares states of layers.

    Raises:
        ValueError: its attribute ``compares`` is neither, or it compares predictions and has needs.
    """
    compares = getattr(loss, "compares", "states")
    if compares not in ("states", "predictions"):
        raise ValueError(f"{type(loss).__name__}.compares must be 'states' or 'predictions', got {compares!r}")
    if compares == "predictions" and needs(loss):
        raise ValueError(f"{type(loss).__name__} compares predictions, so it can have no needs, got {needs(loss)}")
    return bool(compares == "predictions")


def is_batch_statistic(loss: object) -> bool:
    """Whether a row's value depends on the other rows."""
    return bool(getattr(loss, "batch_statistic", False))


def apply(loss: Any, states: LayerStates, context: AlignmentContext, *, detach_text: bool) -> AlignmentResult:
    """Call the loss, with the context if it needs one."""
    extra = {"context": context} if needs(loss) else {}
    result: AlignmentResult = loss(states, detach_text=detach_text, **extra)
    return result
