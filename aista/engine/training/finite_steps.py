"""Skips steps with non-finite gradients, or ends the training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

import torch
from fairseq2.gang import Gang
from fairseq2.optim.fp16_loss_scaler import Float16LossScaler, Float16LossScaleResult
from fairseq2.trainer import Trainer
from torch import Tensor
from torch.optim import Optimizer

from aista.engine.training.reader import LoaderReader
from aista.errors import RunError

__all__ = ["FiniteSteps"]

log = logging.getLogger("aista.train")

SHOWN_ROWS = 5


class FiniteSteps(Float16LossScaler):
    """Decides before each optimiser step whether it is taken.

    It takes the place of fairseq2's loss scaler, which bfloat16 does not need. A step that it refuses changes neither
    weights nor metrics, and fairseq2 repeats it with the next batches. Every process sees the same gradient norm, that
    of the whole model over all processes, so that all of them agree.

    Args:
        reader: Reads the training batches.
        gang: All processes.
        max_skipped: Steps to skip at most, over the whole run; one more ends the training.

    Attributes:
        max_skipped: As given.
        num_skipped: Steps skipped so far; kept in checkpoints.
    """

    def __init__(self, reader: LoaderReader, gang: Gang, max_skipped: int) -> None:
        self._reader = reader
        self._gang = gang
        self.max_skipped = max_skipped
        self.num_skipped = 0
        self._norm = torch.zeros(())

    def attach(self, trainer: Trainer) -> None:
        """Let the trainer ask before each step."""
        self._trainer = trainer
        trainer._fp16_loss_scaler = self
        facade = trainer._model_dp_facade
        facade.clip_grad_norm = self._remembering(facade.clip_grad_norm)  # type: ignore[method-assign, assignment]

    def run_optimizer_step(self, optimizer: Optimizer, closure: Any = None) -> Any:
        """Take the step, or report it as refused.

        Raises:
            RunError: the gradient is not finite and no further step may be skipped; the last checkpoint is complete.
        """
        if bool(self._norm.isfinite()):
            optimizer.step()
            return Float16LossScaleResult(old_scale=1.0, new_scale=1.0)
        step, rows = self._trainer.step_nr, _named(self._rows())
        problem = f"step {step}: the gradient norm must be finite, got {float(self._norm):g}; rows of its batch: {rows}"
        is_stuck = step == 1 and self._reader.is_at_end  # fairseq2 would end an epoch without any step as a success
        if self.num_skipped >= self.max_skipped or is_stuck:
            self._trainer._checkpoint_manager.maybe_complete_save_operation(blocking=True)
            raise RunError(
                f"{problem}. The step is not taken, and checkpoints keep the weights of earlier ones. Start a new run "
                "without the rows that cause it, with a lower trainer.learning_rate or more trainer.warmup_steps; or "
                f"let it skip such steps with trainer.max_skipped_steps (now {self.max_skipped})"
            )
        self.num_skipped += 1
        log.warning("%s; skipped (%d of at most %d)", problem, self.num_skipped, self.max_skipped)
        return Float16LossScaleResult(old_scale=1.0, new_scale=1.0, overflowed=True)

    def unscale_grads_(self, optimizer: Optimizer) -> None:
        """Nothing is scaled."""

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, object]:
        return {"num_skipped": self.num_skipped}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        self.num_skipped = cast(int, state_dict["num_skipped"])

    @property
    def scale_window(self) -> int:
        return 1

    def _remembering(self, clip: Callable[[float | None], Tensor]) -> Callable[[float | None], Tensor]:
        def clip_grad_norm(max_norm: float | None) -> Tensor:
            self._norm = clip(max_norm)
            return self._norm

        return clip_grad_norm

    def _rows(self) -> list[str]:
        """Ids of the step's rows, of all processes."""
        rows = [list(self._reader.ids)]
        if self._gang.size > 1:
            rows = [[] for _ in range(self._gang.size)]
            torch.distributed.all_gather_object(rows, list(self._reader.ids))
        return sorted({row for part in rows for row in part})


def _named(rows: list[str]) -> str:
    more = len(rows) - SHOWN_ROWS
    return ", ".join(rows[:SHOWN_ROWS]) + (f" and {more} more" if more > 0 else "")
