"""Does a model listen? What its references cost it with their own speech, and with another row's."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from rich.progress import track
from torch import Tensor

from aista.data.loader import BatchLoader
from aista.engine.inference.trained_run import TrainedRun
from aista.errors import RunError
from aista.types import SpeechBatch

__all__ = ["Listening", "measure_listening", "with_other_speech"]


@dataclass(frozen=True)
class Listening:
    """Negative log-likelihood of the references, in nats per token.

    Attributes:
        nll: With each row's own speech.
        nll_other_speech: With another row's of about the same length.
        num_tokens: Tokens that both are means over, EOS included.
        num_rows: Rows with another one beside them.
    """

    nll: float
    nll_other_speech: float
    num_tokens: int
    num_rows: int

    @property
    def gain(self) -> float:
        """Nats per token that the right speech saves; about 0 where the model does not listen."""
        return self.nll_other_speech - self.nll

    def to_json(self) -> dict[str, float | int]:
        """Plain data, the gain among them."""
        return {**asdict(self), "gain": self.gain}


@torch.inference_mode()
def measure_listening(run: TrainedRun, loader: BatchLoader) -> Listening:
    """Score the references of a split twice.

    Args:
        run: Of a task that translates speech.
        loader: Batches of rows of similar length; a batch of one row is left out.

    Raises:
        RunError: the task hears nothing or translates nothing, or no batch has two rows.
    """
    if not (run.task.uses_audio and run.task.scores_translations):
        raise RunError(f"{run.path}: --listening asks for a run that translates speech; leave it out")
    own = other = 0.0
    num_tokens = num_rows = 0
    for batch in track(loader, description="listening", total=len(loader), transient=True):
        if len(batch) < 2:
            continue
        own += _nll(run, batch)
        other += _nll(run, with_other_speech(batch))
        num_tokens += batch.num_targets
        num_rows += len(batch)
    if not num_rows:
        raise RunError(f"{run.path}: --listening needs batches of at least two rows; raise --batch-size")
    return Listening(own / num_tokens, other / num_tokens, num_tokens, num_rows)


def with_other_speech(batch: SpeechBatch) -> SpeechBatch:
    """The batch with each row's speech taken from half a batch further on, so that none keeps its own."""

    def turn(rows: Tensor) -> Tensor:
        return rows.roll(len(batch) // 2, dims=0)

    return replace(batch, audio=turn(batch.audio), audio_lengths=turn(batch.audio_lengths))


def _nll(run: TrainedRun, batch: SpeechBatch) -> float:
    """Summed over the batch; the model is in eval mode."""
    mean, weight = run.task.loss(run.model, batch.to(run.device)).metrics["nll"]
    return float(mean) * weight
