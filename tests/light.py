"""Runs a program where nothing is installed but what a plain ``pip install aista`` brings, and what that needs."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

HIDING = """
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Hiding, sys.meta_path)
"""


def required(lines: Iterable[str], extra: str = "") -> Iterator[Requirement]:
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def closure(lines: Iterable[str]) -> set[str]:
    """Distributions that these requirements bring, in the versions that are installed here."""
    found: set[str] = set()
    todo = [*required(lines)]
    while todo:
        requirement = todo.pop()
        name = normal(requirement.name)
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # torch's CUDA parts, beside its CPU wheel
            continue
        if name not in found or requirement.extras:
            todo += [*required(needed), *(more for extra in requirement.extras for more in required(needed, extra))]
        found.add(name)
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def hidden() -> set[str]:
    """Modules of every installed distribution that a plain install does not bring."""
    present = closure(PROJECT["dependencies"])
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not present & set(map(normal, owners)) and module not in ("aista", "__editable___aista_0_1_0_finder")
    }


def run_light(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    source = HIDING.format(hidden=hidden()) + program
    return subprocess.run([sys.executable, "-c", source, *arguments], capture_output=True, text=True)
