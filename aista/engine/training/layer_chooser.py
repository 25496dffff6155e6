"""Decides, during training, when the layers are chosen and which they are."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aista.errors import RunError
from aista.files import write_json
from aista.selection.base import LayerSelection, SelectedLayers
from aista.selection.curve import ProbeCurve
from aista.selection.probe import RetrievalProbe
from aista.tasks.speech_translation import SpeechTranslationTask
from aista.types import SpeechBatch

__all__ = ["LayerChooser", "probe_model"]

log = logging.getLogger("aista.select")


@torch.no_grad()
def probe_model(
    task: SpeechTranslationTask,
    model: nn.Module,
    batches: Iterable[SpeechBatch],
    probe: RetrievalProbe,
) -> ProbeCurve:
    """Cross-modal retrieval of a model's states; the model's train/eval mode is restored.

    One forward of both branches per batch serves every layer and every measure.

    Args:
        task: The model's task.
        model: The bare or the data-parallel model; every process must see the same batches.
        batches: Rows to probe, on the model's device.
        probe: A fresh probe; it says which layers are captured.
    """
    was_training = model.training
    model.eval()
    for batch in batches:
        probe.add(task.forward(model, batch, capture=probe.layers), batch.source_text)
    model.train(was_training)
    return probe.compute()


class LayerChooser:
    """Runs the layer-selection strategy at its steps and hands the result to the task.

    Until the first choice the model trains on cross-entropy alone. The choices are written to RUN/selection.json. A
    resumed run reads back those that were made before its checkpoint and repeats the others, with equal result: a
    choice is a function of the model, the probe set and the choice before it.
    """

    def __init__(
        self,
        task: SpeechTranslationTask,
        selection: LayerSelection,
        file: Path,
        probe_batches: Callable[[], Iterable[SpeechBatch]],
        *,
        writes: bool,
    ) -> None:
        self._task = task
        self._selection = selection
        self._file = file
        self._probe_batches = probe_batches
        self._writes = writes
        self._choices: list[dict[str, Any]] = []

    def before_step(self, step: int, model: nn.Module) -> None:
        """Called before each optimiser step (1, 2, ...) with the data-parallel model."""
        since = step - 1 - self._selection.warmup_steps
        if not self._task.losses or since < 0:
            return
        if since > 0 and self._task.selected is None:
            self._choices = [choice for choice in _read(self._file) if choice["step"] < step - 1]
            self._task.selected = _selected(self._choices, self._file)
        if since == 0 or (self._selection.every and since % self._selection.every == 0):
            self._choose(step - 1, model)

    def _choose(self, step: int, model: nn.Module) -> None:
        current, curve = self._task.selected, None
        if self._selection.needs_probe:
            curve = probe_model(self._task, model, self._probe_batches(), self._selection.probe())
        selected = self._selection.select(curve) if current is None else self._selection.reselect(curve, current)
        self._task.selected = selected
        log.info("after %d steps: aligning layers %s (%s)", step, list(selected.layers), selected.reason)
        self._choices.append(_record(step, selected, curve))
        if self._writes:
            strategy = self._task.config.layer_selection.name
            history = {"choices": self._choices} if self._selection.every else {}
            write_json(self._file, {"strategy": strategy, **self._choices[-1], **history})


def read_selection(file: Path) -> SelectedLayers:
    """The last choice that a run made. Raises RunError if the file is missing or damaged."""
    return _selected(_read(file)[-1:], file)


def _read(file: Path) -> list[dict[str, Any]]:
    """All choices, oldest first: those of ``choices``, or the only one there is."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        choices = data.get("choices", [data])
        return [{**choice, "step": int(choice["step"])} for choice in choices]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(file, error) from error


def _selected(choices: list[dict[str, Any]], file: Path) -> SelectedLayers:
    try:
        last = choices[-1]
        return SelectedLayers(tuple(last["layers"]), tuple(last["weights"]), last["reason"])
    except (IndexError, KeyError, TypeError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> RunError:
    return RunError(
        f"{file}: cannot read the layer selection of this run ({error}); it is written when the layers are "
        f"chosen: restore it, or train again in a new run folder"
    )


def _record(step: int, selected: SelectedLayers, curve: ProbeCurve | None) -> dict[str, Any]:
    return {
        "step": step,
        "layers": list(selected.layers),
        "weights": list(selected.weights),
        "reason": selected.reason,
        "curve": curve.to_json() if curve else None,
    }
