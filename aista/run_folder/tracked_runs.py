"""Identifiers of a run in experiment trackers: reads and writes ``tracking.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from aista.run_folder.parsing import parsing, read_object, write_object
from aista.run_folder.paths import RunPaths

__all__ = ["TrackedRunId", "keep_tracked_run", "read_tracked_runs"]


@dataclass(frozen=True)
class TrackedRunId:
    """Identifier of a run in a tracker.

    Attributes:
        place: Place in the tracker, such as a project.
        id: The tracker's id of the run.
        link: URL of the run; empty for offline tracking.
    """

    place: str
    id: str
    link: str


def read_tracked_runs(run: RunPaths) -> dict[str, TrackedRunId]:
    """The tracked runs by the name of the tracker; empty where there are none.

    Raises:
        RunError: the file is damaged; without it new ones begin.
    """
    if not run.tracking_file.exists():
        return {}
    data = read_object(run.tracking_file, "")
    with parsing(run.tracking_file, "; restore it from a copy, or remove it to begin new tracked runs"):
        return {
            str(name): TrackedRunId(str(item["place"]), str(item["id"]), str(item["link"]))
            for name, item in data.items()
        }


def keep_tracked_run(run: RunPaths, tracker: str, tracked: TrackedRunId) -> None:
    """Record the run that a tracker opened, beside those of other trackers."""
    runs = read_tracked_runs(run) | {tracker: tracked}
    write_object(run.tracking_file, {name: asdict(item) for name, item in runs.items()})
