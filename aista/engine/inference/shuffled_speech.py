"""Test whether a model uses the audio: NLL of the references with the right and with shuffled speech."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from rich.progress import track
from torch import Tensor

from aista.data.loader import BatchLoader
from aista.engine.inference.trained_run import TrainedRun
from aista.errors import RunError
from aista.types import SpeechBatch

__all__ = ["ShuffledSpeech", "measure_shuffled_speech", "with_shuffled_speech"]


@dataclass(frozen=True)
class ShuffledSpeech:
    """Negative log-likelihood of the references, in nats per token.

    Attributes:
        nll: With each row's own speech.
        nll_shuffled_speech: With the speech of another row of about the same length.
        num_tokens: Tokens that both are means over, EOS included.
        num_rows: Rows measured: those in batches of at least two.
    """

    nll: float
    nll_shuffled_speech: float
    num_tokens: int
    num_rows: int

    @property
    def gain(self) -> float:
        """Reduction of the NLL by the right speech, in nats per token; about 0 where the model ignores the audio."""
        return self.nll_shuffled_speech - self.nll

    def to_json(self) -> dict[str, float | int]:
        """Plain data, the gain among them."""
        return {**asdict(self), "gain": self.gain}


@torch.inference_mode()
def measure_shuffled_speech(run: TrainedRun, loader: BatchLoader) -> ShuffledSpeech:
    """Score the references of a split twice.

    Args:
        run: A run of a task that translates speech.
        loader: Batches of rows of similar length; a batch of one row is left out.

    Raises:
        RunError: the task takes no audio or translates nothing, or no batch has two rows.
    """
    if not (run.task.uses_audio and run.task.scores_translations):
        raise RunError(f"{run.path}: --shuffled-speech needs a run that translates speech; leave it out")
    matched = shuffled = 0.0
    num_tokens = num_rows = 0
    for batch in track(loader, description="shuffled speech", total=len(loader), transient=True):
        if len(batch) < 2:
            continue
        matched += _nll(run, batch)
        shuffled += _nll(run, with_shuffled_speech(batch))
        num_tokens += batch.num_targets
        num_rows += len(batch)
    if not num_rows:
        raise RunError(f"{run.path}: --shuffled-speech needs batches of at least two rows; raise --batch-size")
    return ShuffledSpeech(matched / num_tokens, shuffled / num_tokens, num_tokens, num_rows)


def with_shuffled_speech(batch: SpeechBatch) -> SpeechBatch:
    """The batch with speech rotated by half a batch, so that no row keeps its own."""

    def turn(rows: Tensor) -> Tensor:
        return rows.roll(len(batch) // 2, dims=0)

    return replace(batch, audio=turn(batch.audio), audio_lengths=turn(batch.audio_lengths))


def _nll(run: TrainedRun, batch: SpeechBatch) -> float:
    """Summed over the batch; the model is in eval mode."""
    mean, weight = run.task.loss(run.model, batch.to(run.device)).metrics["nll"]
    assert weight is not None
    return float(mean) * float(weight)
