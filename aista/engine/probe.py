"""Probes a checkpoint: cross-modal retrieval per layer, and one utterance's transport plan for the eye."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from aista import registry
from aista.engine.inputs import Split, load_split, probe_batches
from aista.engine.layers import probe_model, read_selection
from aista.engine.trained import TrainedRun, open_run
from aista.errors import AistaError, DataError
from aista.files import write_json
from aista.losses.alignment import OTAlignment
from aista.modules.lsm import LargeSpeechTextModel
from aista.schema import Component, structure
from aista.selection.curve import ProbeCurve
from aista.selection.probe import RetrievalProbe
from aista.tasks.speech_translation import SpeechTranslationTask

__all__ = ["probe"]

log = logging.getLogger("aista.probe")


def probe(
    run_dir: Path,
    split: str = "dev",
    *,
    which: str = "best",
    size: int = 500,
    name: str = "",
    utterance: str = "",
    device: str = "",
) -> tuple[str, ProbeCurve]:
    """Probe a run and write RUN/probe/NAME.json and NAME_plan.json.

    Args:
        run_dir: Run folder of a speech-translation run.
        split: ``dev``, ``test``, or the path of a manifest; rows without a transcript are left out.
        which: Checkpoint: ``best``, ``last`` or a step number.
        size: Most utterances; each is a query and a candidate.
        name: Name of the files; empty means ``SPLIT_step_N``.
        utterance: Id of the utterance whose transport plan is drawn; empty means one of middle length.
        device: Where to run; empty means the GPU if there is one.

    Returns:
        The name of the files, and the curve.
    """
    run = open_run(run_dir, which, device=device)
    task, model = run.task, run.model
    if not isinstance(task, SpeechTranslationTask) or not isinstance(model, LargeSpeechTextModel):
        raise AistaError(f"{run_dir}: its task {run.experiment.sections.task} has no speech and text states to probe")
    data = load_split(run.experiment, task, split)
    data = data.within(task.limits(model, data.dataset.feature))
    layers = tuple(range(model.llm.num_layers + 1))
    batch_size = run.experiment.sections.evaluation.batch_size
    curve = probe_model(task, model, probe_batches(data, size, batch_size, run.device), RetrievalProbe(layers))
    name = name or f"{data.label}_{run.checkpoint.name}"
    record = {"checkpoint": run.checkpoint.name, "step": run.checkpoint.step, "split": split, "curve": curve.to_json()}
    write_json(run_dir / "probe" / f"{name}.json", record)
    write_json(run_dir / "probe" / f"{name}_plan.json", _plan(run, task, data, utterance))
    return name, curve


@torch.no_grad()
def _plan(run: TrainedRun, task: SpeechTranslationTask, data: Split, utterance: str) -> dict[str, Any]:
    rows = [index for index, row in enumerate(data.dataset.rows) if row.src_text]
    if utterance:
        rows = [index for index in rows if data.dataset.rows[index].id == utterance]
        if not rows:
            raise DataError(f"no utterance {utterance!r} with a transcript in the split {data.name}")
    rows.sort(key=lambda index: data.dataset.rows[index].n_frames)
    index = rows[len(rows) // 2]
    batch = data.dataset.batch([index], epoch=0).to(run.device)
    layer = _shown_layer(run)
    out = task.forward(run.model, batch, capture=(layer,))
    plan = _loss(task).plan(out.layer(0))[0, : int(out.speech_lengths[0]), : int(out.text_lengths[0])]
    row = data.dataset.rows[index]
    return {
        "id": row.id,
        "layer": layer,
        "tokens": [task.tokenizer.piece(id) for id in batch.source[0].tolist()],
        "plan": plan.float().tolist(),
        "seconds_per_position": row.seconds / int(out.speech_lengths[0]),
    }


def _shown_layer(run: TrainedRun) -> int:
    """The deepest aligned layer; layer 1 of a run without alignment."""
    file = run.path / "selection.json"
    return max(read_selection(file).layers) if file.is_file() else 1


def _loss(task: SpeechTranslationTask) -> OTAlignment:
    """The run's own OT loss, or the default one for a run that was trained without."""
    for loss in task.losses:
        if isinstance(loss, OTAlignment):
            return loss
    entry = registry.get("alignment_loss", "ot")
    assert entry.config is not None
    loss = registry.build("alignment_loss", Component("ot", structure(entry.config, {})))
    assert isinstance(loss, OTAlignment)
    return loss
