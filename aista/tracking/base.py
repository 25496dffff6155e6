"""Interface of experiment trackers: options that open a tracked run, and the open run, which takes metrics."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["RunDescription", "Status", "TrackedRun", "Tracker", "without_credentials"]

Status = Literal["finished", "failed"]
_USER = re.compile(r"(?<=://)[^/@\s]+@")


def without_credentials(text: str) -> str:
    """A text whose URLs have no ``USER:PASSWORD@``."""
    return _USER.sub("", text)


@dataclass(frozen=True, kw_only=True)
class RunDescription:
    """Description of a run for a tracker that opens it.

    Attributes:
        name: Name to show, unless the tracker's options have one.
        folder: For files of the tracker; exists.
        id: The tracker's id of a run that it opened before; empty for a new one.
        config: The resolved config and the environment, as plain data; None where results are added to a run that is
            not being trained.
        last_step: The step from which training continues; 0 at its beginning.
    """

    name: str
    folder: Path
    id: str = ""
    config: Mapping[str, Any] | None = None
    last_step: int = 0


class TrackedRun(ABC):
    """An open run of a tracker. Any method may raise any exception; the caller then keeps the values.

    Attributes:
        id: Id for opening this run again; empty where its folder is enough.
        link: URL of the run; empty for offline tracking.
    """

    id: str = ""
    link: str = ""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values of a step, such as ``train/nll``; NaN stands for a value that was not finite."""

    @abstractmethod
    def note(self, name: str, text: str, step: int) -> None:
        """Log a text that is valid from a step on, such as the chosen layers; a later one of this name replaces it."""

    @abstractmethod
    def close(self, status: Status | None) -> None:
        """Send the remaining values and close the run; None keeps the status of the training."""


class Tracker(ABC):
    """Options of an experiment tracker."""

    @property
    def place(self) -> str:
        """Place of its runs, such as a project; if it changes, a new run is opened there."""
        return ""

    def check(self) -> None:  # noqa: B027 -- most have nothing to check
        """Raise AistaError where the tracker cannot work here: no package, no key. Asks no network."""

    @abstractmethod
    def open(self, run: RunDescription) -> TrackedRun:
        """Open a new run, or the existing one with the id ``run.id``."""
