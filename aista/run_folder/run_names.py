"""Display names of runs: row and seed in an ablation, else the distinguishing part of the path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ABLATION_RUNS", "RunNames", "ablation_name", "ablation_run_label", "link_by_name", "named_folder"]

ABLATION_RUNS = "runs.json"
"""File in the folder of an ablation with row, seed and folder of each run, whose folder name is a hash."""


def ablation_run_label(name: str, seed: int) -> str:
    """Name of an ablation's run, by row and seed."""
    return f"{name}, seed {seed}"


def ablation_name(path: Path) -> str:
    """Row and seed of an ablation's run folder (the first of several rows with the same training), or "".

    An index that cannot be read is ignored.
    """
    folder = path.resolve()
    index = folder.parent.parent / ABLATION_RUNS
    with suppress(OSError, ValueError, LookupError, TypeError):
        for run in json.loads(index.read_bytes()):
            if index.parent / run["folder"] == folder:
                return ablation_run_label(str(run["name"]), int(run["seed"]))
    return ""


def named_folder(folder: Path, row: str, seed: int) -> Path:
    """The link to a run in an ablation's folder, ``seed_N/ROW``; a slash in a row's name becomes an underscore."""
    return folder / f"seed_{seed}" / row.replace("/", "_")


def link_by_name(folder: Path, runs: Iterable[tuple[str, int, Path]]) -> None:
    """Links ``named_folder`` in an ablation's folder to its run folders; links of earlier rows go.

    Args:
        folder: Folder of the ablation.
        runs: Row, seed and run folder of each run.

    Raises:
        OSError: the file system has no symbolic links.
    """
    links = {named_folder(folder, row, seed): run for row, seed, run in runs}
    for old in folder.glob("seed_*/*"):
        if old.is_symlink() and old not in links:
            old.unlink()
    for link, run in links.items():
        target = Path("..", run.relative_to(folder))
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink() and link.readlink() != target:
            link.unlink()
        with suppress(FileExistsError):  # it is there, or another call of the ablation has just made it
            link.symlink_to(target, target_is_directory=True)


def _name_around(path: Path) -> str:
    """The name of the ablation's run that a path is or lies in."""
    return next(filter(None, map(ablation_name, (path, *path.resolve().parents[:3]))), "")


@dataclass(frozen=True)
class RunNames:
    """Short names of paths.

    Attributes:
        names: One for each path, in order; all different.
        notes: The paths that the names stand for, one line each.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, paths: Sequence[str], *, cut_ends: bool = False) -> RunNames:
        """The names of different paths; each may end in ``@LABEL``, which its name keeps.

        The common leading folders are cut; with ``cut_ends`` also a common end, such as a file's name.
        """
        split = [_split(path) for path in paths]
        titles = [_name_around(Path(path)) for path, _ in split]
        others = list(dict.fromkeys(path for (path, _), title in zip(split, titles, strict=True) if not title))
        cut, pattern = _cut(others, cut_ends)
        short = dict(zip(others, cut, strict=True))
        names = [(title or short[path]) + label for (path, label), title in zip(split, titles, strict=True)]
        count = Counter(names)
        names = [name if count[name] == 1 else path for name, path in zip(names, paths, strict=True)]
        notes = [f"names stand for * in {pattern}"] if pattern else []
        notes += [f"{name}: {path}" for name, path, title in zip(names, paths, titles, strict=True) if title]
        return cls(tuple(names), tuple(notes))


def _split(path: str) -> tuple[str, str]:
    """A path and its ``@LABEL``, which may be empty."""
    folder, at, label = path.rpartition("@")
    return (folder, at + label) if at and not Path(path).exists() else (path, "")


def _cut(paths: Sequence[str], cut_ends: bool) -> tuple[list[str], str]:
    """Paths without their common start, and perhaps end, and the pattern that they match; empty where none is cut."""
    parts = [Path(path).parts for path in paths]
    shortest = min(map(len, parts), default=0) - 1
    first = next((n for n in range(shortest) if len({each[n] for each in parts}) > 1), shortest)
    inner = shortest - first if cut_ends and len(paths) > 1 else 0
    last = next((n for n in range(inner) if len({each[-1 - n] for each in parts}) > 1), inner)
    if first <= 0 and last <= 0:
        return list(paths), ""
    cut = [str(Path(*each[first : len(each) - last])) for each in parts]
    return cut, str(Path(*parts[0][:first], "*", *parts[0][len(parts[0]) - last :]))
