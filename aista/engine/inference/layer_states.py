"""The language model's hidden states of one utterance, spoken and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aista.data.examples import collate
from aista.data.manifest_rows import Row
from aista.data.recorded import Recorded
from aista.data.row_checks import RowChecks
from aista.engine.inference.pieces import PieceReader
from aista.engine.inference.trained_run import TrainedRun
from aista.engine.inference.translate import USUAL, Wanted, prompt_for
from aista.engine.inference.transport_plans import with_states
from aista.errors import AistaError, DataError, shown

__all__ = ["UtteranceStates", "layer_states"]


@dataclass(frozen=True)
class UtteranceStates:
    """Speech and text states of L layers of the language model, as used in alignment and probes.

    Attributes:
        layers: Their numbers; 0 is the input of the first block, N the output of block N.
        speech: ``[L, P, D]`` at the P positions of the speech, on the model's device and in its type.
        text: ``[L, T, D]`` at the T tokens of the transcript.
        tokens: The transcript's tokens as text.
        seconds: Duration of the recording; each position covers ``seconds / P`` where the adapter keeps time.
    """

    layers: tuple[int, ...]
    speech: Tensor
    text: Tensor
    tokens: tuple[str, ...]
    seconds: float


@torch.no_grad()
def layer_states(
    run: TrainedRun,
    recorded: Recorded,
    transcript: str,
    layers: Sequence[int] | None = None,
    wanted: Wanted = USUAL,
) -> UtteranceStates:
    """Run a recording and its transcript through both branches of the model.

    Args:
        run: A speech-translation run.
        recorded: The recording.
        transcript: Its text.
        layers: Numbers of layers; None means all of them.
        wanted: Task and languages of the prompt, for a model with several.

    Raises:
        AistaError: no such layer, no transcript, or a task without states of both.
        DataError: the recording cannot be read, or is more than the model takes.
    """
    task, model = with_states(run)
    chosen = _chosen(layers, model.llm.num_layers)
    row = Row("", "", 0, "", src_text=transcript)
    if not transcript.strip():
        raise AistaError("transcript: must be the words spoken, got nothing")
    data = run.experiment.sections.data
    if findings := RowChecks(data, tokenizer=task.tokenizer).of_tokens(row):
        raise DataError(findings[0][1])
    prompt = prompt_for(run, wanted)
    (piece,) = PieceReader(data, task.feature, task.limits(model), transcript=transcript).pieces(recorded)
    if piece.example is None:
        raise DataError(piece.problem)
    source = task.tokenizer.encode(transcript)
    example = replace(piece.example, source=source, source_text=transcript, prompt=prompt)
    out = model(collate([example], task.tokenizer.pad_id).to(run.device), task.states_request(chosen))
    return UtteranceStates(
        layers=chosen,
        speech=torch.cat(out.speech)[:, : int(out.speech_lengths[0])],
        text=torch.cat(out.text)[:, : len(source)],
        tokens=tuple(map(task.tokenizer.piece, source)),
        seconds=piece.segment.seconds,
    )


def _chosen(layers: Sequence[int] | None, last: int) -> tuple[int, ...]:
    if layers is None:
        return tuple(range(last + 1))
    if not layers or not set(layers) <= set(range(last + 1)):
        raise AistaError(
            f"layers: must be numbers from 0, the input of the first block, to {last}, the output of the last, got "
            f"{shown(list(layers))}"
        )
    return tuple(layers)
