"""The choices of layers of a run, with their steps: reads and writes ``selection.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aista.errors import RunError
from aista.run_folder.parsing import unsealed, write_object
from aista.selection.base import SelectedLayers
from aista.selection.curve import ProbeCurve

__all__ = ["LayerChoice", "read_choices", "write_choices"]


@dataclass(frozen=True)
class LayerChoice:
    """The layers that a run aligned from one step on.

    Attributes:
        step: Steps trained before the choice.
        strategy: Name of the layer selection.
        selected: The layers with their weights and the reason.
        curve: The probe's curve; None without a probe.
    """

    step: int
    strategy: str
    selected: SelectedLayers
    curve: ProbeCurve | None

    @property
    def layers(self) -> tuple[int, ...]:
        """Ascending."""
        return self.selected.layers

    @property
    def reason(self) -> str:
        """One line."""
        return self.selected.reason


def read_choices(file: Path, *, before: int | None = None) -> list[LayerChoice]:
    """Every choice of layers, oldest first: several where the run chose again while training.

    Args:
        file: The run's file; it holds at least one choice.
        before: Leave out the choices of this step and later.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        data = unsealed(json.loads(file.read_bytes()))
        choices = [_choice({**data, **choice}, str(file)) for choice in data.get("choices", [data])]
        wanted = [choice for choice in choices if before is None or choice.step < before]
        wanted[-1]  # an empty history is damage too
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RunError(
            f"{file}: cannot read the layer selection of this run ({type(error).__name__}: {error}); it is written "
            f"when the layers are chosen: restore it, or train again in a new run folder"
        ) from error
    return wanted


def write_choices(file: Path, choices: Sequence[LayerChoice], *, with_history: bool) -> None:
    """Write the last choice, and all of them where the strategy may choose again."""
    records = [_record(choice) for choice in choices]
    history = {"choices": records} if with_history else {}
    write_object(file, {"strategy": choices[-1].strategy, **records[-1], **history})


def _choice(data: Mapping[str, Any], source: str) -> LayerChoice:
    curve = data.get("curve")
    return LayerChoice(
        step=int(data["step"]),
        strategy=str(data["strategy"]),
        selected=SelectedLayers(
            layers=tuple(int(layer) for layer in data["layers"]),
            weights=tuple(float(weight) for weight in data["weights"]),
            reason=str(data["reason"]),
        ),
        curve=None if curve is None else ProbeCurve.from_json(curve, source=source),
    )


def _record(choice: LayerChoice) -> dict[str, Any]:
    return {
        "step": choice.step,
        **asdict(choice.selected),
        "curve": None if choice.curve is None else choice.curve.to_json(),
    }
