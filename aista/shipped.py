"""The configs shipped with aista, by file name."""

from __future__ import annotations

import re
from pathlib import Path

from aista.errors import ConfigError, Fault
from aista.registry import nearest

__all__ = ["describe_config", "find_config", "shipped_configs"]

FOLDER = Path(__file__).parent / "configs"
_END_OF_SENTENCE = re.compile(r"[.:?](\s|$)")


def shipped_configs() -> dict[str, Path]:
    """Every shipped config by its name, folder by folder."""
    return {path.stem: path for path in sorted(FOLDER.glob("*/*.yaml"))}


def find_config(text: str | Path, folder: Path = Path()) -> Path:
    """The config file that a user names: ``my.yaml`` and ``somewhere/my.yaml`` are paths, ``quickstart`` is shipped.

    Args:
        text: The user's argument.
        folder: Folder that a relative path starts from.

    Raises:
        ConfigError: no shipped config has this name.
    """
    path = Path(text)
    if path.suffix or len(path.parts) != 1:
        return folder / path
    known = shipped_configs()
    if path.name not in known:
        problem = f"is not a shipped config{nearest(path.name, known)}"
        remedy = f"`aista configs` lists them; a file of your own is named with its ending, {path.name}.yaml"
        raise ConfigError([Fault(path.name, problem, remedy)], path.name)
    return known[path.name]


def describe_config(config: Path) -> tuple[str, str]:
    """The command at the head of a shipped config, and the first sentence below it."""
    command, *others = (line[1:].strip() for line in config.read_text(encoding="utf-8").split("\n") if line[:1] == "#")
    text = " ".join(others)
    end = _END_OF_SENTENCE.search(text)
    return command, text[: end.start() + 1].rstrip(".:") if end else text
