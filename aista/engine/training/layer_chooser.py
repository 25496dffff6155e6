"""Chooses the layers to align during training, at the steps of the layer selection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from aista.modules.generation import evaluating
from aista.modules.lsm import LargeSpeechTextModel
from aista.run_folder.layer_choices import LayerChoice, read_choices, write_choices
from aista.selection.base import LayerSelection, ProbedSelection
from aista.selection.curve import ProbeCurve
from aista.selection.retrieval_probe import RetrievalProbe
from aista.tasks.speech_translation import SpeechTranslationTask
from aista.types import SpeechBatch

__all__ = ["LayerChooser", "probe_model"]

log = logging.getLogger("aista.select")


def probe_model(
    task: SpeechTranslationTask,
    model: nn.Module,
    batches: Iterable[SpeechBatch],
    probe: RetrievalProbe,
) -> ProbeCurve:
    """Probe cross-modal retrieval of a model's states; restores the model's train/eval mode.

    One forward of both branches per batch serves every layer and every measure; gradients, where the probe asks for
    them, come from its graph.

    Args:
        task: The model's task.
        model: The bare or the data-parallel model; every process must see the same batches.
        batches: Rows to probe, on the model's device.
        probe: A new probe; it says which layers are captured.
    """
    keeps_time = all(part.adapter.even_in_time for part in model.modules() if isinstance(part, LargeSpeechTextModel))
    with evaluating(model):
        for batch in batches:
            output = model(batch, task.probe_request(probe))
            words = batch.words if keeps_time else None  # else a time says no position
            probe.add(output, batch.source_text, tokens=batch.source, words=words)
    return probe.compute()


@dataclass(eq=False)
class LayerChooser:
    """Runs the layer-selection strategy at its steps and passes the result to the task.

    Until the first choice the model trains on cross-entropy alone. The choices are written to the run folder, and
    Each is passed to ``report``. A resumed run reads those that were made before its checkpoint and repeats the others,
    with the same result: a choice is a function of the model, the probe set and the choice before it.
    """

    task: SpeechTranslationTask
    selection: LayerSelection
    file: Path
    probe_batches: Callable[[], Iterable[SpeechBatch]]
    writes: bool = field(kw_only=True)
    report: Callable[[LayerChoice], None] = field(default=lambda choice: None, kw_only=True)
    _choices: list[LayerChoice] = field(default_factory=list, init=False)

    def restore(self, step: int) -> None:
        """Restore the layers of a step, when the run is resumed from its checkpoint."""
        if self.task.alignment.terms and step > self.selection.warmup_steps:
            self._choices = read_choices(self.file, before=step)
            self.task.selected = self._choices[-1].selected

    def before_step(self, step: int, model: nn.Module) -> None:
        """Called before each optimiser step (1, 2, ...) with the data-parallel model."""
        since = step - 1 - self.selection.warmup_steps
        is_repeated = bool(self._choices) and self._choices[-1].step == step - 1  # its first try was skipped
        if not self.task.alignment.terms or since < 0 or is_repeated:
            return
        if since == 0 or (self.selection.every and since % self.selection.every == 0):
            self._choose(step - 1, model)

    def _choose(self, step: int, model: nn.Module) -> None:
        current, curve = self.task.selected, None
        if isinstance(self.selection, ProbedSelection):
            curve = probe_model(self.task, model, self.probe_batches(), self.selection.probe())
        selected = self.selection.select(curve) if current is None else self.selection.reselect(curve, current)
        self.task.selected = selected
        log.info("after %d steps: aligning layers %s (%s)", step, list(selected.layers), selected.reason)
        self._choices.append(LayerChoice(step, self.task.config.layer_selection.name, selected, curve))
        self.report(self._choices[-1])
        if self.writes:
            write_choices(self.file, self._choices, with_history=bool(self.selection.every))
