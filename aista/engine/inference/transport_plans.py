"""Transport plans between speech and transcript of single utterances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from aista import registry
from aista.engine.inference.trained_run import TrainedRun, open_run
from aista.engine.inputs import Split
from aista.errors import AistaError, DataError
from aista.losses.base import AlignmentContext
from aista.losses.ot import OTAlignment
from aista.modules.lsm import LargeSpeechTextModel
from aista.run_folder.contents import RunFolder
from aista.run_folder.paths import RunPaths
from aista.run_folder.probes import Plan
from aista.schema import Component, structure
from aista.tasks.speech_translation import SpeechTranslationTask

__all__ = ["plan_of", "shown_layer", "transport_plans", "with_states"]


def transport_plans(
    run_dir: Path, split: str, utterances: Sequence[str], *, which: str = "best", device: str = ""
) -> list[Plan]:
    """The plans of some utterances at every layer of a checkpoint; writes nothing.

    Args:
        run_dir: Run folder of a speech-translation run.
        split: ``dev``, ``test``, or the path of a manifest.
        utterances: Their ids; each needs a transcript.
        which: Checkpoint: ``best``, ``last`` or a step number.
        device: Device to run on; empty means the GPU if there is one.

    Raises:
        RunError: there is no such checkpoint.
        DataError: the split lacks an utterance, or its transcript.
    """
    run = open_run(run_dir, which, device=device)
    task, model = with_states(run)
    data = run.load_split(split, row_task=run.spoken_task())
    places = {row.id: index for index, row in enumerate(data.dataset.rows) if row.src_text}
    lacking = [id for id in utterances if id not in places]
    if lacking:
        raise DataError(
            f"no utterance {lacking[0]!r} with a transcript in the split {data.name} that {run_dir} can take"
        )
    layers = tuple(range(model.llm.num_layers + 1))
    return [plan_of(run, task, data, places[id], layers) for id in utterances]


@torch.no_grad()
def plan_of(run: TrainedRun, task: SpeechTranslationTask, data: Split, index: int, layers: tuple[int, ...]) -> Plan:
    """The plan of the row ``index`` at some layers."""
    batch = data.dataset.batch([index], epoch=0).to(run.device)
    out = run.model(batch, task.states_request(layers))
    positions, tokens = int(out.speech_lengths[0]), int(out.text_lengths[0])
    loss, row = _loss(task), data.dataset.rows[index]
    context = AlignmentContext(transcripts=batch.source, words=batch.words)
    return Plan(
        id=row.id,
        tokens=tuple(task.tokenizer.piece(id) for id in batch.source[0].tolist()),
        seconds_per_position=row.seconds / positions,
        shown=shown_layer(run),
        layers={
            layer: loss.plan(out.layer(place), context)[0, :positions, :tokens].float().tolist()
            for place, layer in enumerate(layers)
        },
    )


def with_states(run: TrainedRun) -> tuple[SpeechTranslationTask, LargeSpeechTextModel]:
    """The run's task and model. Raises AistaError where they have no speech and text states."""
    task, model = run.task, run.model
    if not isinstance(task, SpeechTranslationTask) or not isinstance(model, LargeSpeechTextModel):
        raise AistaError(f"{run.path}: its task {run.experiment.sections.task} has no speech and text states to probe")
    return task, model


def shown_layer(run: TrainedRun) -> int:
    """The deepest aligned layer; layer 1 for a run without alignment, and for exports, which do not record it."""
    choice = RunFolder(run.path).selection() if RunPaths(run.path).is_run else None
    return max(choice.layers) if choice else 1


def _loss(task: SpeechTranslationTask) -> OTAlignment:
    """The run's OT loss; the default one where the run has none."""
    for term in task.alignment.terms:
        if isinstance(term.loss, OTAlignment):
            return term.loss
    entry = registry.get("alignment_loss", "ot")
    assert entry.config is not None
    loss = registry.build("alignment_loss", Component("ot", structure(entry.config, {})))
    assert isinstance(loss, OTAlignment)
    return loss
