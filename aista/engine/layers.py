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
    layers: tuple[int, ...],
    *,
    pooling: str = "mean",
) -> ProbeCurve:
    """Cross-modal retrieval of a model's states; the model's train/eval mode is restored.

    Args:
        task: The model's task.
        model: The bare or the data-parallel model; every process must see the same batches.
        batches: Rows to probe, on the model's device.
        layers: Layers to capture.
        pooling: How a row's states become one vector.
    """
    probe = RetrievalProbe(layers, pooling=pooling)
    was_training = model.training
    model.eval()
    for batch in batches:
        probe.add(task.forward(model, batch, capture=layers), batch.source_text)
    model.train(was_training)
    return probe.compute()


class LayerChooser:
    """Runs the layer-selection strategy at its step and hands the result to the task.

    Until then the model trains on cross-entropy alone. The choice is written to RUN/selection.json; a
    run resumed after that step reads it back, one resumed before it probes again, with equal result.
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

    def before_step(self, step: int, model: nn.Module) -> None:
        """Called before each optimiser step (1, 2, ...) with the data-parallel model."""
        if not self._task.losses or self._task.selected is not None or step <= self._selection.warmup_steps:
            return
        if step == self._selection.warmup_steps + 1:
            self._choose(step, model)
        else:
            self._task.selected = read_selection(self._file)

    def _choose(self, step: int, model: nn.Module) -> None:
        curve = None
        if self._selection.needs_probe:
            layers = self._selection.probe_layers
            curve = probe_model(self._task, model, self._probe_batches(), layers, pooling=self._selection.pooling)
        selected = self._selection.select(curve)
        self._task.selected = selected
        log.info("after %d steps: aligning layers %s (%s)", step - 1, list(selected.layers), selected.reason)
        if self._writes:
            strategy = self._task.config.layer_selection.name
            write_json(self._file, _record(step - 1, strategy, selected, curve))


def read_selection(file: Path) -> SelectedLayers:
    """The choice that a run made. Raises RunError if the file is missing or damaged."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return SelectedLayers(tuple(data["layers"]), tuple(data["weights"]), data["reason"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{file}: cannot read the layer selection of this run ({error}); it is written when the layers are "
            f"chosen: restore it, or train again in a new run folder"
        ) from error


def _record(step: int, strategy: str, selected: SelectedLayers, curve: ProbeCurve | None) -> dict[str, Any]:
    return {
        "step": step,
        "strategy": strategy,
        "layers": list(selected.layers),
        "weights": list(selected.weights),
        "reason": selected.reason,
        "curve": curve.to_json() if curve else None,
    }
